"""A frame around a picture of paper, or the table that it lies on: cut off."""

from __future__ import annotations

import numpy as np

from data.pictures.components import components
from engine.typing import Array

CONTRAST = 48  # of 255: between a frame and the ground inside it
FRAMED, CLEAR = 0.5, 0.01  # the share of a side's outermost pixels that a frame has, and that may be left of it
DEEPEST = 0.3  # of the picture: the most that is cut off a side


def without_frame(picture: Array) -> tuple[Array, int]:
    """What is inside a frame (h, w, C), of a picture (H, W, C), and how many of its sides have one."""
    ground = np.median(picture, axis=(0, 1))
    labels, found = components(np.abs(picture - ground).max(axis=2) > CONTRAST)
    frame = np.isin(labels, [c.label for c in found if c.touches_edge(labels.shape)])
    total = np.pad(frame.astype(int), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    box = [0, 0, *frame.shape]  # top, left, bottom, right
    most = [int(DEEPEST * side) for side in frame.shape] * 2
    for enough, sides in ((FRAMED, range(4)), (CLEAR, None)):
        sides = [i for i in range(4) if abs(box[i] - (0, 0, *frame.shape)[i])] if sides is None else sides
        while shares := {i: _share(total, box, i) for i in sides}:
            side = max(shares, key=shares.__getitem__)
            if shares[side] < enough:
                break
            box[side] += 1 if side < 2 else -1
            if abs(box[side] - (0, 0, *frame.shape)[side]) > most[side]:
                return picture, 0
    inside = picture[box[0] + 1 : box[2] - 1, box[1] + 1 : box[3] - 1]  # a pixel more, which is blurred
    return (inside, len(sides)) if sides else (picture, 0)


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
