"""The ground that a digit is drawn on, and how far each pixel stands out from it where the ground is divided out.

A pixel's brightness is light times reflectance (Land and McCann, "Lightness and retinex theory", J. Opt. Soc. Am. 61, 1971), so
what is wanted is its ratio to the ground beside it. Three estimates of the ground, from the simplest on:

    constant   one level, the median of the outermost pixels or of all
    surface    exp of a quadratic in the pixel's position, fitted to the logarithms by iteratively reweighted least squares
               with Tukey's biweight, which leaves out what lies far from the fit: a lamp to one side, a lens darker in its
               corners
    local      the median of a window, which follows a shadow's edge and not a stroke (Tukey, "Exploratory Data Analysis", 1977)

Each is given as the least and the most that the ground may be at a pixel: beside a shadow's edge, it is what is on both sides.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from engine.typing import Array

DARK = 12.0  # of 255: added to brightness before it is divided, since a camera's black is no ratio
COARSE, WINDOW = 64, 33  # pixels: the longer side of the picture whose median is taken, and its window's
FIT, STEPS = 48, 12  # pixels of the picture that a surface is fitted to, and steps of it
FIRST, LAST = 0.8, 0.1  # the residual (of logarithms) from which a pixel is an outlier, at the first and the last step

Ground = tuple[Array, Array]  # the least and the most it may be, each broadcast to (H, W, C)


def outermost(picture: Array, depth: int = 0) -> Array:
    """The outermost pixels of a picture (H, W, C), or those `depth` further in: (P, C)."""
    inner = picture[depth : len(picture) - depth, depth : picture.shape[1] - depth]
    return np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])


def constant(pixels: Array) -> Ground:
    """The median of pixels (P, C), everywhere."""
    level = np.median(pixels, axis=0)
    return level, level


def surface(picture: Array) -> Ground:
    """A smooth surface through most of the picture (H, W, C)."""
    small = np.log(resized(picture, FIT) + DARK)  # (h, w, C)
    terms, y = _quadratic(*small.shape[:2]), small.reshape(-1, small.shape[2])
    fit = np.median(y, axis=0) + np.zeros_like(y)
    for far in np.geomspace(FIRST, LAST, STEPS):
        outlying = np.abs(y - fit).max(axis=1) / far
        weights = np.where(outlying < 1, (1 - outlying**2) ** 2, 0) + 1e-6  # (P,)
        weighted = terms.T * weights
        fit = terms @ np.linalg.solve(weighted @ terms + 1e-9 * np.eye(6), weighted @ y)
    level = _stretched(np.exp(fit).reshape(small.shape) - DARK, picture.shape)
    return level, level


def local(picture: Array) -> Ground:
    """The median around each pixel of the picture (H, W, C), from the least to the most of those next to it."""
    small = resized(picture, COARSE)
    medians = [_bytes(small[..., c]).filter(ImageFilter.MedianFilter(WINDOW)) for c in range(small.shape[2])]
    levels = []
    for edge in (ImageFilter.MinFilter(3), ImageFilter.MaxFilter(3)):
        channels = [np.asarray(median.filter(edge), float) for median in medians]
        levels.append(_stretched(np.stack(channels, axis=-1), picture.shape))
    return levels[0], levels[1]


def difference(picture: Array, ground: Ground) -> Array:
    """How much brighter each pixel (H, W, C) is than the ground, in levels of a picture lit evenly; darker is negative."""
    nearest = np.clip(picture, *ground)
    typical = np.median(np.broadcast_to((ground[0] + ground[1]) / 2, picture.shape), axis=(0, 1))  # (C,)
    return (picture - nearest) * ((typical + DARK) / (nearest + DARK))


def resized(picture: Array, longest: int) -> Array:
    """The picture (H, W, C) with a longer side of so many pixels where it has more, each a mean."""
    height, width = picture.shape[:2]
    if max(height, width) <= longest:
        return picture
    scale = longest / max(height, width)
    return _scaled(picture, max(1, round(height * scale)), max(1, round(width * scale)), Image.Resampling.BOX)


def _stretched(small: Array, shape: tuple[int, ...]) -> Array:
    return _scaled(small, shape[0], shape[1], Image.Resampling.BILINEAR)


def _scaled(picture: Array, height: int, width: int, by: Image.Resampling) -> Array:
    channels = [Image.fromarray(picture[..., c].astype(np.float32)) for c in range(picture.shape[2])]
    return np.stack([np.asarray(channel.resize((width, height), by), float) for channel in channels], axis=-1)


def _bytes(channel: Array) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(channel), 0, 255).astype(np.uint8))


def _quadratic(height: int, width: int) -> Array:
    """The terms 1, y, x, y^2, xy and x^2 at each pixel, (height * width, 6), y and x from -1 to 1."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([np.ones_like(y), y, x, y * y, x * y, x * x], axis=-1).reshape(-1, 6)
