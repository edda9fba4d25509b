"""A frame around a picture of paper, or the table that it lies on: cut off."""

from __future__ import annotations

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
        if sides:  # a pixel more is cut off, which is blurred
            return picture[box[0] + 1 : box[2] - 1, box[1] + 1 : box[3] - 1], sides
    return picture, 0


def _far(picture: Array, colour: Array) -> Array:
    """How far each pixel is from a colour (C,), in the channel where it is farthest: (H, W)."""
    return np.abs(picture - colour).max(axis=2)


def _trim(total: Array) -> tuple[list[int], int]:
    """The box inside the frame of which `total` is the integral image, and how many of its sides were moved.

    The side whose outermost pixels have most of the frame moves inwards by one, until none has half of them; then those that have
    moved go on until they have next to none, unless that takes them too deep.
    """
    height, width = total.shape[0] - 1, total.shape[1] - 1
    outer, box, boxes = [0, 0, height, width], [0, 0, height, width], list[list[int]]()
    for enough in (FRAMED, CLEAR):
        sides = [i for i in range(4) if box[i] != outer[i] or not boxes]
        while sides:
            shares = [_share(total, box, i) for i in sides]
            if max(shares) < enough:
                boxes.append(list(box))
                break
            side = sides[int(np.argmax(shares))]
            box[side] += 1 if side < 2 else -1
            if abs(box[side] - outer[side]) > DEEPEST * (height, width)[side % 2]:
                break
    box = boxes[-1] if boxes else outer
    return box, sum(a != b for a, b in zip(box, outer, strict=True))


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
