"""Sums over boxes of pixels by an integral image, whatever the size of the box.

Source: Crow, "Summed-area tables for texture mapping", SIGGRAPH 1984; for binary images' morphology, whose dilation by a square
asks whether the sum is above 0, and whose erosion whether it is the square's area: Serra, "Image Analysis and Mathematical
Morphology", 1982.
"""

from __future__ import annotations

import numpy as np

from engine.typing import Array


def box_sums(x: Array, reach: int) -> Array:
    """The sum of x (H, W) over the pixels at most `reach` away in each direction, (H, W); beyond the edge there is nothing.

    >>> box_sums(np.array([[1, 2, 4]]), 1).tolist()
    [[3, 7, 6]]
    """
    total = np.pad(x.astype(np.int64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    (top, bottom), (left, right) = (
        (np.maximum(np.arange(side) - reach, 0), np.minimum(np.arange(side) + reach + 1, side)) for side in x.shape
    )
    rows = total[bottom] - total[top]  # (H, W + 1)
    return rows[:, right] - rows[:, left]


def dilate(mask: Array, reach: int) -> Array:
    """What is at most `reach` pixels from the mask (H, W), diagonally too."""
    return box_sums(mask, reach) > 0


def thickness(mask: Array) -> int:
    """The side of the largest square of pixels that the mask (H, W) holds."""
    total = np.pad(mask.astype(np.int64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    least, most = 0, min(mask.shape)
    while least < most:  # a square holds every smaller one: bisect
        side = (least + most + 1) // 2
        sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
        least, most = (side, most) if sums.max() == side * side else (least, side - 1)
    return least
