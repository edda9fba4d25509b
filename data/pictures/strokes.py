"""Which pixels of a picture are the digit: what hangs together, stands apart from the edge, and has a digit's shape.

Given is how far each pixel stands out from the ground. The mask of what does is cleared of ruled lines and of what hangs on the edge of the
picture (a frame, a table, a thumb); the largest component left is a digit, with the parts close to it, such as the bar of a 5. Specks
are small. Whatever else is as large is another digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.pictures.boxes import dilate, thickness
from data.pictures.components import Component, components
from data.pictures.lines import without_lines
from engine.typing import Array

FAINTEST = 24  # of 255: how far a digit must stand out from its ground
NOISE = 5  # how many deviations of the ground it must
SHARE = 0.4  # of the ink's level, from which on a pixel is ink
SPECK, PART, OTHER = 0.12, 0.12, 0.4  # of the digit's size: a speck's, the gap to a part of it, another digit's height
SMALLEST = 0.04  # of the picture's longer side: a digit's longer one
WIDEST, THINNEST, SOLID = 1.9, 0.03, 0.5  # width of height; the thickest stroke, of the longer side: at least and at most
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
    refusal     -- why it is not one digit; empty where it is
    unexplained -- the share of the picture that stands out and is no part of it
    """

    mask: Array
    erased: Array
    level: float
    refusal: str
    unexplained: float


def find_digit(ink: Array) -> Found:
    """The digit in how much each pixel stands out, (H, W): positive where it may be ink, negative on the other side of the ground."""
    noise = 1.05 * float(np.median(np.abs(np.diff(ink, axis=1)))) if ink.shape[1] > 1 else 0.0  # 1.4826 / sqrt(2)
    least = max(FAINTEST, NOISE * noise)
    strong = ink >= least
    if not strong.any():
        return Found(strong, strong, 0.0, NOTHING, float((ink <= -least).mean()))
    cleaned = without_lines(strong)
    labels, found = labels0, found0 = components(cleaned)
    inner = np.isin(labels, [c.label for c in found if not c.touches_edge(ink.shape)])
    if not inner.any():
        return Found(inner, strong & ~cleaned, 0.0, EDGE, float((np.abs(ink) >= least).mean()))
    level = float((ink[inner] ** 3).sum() / (ink[inner] ** 2).sum())  # a mean in which strong ink has most of the weight
    mask = without_lines(ink >= max(least, SHARE * level))
    labels, found = components(mask)
    digits, refusal = _digits(mask, labels, found)
    unexplained = _unexplained(ink, digits, cleaned, labels0, found0, least) if digits.any() else 1.0
    if digits.any():
        level = float(np.percentile(ink[digits], 75))
    return Found(digits, strong & ~cleaned & ~mask, level, refusal, unexplained)


def _unexplained(ink, digits, cleaned, labels, found, least):
    """The share of the picture that stands out, on either side, and is no part of the digits; half as bad at the edge."""
    outside = ~dilate(digits, 1 + max(ink.shape) // 200)
    edge = np.isin(labels, [c.label for c in found if c.touches_edge(ink.shape)])
    other = ink <= -least
    labels, found = components(other)
    edge_other = np.isin(labels, [c.label for c in found if c.touches_edge(ink.shape)])
    return float(((cleaned | other) & outside).mean() - 0.75 * ((edge | edge_other) & outside).mean())


def _digits(mask: Array, labels: Array, found: list[Component]) -> tuple[Array, str]:
    """The mask of the digit, or digits, and why it is not one."""
    nothing = np.zeros_like(mask)
    inner = sorted((c for c in found if not c.touches_edge(mask.shape)), key=lambda c: (c.size, c.area), reverse=True)
    if not inner or inner[0].size < max(3, SMALLEST * max(mask.shape)):
        return nothing, EDGE if inner and len(found) > len(inner) else NOTHING
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
        return digit, EDGE
    digit = np.isin(labels, [main.label, *(c.label for c in rest if c.label in touched)])
    return digit, "" if _shaped(digit) else SHAPE


def _beside(c: Component, main: Component) -> bool:
    """Whether a component stands beside the main one, or below it, and not on it."""
    apart = max(c.left - main.right, main.left - c.right, c.top - main.bottom, main.top - c.bottom)
    overlap = min(c.right, main.right) - max(c.left, main.left)
    return apart > PART * main.size or (overlap < 0.3 * min(c.width, main.width) and c.height >= 0.6 * main.height)


def _shaped(digit: Array) -> bool:
    """Whether it is as wide and as thick as a digit may be."""
    height, width = (int(np.ptp(np.flatnonzero(digit.any(axis=axis)))) + 1 for axis in (1, 0))
    thick, size = thickness(digit), max(height, width)
    if digit.sum() > 0.75 * height * width and width > 0.4 * height:
        return False
    return width <= WIDEST * height and THINNEST * size <= thick and (thick < SOLID * size or size < 8)
