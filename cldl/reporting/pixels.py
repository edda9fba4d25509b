"""Images as a terminal shows them, two pixels to a character, and as a picture file that can be looked at."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from engine.errors import UserError
from engine.typing import Array

COLUMNS = 56  # of the terminal: wider images are made smaller
SIDE = 224  # pixels of an image's longer side in a file, or a little less: each pixel is enlarged by a whole number
GAP, AROUND = 8, 128  # pixels between two images, and the grey between them
BLOCKS = " ▀▄█"  # by 1 for the upper pixel and 2 for the lower one


def half_blocks(image: Array, colours: bool) -> str:
    """An image (H, W, C) uint8 as lines of half blocks; without colours, a pixel is bright from 128 on.

    >>> print(half_blocks(np.array([[[255], [0], [255]], [[0], [255], [255]]], np.uint8), colours=False))
    ▀▄█
    """
    picture = Image.fromarray(np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.uint8))
    picture.thumbnail((COLUMNS, 2 * COLUMNS))
    pixels = np.asarray(picture)
    pixels = np.pad(pixels, ((0, len(pixels) % 2), (0, 0), (0, 0)))
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):  # (W, 3) each
        if colours:
            pairs = zip(upper.tolist(), lower.tolist(), strict=True)
            cells = ("\x1b[38;2;{};{};{};48;2;{};{};{}m▀".format(*a, *b) for a, b in pairs)
            lines.append("".join(cells) + "\x1b[0m")
        else:
            bright = (upper.mean(axis=1) >= 128) + 2 * (lower.mean(axis=1) >= 128)
            lines.append("".join(BLOCKS[i] for i in bright).rstrip())
    return "\n".join(lines)


def write_images(path: Path, images: Sequence[Array]) -> None:
    """Write images (H, W, C) uint8 of one shape to a picture file, beside each other and enlarged.

    Raises:    UserError where it cannot be written, or its name is of no kind of picture.
    """
    height, width, _ = images[0].shape
    scale, across = max(1, SIDE // max(height, width)), min(len(images), 10)
    down, step = -(-len(images) // across), (scale * height + GAP, scale * width + GAP)
    sheet = Image.new("RGB", (across * step[1] + GAP, down * step[0] + GAP), (AROUND,) * 3)
    for i, image in enumerate(images):
        pixels = np.broadcast_to(image, (height, width, 3)).repeat(scale, axis=0).repeat(scale, axis=1)
        sheet.paste(Image.fromarray(pixels), (GAP + i % across * step[1], GAP + i // across * step[0]))
    try:
        sheet.save(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no picture's name"
        raise UserError(f"{path} cannot be written ({reason}): give a name such as given.png.") from error


def png(image: Array) -> bytes:
    """An image (H, W, C) uint8 as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(buffer, format="png")
    return buffer.getvalue()
