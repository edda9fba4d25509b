"""From whatever mode a picture has to 8 bits of red, green and blue, or to the pixels that a digit is looked for in."""

from __future__ import annotations

import numpy as np
from PIL import Image

from engine.typing import Array


def to_eight_bits(picture: Image.Image) -> Image.Image:
    """The picture itself, or one of 8 bits where it has 16 bits of grey."""
    if picture.mode.startswith("I"):
        return Image.fromarray(np.clip(np.asarray(picture) // 257, 0, 255).astype(np.uint8))
    return picture


def to_rgb(picture: Image.Image) -> Image.Image:
    """The picture in the mode RGB, whatever its own (grey, a palette, CMYK, ...); what is transparent becomes white."""
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    picture = to_eight_bits(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def to_pixels(picture: Image.Image, longest: int) -> Array:
    """The picture's channels (H, W, C) in 0 .. 255, one where all is grey; with a longer side of so many pixels where it has
    more.

    Where it is transparent, it gets a ground that what is drawn stands out from.
    """
    transparent = picture.has_transparency_data
    picture = picture.convert("RGBA" if transparent else "RGB")
    picture.thumbnail((longest, longest))
    pixels = np.asarray(picture).astype(np.float64)
    if transparent:
        drawn, opaque = pixels[..., :3], pixels[..., 3:] / 255
        dark = (drawn.mean(axis=2, keepdims=True) * opaque).sum() < 127.5 * opaque.sum()
        pixels = drawn * opaque + (255 if dark else 0) * (1 - opaque)
    return pixels[..., :1] if (np.ptp(pixels, axis=2) < 1).all() else pixels


def along_strongest_colour(difference: Array) -> Array:
    """Differences of colour (H, W, C) along the axis in which they are largest, (H, W); those of grey have their own size.

    The axis is the first principal component about 0, so that red ink on a red ground stands out by what differs.
    """
    if difference.shape[2] == 1:
        return difference[..., 0]
    flat = difference.reshape(-1, 3)
    axis = np.linalg.eigh(flat.T @ flat)[1][:, -1]
    return difference @ axis * ((1 if axis.sum() >= 0 else -1) / np.sqrt(3))
