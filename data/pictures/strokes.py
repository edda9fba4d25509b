"""Which pixels of a picture are the digit: what hangs together, stands apart from the edge, and has a digit's shape.

Given is how far each pixel stands out from the ground. The mask of what does is cleared of ruled lines and of what hangs on the
edge of the picture (a frame, a table, a thumb); the largest component left is a digit, with the parts close to it, such as the
bar of a 5. Specks are small. Whatever else is as large is another digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.pictures.boxes import dilate, thickness
from data.pictures.components import Component, components
from data.pictures.lines import without_lines
from engine.typing import Array

FAINTEST = 24  # of 255: how far a digit must stand out from its ground
FAINTER = 0.4  # of the level of all that stands out: a digit's, at least
LITTLE = 4  # what else stands out has at most so many times a digit's energy
NOISE = 5  # times the typical difference of two neighbours it must stand out, too
SHARE = 0.4  # of the ink's level, from which on a pixel is ink
DRAWN, DRAWN_SHARE = 64, 0.25  # a smaller picture is no photograph, and each of its tones is meant: the share there
SPECK, PART, OTHER = 0.12, 0.12, 0.4  # of the digit's size: a speck's, the gap to a part of it, another digit's height
SMALLEST = 0.08  # of the picture's longer side: a digit's longer one
MOST_WIDE = 1.9  # times as wide as high
THINNEST, SOLID = 0.03, 0.5  # of a digit's longer side: its thickest stroke
FULL = 0.75  # of its box: ink, at most
MANY = 12  # what has more digits than this is a texture

NOTHING = "shows no digit: nothing stands out from its ground"
EDGE = "shows no digit that stands apart from the picture's edge"
SHAPE = "shows no digit: what stands out has not the shape of one"
SEVERAL = "shows {} digits"
TEXTURE = "shows no digit: too much stands out from its ground"


@dataclass(frozen=True)
class Found:
    """What was found on one estimate of the ground.

    mask        -- of the digit, or the digits (H, W)
    erased      -- of lines that were taken off (H, W)
    level       -- how far its ink stands out
    refusal     -- why it is not one digit; empty where it is
    unexplained -- how much else stands out: the mean square over the picture, of 1; what hangs on the edge counts half
    """

    mask: Array
    erased: Array
    level: float
    refusal: str
    unexplained: float


def find_digit(ink: Array) -> Found:
    """The digit in how far each pixel stands out, (H, W): ink is positive, what is on the other side of the ground negative."""
    photograph = max(ink.shape) >= DRAWN
    share = SHARE if photograph else DRAWN_SHARE
    noise = float(np.median(np.abs(np.diff(ink, axis=1)))) if photograph and ink.shape[1] > 1 else 0.0
    least = max(FAINTEST, NOISE * noise)
    strong, nothing = ink >= least, np.zeros(ink.shape, bool)
    if not strong.any():
        return Found(nothing, nothing, 0.0, NOTHING, 2 * _energy(ink, np.abs(ink) >= least))
    cleaned = without_lines(strong)
    other = ink <= -least
    edge = _at_edge(cleaned)
    weights = (cleaned | other) * np.where(edge | _at_edge(other), 0.5, 1.0)  # (H, W), of what has to be explained
    best = None
    for inked in (cleaned, cleaned & ~edge):
        if not inked.any():
            continue
        level = _level(ink[inked])
        mask = without_lines(cleaned & (ink >= max(least, share * level)))
        digits, refusal = _digits(mask)
        unexplained = _energy(ink, weights * ~dilate(digits, blurred(ink)))
        if digits.any():
            level = float(np.percentile(ink[digits], 75 if photograph else 100))
            faint = level < FAINTER * _level(np.abs(ink[weights > 0]))
            if not refusal and (faint or unexplained > LITTLE * _energy(ink, digits)):
                refusal = EDGE
        found = Found(digits, strong & ~cleaned & ~mask, level, refusal, unexplained)
        if best is None or found.unexplained < best.unexplained:
            best = found
    return best or Found(nothing, nothing, 0.0, EDGE, _energy(ink, weights))


def blurred(ink: Array) -> int:
    """How many pixels the edge of a stroke is wide."""
    return 1 + max(ink.shape) // 200


def _energy(ink: Array, weights: Array) -> float:
    return float((np.minimum(np.abs(ink), 255) ** 2 * weights).mean() / 255**2)


def _level(ink: Array) -> float:
    """How far ink stands out: a mean in which what stands out most has most of the weight."""
    return float((ink**3).sum() / (ink**2).sum())


def _at_edge(mask: Array) -> Array:
    """What of a mask hangs on the edge of the picture."""
    labels, found = components(mask)
    return np.isin(labels, [c.label for c in found if c.touches_edge(mask.shape)])


def _digits(mask: Array) -> tuple[Array, str]:
    """The digit of a mask (H, W), or the digits, and why it is not one."""
    labels, found = components(mask)
    nothing = np.zeros_like(mask)
    inner = sorted((c for c in found if not c.touches_edge(mask.shape)), key=lambda c: (c.size, c.area), reverse=True)
    least = max(3, SMALLEST * max(mask.shape))
    if not inner or inner[0].size < least:
        return nothing, EDGE if any(c.size >= least for c in found) else NOTHING
    main, rest = inner[0], [c for c in inner[1:] if c.size >= SPECK * inner[0].size]
    others = [c for c in rest if c.height >= OTHER * main.height and _beside(c, main)]
    if len(others) >= MANY:
        return nothing, TEXTURE
    if others:
        return np.isin(labels, [main.label, *(c.label for c in others)]), SEVERAL.format(1 + len(others))
    digit = labels == main.label
    reach = max(1, round(PART * main.size))
    near = dilate(digit, reach)
    touched = set(np.unique(labels[near]).tolist())
    if any(c.label in touched and c.touches_edge(mask.shape) and c.size >= SPECK * main.size for c in found):
        return nothing, EDGE
    digit = np.isin(labels, [main.label, *(c.label for c in rest if c.label in touched)])
    return (digit, "") if _shaped(digit) else (nothing, SHAPE)


def _beside(c: Component, main: Component) -> bool:
    """Whether a component stands beside the main one, or below it, and not on it."""
    apart = max(c.left - main.right, main.left - c.right, c.top - main.bottom, main.top - c.bottom)
    overlap = min(c.right, main.right) - max(c.left, main.left)
    return apart > PART * main.size or (overlap < 0.3 * min(c.width, main.width) and c.height >= 0.6 * main.height)


def _shaped(digit: Array) -> bool:
    """Whether it is as wide and as thick as a digit may be."""
    height, width = (int(np.ptp(np.flatnonzero(digit.any(axis=axis)))) + 1 for axis in (1, 0))
    thick, size = thickness(digit), max(height, width)
    if max(digit.shape) < DRAWN:
        return True
    filled = digit.sum() > FULL * height * width and width > 0.4 * height
    bare = thick < THINNEST * size and min(height, width) < 2 * THINNEST * size
    return width <= MOST_WIDE * height and thick < SOLID * size and not filled and not bare
