"""From whatever mode a picture has to 8 bits of red, green and blue."""

from __future__ import annotations

import numpy as np
from PIL import Image


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
