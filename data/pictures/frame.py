"""A frame around a picture of paper, or the table that it lies on: cut off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.pictures.components import components
from data.pictures.ground import outermost
from engine.typing import Array

CONTRAST = 48  # of 255: between a frame and the ground inside it
FRAMED, CLEAR = 0.5, 0.01  # the share of a side's outermost pixels that a frame has, and that may be left of it
DEEPEST = 0.3  # of the picture: the most that is cut off a side


def without_frame(picture: Array) -> tuple[Array, int]:
    """What is inside a frame (h, w, C), of a picture (H, W, C), and how many of its sides have one."""
    around, ground = np.median(outermost(picture), axis=0), np.median(picture, axis=(0, 1))
    for frame in (_far(picture, around) <= CONTRAST, _far(picture, ground) > CONTRAST):
        labels, found = components(frame)
        total = np.isin(labels, [c.label for c in found if c.touches_edge(labels.shape)])
        box, sides = _trim(np.pad(total.astype(int), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1))
        if sides:  # one more pixel is cut off, as the edge is blurred
            return picture[box[0] + 1 : box[2] - 1, box[1] + 1 : box[3] - 1], sides
    return picture, 0


def _far(picture: Array, colour: Array) -> Array:
    """How far each pixel is from a colour (C,), in the channel where it is farthest: (H, W)."""
    return np.abs(picture - colour).max(axis=2)


def _trim(total: Array) -> tuple[list[int], int]:
    """The box inside the frame of which `total` is the integral image, and how many of its sides were moved.

    Sides move inwards until none has half of its pixels in the frame; then those that have moved go on until they have almost
    none, unless that takes them too deep.
    """
    outer = [0, 0, total.shape[0] - 1, total.shape[1] - 1]  # top, left, bottom, right
    box = _moved(total, outer, range(4), FRAMED) or outer
    sides = [i for i in range(4) if box[i] != outer[i]]
    return _moved(total, box, sides, CLEAR) or box, len(sides)


def _moved(total: Array, box: list[int], sides: Sequence[int], enough: float) -> list[int] | None:
    """The box after its side with most of the frame has moved by one, again and again; None where it gets too deep."""
    box, height, width = list(box), total.shape[0] - 1, total.shape[1] - 1
    while sides:
        shares = [_share(total, box, side) for side in sides]
        if max(shares) < enough:
            break
        side = sides[int(np.argmax(shares))]
        box[side] += 1 if side < 2 else -1
        depths = box[0] / height, box[1] / width, 1 - box[2] / height, 1 - box[3] / width
        if max(depths) > DEEPEST:
            return None
    return box


def _share(total: Array, box: list[int], side: int) -> float:
    """Of the frame, of the outermost line of pixels on a side of the box."""
    top, left, bottom, right = box
    top, left, bottom, right = [
        (top, left, top + 1, right),
        (top, left, bottom, left + 1),
        (bottom - 1, left, bottom, right),
        (top, right - 1, bottom, right),
    ][side]
    found = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
    return found / max(1, (bottom - top) * (right - left))
