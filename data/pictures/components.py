"""The connected components of a mask: what hangs together, diagonally too.

Each row's runs of pixels are joined with those of the next row that they touch, in a union-find forest (Rosenfeld and Pfaltz,
"Sequential operations in digital picture processing", J. ACM 13, 1966; by runs: He, Chao and Suzuki, IEEE Trans. Image
Processing 17, 2008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.typing import Array


@dataclass(frozen=True)
class Component:
    """Its label, number of pixels, and box: rows top to bottom - 1, columns left to right - 1."""

    label: int
    area: int
    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """Of its box."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Of its box."""
        return self.right - self.left

    @property
    def size(self) -> int:
        """The longer side of its box."""
        return max(self.height, self.width)

    def touches_edge(self, shape: tuple[int, ...]) -> bool:
        """Whether it reaches the outermost pixels of a picture of this shape (H, W)."""
        return not (self.top and self.left) or self.bottom == shape[0] or self.right == shape[1]


def components(mask: Array) -> tuple[Array, list[Component]]:
    """The labels (H, W) of a mask (H, W), 0 where it is False, and the components by label, from 1.

    >>> labels, found = components(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]], bool))
    >>> labels.tolist()
    [[1, 0, 1], [0, 1, 0], [0, 0, 0], [2, 2, 2]]
    >>> found[1].area, found[1].height, found[1].width
    (3, 1, 3)
    """
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]  # of the runs (R,), in the order of the mask's own pixels
    roots = _join(len(rows), *_touching(rows, starts, ends, mask.shape[1]))
    unique, of_run = np.unique(roots, return_inverse=True)
    count = len(unique)
    area = np.bincount(of_run, ends - starts, count).astype(int)
    top, left = np.full((2, count), max(mask.shape))
    bottom, right = np.zeros((2, count), int)
    np.minimum.at(top, of_run, rows)
    np.minimum.at(left, of_run, starts)
    np.maximum.at(bottom, of_run, rows + 1)
    np.maximum.at(right, of_run, ends)
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = np.repeat(of_run + 1, ends - starts)
    boxes = zip(area, top, bottom, left, right, strict=True)
    return labels, [Component(i, *map(int, box)) for i, box in enumerate(boxes, 1)]


def _touching(rows: Array, starts: Array, ends: Array, width: int) -> tuple[Array, Array]:
    """Pairs of runs, one above the other, that touch at an edge or a corner."""
    stride = width + 2  # between rows, so that a run at the right edge does not reach the next row
    # the first run of the next row that ends where this one starts, or later
    first = np.searchsorted(rows * stride + ends, (rows + 1) * stride + starts)
    last = np.searchsorted(rows * stride + starts, (rows + 1) * stride + ends, "right")
    counts = np.maximum(last - first, 0)
    above = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    return above, np.repeat(first, counts) + within


def _join(count: int, a: Array, b: Array) -> Array:
    """The root of each of `count` elements (count,), after the pairs a, b were united; roots are the least of their set."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in zip(a.tolist(), b.tolist(), strict=True):
        low, high = sorted((root(i), root(j)))
        parent[high] = low
    return np.array([root(i) for i in range(count)], np.int64)
