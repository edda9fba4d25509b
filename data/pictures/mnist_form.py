"""The form of MNIST's digits: white on black, in 20 x 20 pixels, in the middle of 28 x 28.

Digits are fitted into 20 x 20 pixels with their proportions kept, and put into 28 x 28 pixels with their centre of mass in the
middle.

Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998),
section III.A.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from data.pictures.ground import outermost
from data.pictures.strokes import FAINTEST, NOTHING
from engine.errors import UserError
from engine.typing import Array

SIZE, FIT = 28, 20  # pixels: of the image, and of the digit in it
FRAME, UNIFORM = 8, 0.9  # a frame is narrower than an eighth of the picture; so much of a ring has one brightness
CONTRAST = 64  # of 255: between a frame and the ground inside it
EDGE = 0.25  # the share of the digit's greatest brightness from which on a pixel is a part of it


def as_it_is(picture: Array) -> Array:
    """A picture (28, 28, C) in 0 .. 255 as it is, (28, 28), its ground made black; a frame is cut off, and what is inside fitted.

    Raises:    UserError where nothing stands out.
    """
    grey = _unframed(picture.mean(axis=2))
    ground = float(np.median(_ring(grey, 0)))
    digit = _on_black(grey - ground)
    if digit.max() < FAINTEST:
        raise UserError(NOTHING)
    if grey.shape != (SIZE, SIZE):
        return centred(fitted(digit / digit.max()))
    return digit if ground in (0, 255) else digit * (255 / digit.max())


def fitted(digit: Array) -> Array:
    """The digit, of brightness up to 1, cut out and resized so that its longer side has 20 pixels; brightness to 255."""
    inside = digit >= EDGE
    (top, bottom), (left, right) = (np.flatnonzero(inside.any(axis=axis))[[0, -1]] for axis in (1, 0))
    cut = digit[top : bottom + 1, left : right + 1]
    height, width = (max(1, round(side * FIT / max(cut.shape))) for side in cut.shape)
    resized = np.asarray(Image.fromarray(cut.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
    return 255.0 * resized / resized.max()


def centred(digit: Array) -> Array:
    """The digit in 28 x 28 pixels, its centre of mass in the middle as far as it fits."""
    image = np.zeros((SIZE, SIZE))
    window = []
    for axis, side in enumerate(digit.shape):
        mass = digit.sum(axis=1 - axis)
        centre = (np.arange(side) * mass).sum() / mass.sum()
        start = int(np.clip(round(SIZE / 2 - centre), 0, SIZE - side))
        window.append(slice(start, start + side))
    image[tuple(window)] = digit
    return image


def _ring(grey: Array, depth: int) -> Array:
    """The outermost pixels, or those `depth` further in."""
    return outermost(grey[..., None], depth)[:, 0]


def _unframed(grey: Array) -> Array:
    """What is inside a frame: uniform rings, and inside them a uniform one of another brightness, which is the ground."""
    if min(grey.shape) < SIZE:
        return grey
    outermost = np.median(_ring(grey, 0))
    for depth in range(min(grey.shape) // FRAME + 1):
        ring, inner = _ring(grey, depth), _ring(grey, depth + 1)
        brightness = np.median(ring)
        if np.mean(np.abs(ring - brightness) < FAINTEST) < UNIFORM:
            return grey
        if abs(brightness - outermost) > CONTRAST and abs(np.median(inner) - brightness) < FAINTEST:
            return grey[depth:-depth, depth:-depth]
    return grey


def _on_black(difference: Array) -> Array:
    """The digit on black, from the differences to the ground; dark or light, whichever stands out more."""
    light, dark = np.clip(difference, 0, None), np.clip(-difference, 0, None)
    return light if np.square(light).sum() >= np.square(dark).sum() else dark
