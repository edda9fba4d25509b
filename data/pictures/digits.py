"""From a picture of a digit to the image that a network trained on MNIST knows how to read.

MNIST's digits are white on black, fitted into 20 x 20 pixels with their proportions kept, and put into 28 x 28 pixels with
their centre of mass in the middle.

Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998),
section III.A.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from data.pictures.files import open_picture
from engine.errors import UserError
from engine.typing import Array

SIZE, FIT = 28, 20  # pixels: of the image, and of the digit in it
LARGEST = 1024  # pixels; larger pictures are made smaller first
FAINTEST = 24  # of 255: how far a digit must stand out from its ground
FRAME, UNIFORM = 8, 0.9  # a frame is narrower than an eighth of the picture; so much of a ring has one brightness
CONTRAST = 64  # of 255: between a frame and the ground inside it
EDGE = 0.25  # the share of the digit's greatest brightness from which on a pixel is a part of it


def read_digit(path: Path) -> Array:
    """The picture in a PNG or JPEG file as an image (28, 28, 1) uint8.

    A frame around the picture is cut off. The digit is what stands out from the ground (the median of the outermost pixels),
    darker or lighter; the ground becomes black. A picture of 28 x 28 pixels on pure black or white is taken as it is, on another
    ground its digit is made as bright as MNIST's; of any other size, the digit is cut out, fitted and centred.

    Raises:    UserError for a file that cannot be read as a picture, and for a picture without a digit.
    """
    grey = _unframed(_grey(open_picture(path)).astype(np.float64))  # (H, W) in 0 .. 255
    ground = float(np.median(_ring(grey, 0)))
    digit = _on_black(grey - ground)
    if digit.max() < FAINTEST:
        raise UserError(f"{path} shows no digit: nothing stands out from its edge; give a picture of one digit.")
    if grey.shape != (SIZE, SIZE):
        digit = _centred(_fitted(digit / digit.max()))
    elif ground not in (0, 255):
        digit *= 255 / digit.max()
    return np.rint(digit).astype(np.uint8)[..., None]


def _grey(picture: Image.Image) -> Array:
    """Its brightness (H, W); where it is transparent, a ground that what is drawn stands out from."""
    transparent = picture.has_transparency_data
    picture = picture.convert("RGBA" if transparent else "L")
    picture.thumbnail((LARGEST, LARGEST))
    if not transparent:
        return np.asarray(picture)
    drawn, opaque = np.asarray(picture.convert("L")), np.asarray(picture)[..., 3] / 255  # (H, W)
    dark = (drawn * opaque).sum() < 127.5 * opaque.sum()
    return drawn * opaque + (255 if dark else 0) * (1 - opaque)


def _ring(grey: Array, depth: int) -> Array:
    """The outermost pixels, or those `depth` further in."""
    inner = grey[depth : len(grey) - depth, depth : grey.shape[1] - depth]
    return np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])


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


def _fitted(digit: Array) -> Array:
    """The digit, of brightness up to 1, cut out and resized so that its longer side has 20 pixels; brightness to 255."""
    inside = digit >= EDGE
    (top, bottom), (left, right) = (np.flatnonzero(inside.any(axis=axis))[[0, -1]] for axis in (1, 0))
    cut = digit[top : bottom + 1, left : right + 1]
    height, width = (max(1, round(side * FIT / max(cut.shape))) for side in cut.shape)
    resized = np.asarray(Image.fromarray(cut.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
    return 255.0 * resized / resized.max()


def _centred(digit: Array) -> Array:
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
