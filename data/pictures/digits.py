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

from data.pictures.boxes import dilate
from data.pictures.files import open_picture
from data.pictures.ground import constant, difference, local, outermost, surface
from data.pictures.frame import without_frame
from data.pictures.strokes import FAINTEST, NOTHING, find_digit
from engine.errors import UserError
from engine.typing import Array

SIZE, FIT = 28, 20  # pixels: of the image, and of the digit in it
LARGEST = 400  # pixels; larger pictures are made smaller first
FRAME, UNIFORM = 8, 0.9  # a frame is narrower than an eighth of the picture; so much of a ring has one brightness
REMEDY = "give a picture of one digit"
CONTRAST = 64  # of 255: between a frame and the ground inside it
EDGE = 0.25  # the share of the digit's greatest brightness from which on a pixel is a part of it


def read_digit(path: Path) -> Array:
    """The picture in a file as an image (28, 28, 1) uint8.

    A picture of 28 x 28 pixels on pure black or white is one of MNIST's, but for a frame, and is taken as it is; on another ground its
    digit is made as bright as MNIST's. Of any other size, the digit is what is connected and stands out from the ground, darker or
    lighter; it is cut out, fitted and centred.

    Raises:    UserError for a file that cannot be read as a picture, and for a picture without a digit, or with several.
    """
    picture = _pixels(open_picture(path))  # (H, W, C) in 0 .. 255
    try:
        image = of_mnist(picture) if picture.shape[:2] == (SIZE, SIZE) else None
        image = find(picture) if image is None else image
    except UserError as error:
        raise UserError(f"{path} {error}") from None
    return np.rint(image).astype(np.uint8)[..., None]


def find(picture: Array) -> Array:
    """The digit in a picture (H, W, C), fitted and centred: (28, 28) in 0 .. 255; UserError where there is not one."""
    best = None
    for cut, penalty in _cuts(picture):
        for rank, ground in enumerate(_grounds(cut)):
            contrast = _projected(difference(cut, ground))
            for ink in (contrast, -contrast):
                found = find_digit(ink)
                score = (
                    0 if not found.refusal or found.refusal.endswith("digits") else 2 if found.refusal == NOTHING else 1,
                    found.unexplained + 0.002 * rank + penalty,
                )
                if best is None or score < best[0]:
                    best = score, found, ink
    _, found, ink = best
    if found.refusal:
        raise UserError(f"{found.refusal}; {REMEDY}.")
    reach = 1 + max(ink.shape) // 200
    near = dilate(found.mask, reach) & ~(dilate(found.erased, 1) & ~found.mask)
    return _centred(_fitted(np.where(near, np.clip(ink / found.level, 0, 1), 0)))


def _cuts(picture):
    cut, sides = without_frame(picture)
    if sides < 4:
        yield picture, 0
    if sides:
        yield cut, 0.25 * (1 - cut.size / picture.size)


def _grounds(picture):
    yield constant(outermost(picture))
    yield constant(picture.reshape(-1, picture.shape[2]))
    yield surface(picture)
    yield local(picture)


def of_mnist(picture: Array) -> Array | None:
    """A picture of MNIST's size as it is, its ground made black; None where a frame had to be cut off."""
    grey = _unframed(picture.mean(axis=2))
    ground = float(np.median(_ring(grey, 0)))
    digit = _on_black(grey - ground)
    if digit.max() < FAINTEST:
        raise UserError(f"{NOTHING}; {REMEDY}.")
    if grey.shape != (SIZE, SIZE):
        return _centred(_fitted(digit / digit.max()))
    return digit if ground in (0, 255) else digit * (255 / digit.max())


def _projected(difference: Array) -> Array:
    """The differences (H, W, C) along the colour in which they are largest, (H, W); a difference of grey counts as it is."""
    if difference.shape[2] == 1:
        return difference[..., 0]
    flat = difference.reshape(-1, 3)
    axis = np.linalg.eigh(flat.T @ flat)[1][:, -1]
    return difference @ axis * (np.sign(axis.sum()) / np.sqrt(3))


def _pixels(picture: Image.Image) -> Array:
    """Its channels (H, W, C), one where it is grey; where it is transparent, a ground that what is drawn stands out from."""
    transparent = picture.has_transparency_data
    picture = picture.convert("RGBA" if transparent else "RGB")
    picture.thumbnail((LARGEST, LARGEST))
    pixels = np.asarray(picture).astype(np.float64)
    if transparent:
        drawn, opaque = pixels[..., :3], pixels[..., 3:] / 255
        dark = (drawn.mean(axis=2, keepdims=True) * opaque).sum() < 127.5 * opaque.sum()
        pixels = drawn * opaque + (255 if dark else 0) * (1 - opaque)
    return pixels[..., :1] if (np.ptp(pixels, axis=2) < 1).all() else pixels


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
