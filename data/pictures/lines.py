"""Ruled lines, taken off a mask without what is written across them.

A line is found where, in the mask sheared by its slope, most of a row is set from one edge of the picture to the other. Off it
goes, column by column, where the run of pixels through it is no longer than the line is thick; where it is longer, a stroke
crosses.

Source: the run lengths along a staff line of Randriamahefa et al. (ICDAR 1993), "LineTrack" in Dalitz, Droettboom, Pranzas and
Fujinaga, "A comparative study of staff removal algorithms", IEEE Trans. Pattern Anal. Mach. Intell. 30 (2008).
"""

from __future__ import annotations

import numpy as np

from engine.typing import Array

SLOPES = np.linspace(-0.1, 0.1, 41)  # rows a column
COVERED = 0.7  # the least share of a row that a line covers
ENDS = 24  # it reaches the first and the last of so many parts of the row
THIN = 40  # lines are thinner than the picture's side divided by this
SAMPLES = 72  # columns that are looked at
SMALLEST = 64  # pixels: in a picture with a shorter side than this no line is looked for


def without_lines(mask: Array) -> Array:
    """The mask (H, W) without lines that cross the picture from side to side or from top to bottom."""
    if min(mask.shape) < SMALLEST:
        return mask
    return _without_rows(_without_rows(mask).T).T


def _without_rows(mask: Array) -> Array:
    """Without lines from side to side."""
    height, width = mask.shape
    columns, end = np.arange(width), max(1, width // ENDS)
    if not (mask[:, :end].any() and mask[:, -end:].any()):
        return mask  # most masks have no lines
    thick = np.pad(mask, ((1, 1), (0, 0)))
    thick = thick[:-2] | thick[1:-1] | thick[2:]  # so that a line may wander by a pixel
    shears = np.rint(SLOPES[:, None] * (columns - width / 2)).astype(int)  # (slopes, W)
    best, lines = 0, None
    for shear in shears:
        found = _lines(thick, shear)
        if found.sum() > best:
            best, lines, along = found.sum(), found, shear
    if lines is None:
        return mask
    at = np.arange(height)[:, None] + along
    inside = (at >= 0) & (at < height)
    at = np.clip(at, 0, height - 1)
    straight = mask[at, columns] & inside
    runs = _run_lengths(straight)
    through = runs[lines]
    limit = np.median(through[through > 0]) if (through > 0).any() else 0
    if limit > max(3, height / THIN):
        return mask
    near = lines.copy()
    near[1:] |= lines[:-1]
    near[:-1] |= lines[1:]
    crossing = _spread_over_runs(straight, near[:, None] & straight)
    off = crossing & (runs <= 1.5 * limit + 1)
    cleaned = mask.copy()
    cleaned[at[off], np.broadcast_to(columns, at.shape)[off]] = False
    return cleaned


def _lines(mask: Array, shear: Array) -> Array:
    """The rows (H,) that are lines, of the mask sheared by `shear` (W,)."""
    height, width = mask.shape
    columns = np.linspace(0, width - 1, min(width, SAMPLES)).astype(int)
    end, found = max(1, len(columns) // ENDS), np.zeros(height, bool)
    reaches = [
        _sheared(mask, shear, np.arange(height), part)[0].any(axis=1) for part in (columns[:end], columns[-end:])
    ]
    rows = np.flatnonzero(reaches[0] & reaches[1])
    if len(rows):
        straight, outside = _sheared(mask, shear, rows, columns)
        found[rows] = (straight.mean(axis=1) >= COVERED) & (outside.mean(axis=1) <= 0.5)
    return found


def _sheared(mask: Array, shear: Array, rows: Array, columns: Array) -> tuple[Array, Array]:
    """Rows and columns of the sheared mask, (rows, columns), set outside of the picture too; and where that is."""
    at = rows[:, None] + shear[columns]
    outside = (at < 0) | (at >= len(mask))  # where a line has left the picture at its corner
    return mask[np.clip(at, 0, len(mask) - 1), columns] | outside, outside


def _run_lengths(mask: Array) -> Array:
    """The length of the vertical run that each pixel (H, W) of the mask is in; 0 outside of it."""
    height = len(mask)
    rows = np.arange(height)[:, None]
    before = np.maximum.accumulate(np.where(mask, -1, rows), axis=0)  # the last row above that is not set
    after = np.minimum.accumulate(np.where(mask, height, rows)[::-1], axis=0)[::-1]
    return np.where(mask, after - before - 1, 0)


def _spread_over_runs(mask: Array, some: Array) -> Array:
    """All pixels of those vertical runs of the mask that have a pixel of `some` in them."""
    starts = mask & ~np.pad(mask, ((1, 0), (0, 0)))[:-1]
    number = starts.cumsum(axis=0)  # of the run in its column
    stride = len(mask) + 1
    key = number + np.arange(mask.shape[1]) * stride
    return mask & np.isin(key, key[some])
