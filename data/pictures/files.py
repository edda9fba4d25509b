"""From a picture in a file to an image of the size that a network takes."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from data.pictures.colours import to_eight_bits, to_rgb
from engine.errors import UserError

MAX_BYTES = 1 << 28
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
KINDS = "PNG, JPEG, WebP, GIF, BMP or TIFF"


def picture_bytes(path: Path) -> bytes:
    """The bytes of a picture's file.

    Raises:    UserError where it is not there, may not be read, or has too many.
    """
    if not os.path.isfile(path):  # unlike Path.is_file it never raises
        other = "is a folder" if os.path.isdir(path) else "is no regular file"
        what = other if os.path.exists(path) else "is not there"
        raise UserError(f"{path} {what}: give the path of a {KINDS} file.")
    if os.path.getsize(path) > MAX_BYTES:
        raise UserError(f"{path} has more than {MAX_BYTES:,} bytes: give a smaller picture.")
    try:
        return path.read_bytes()
    except OSError as error:
        reason = "may not be read" if isinstance(error, PermissionError) else f"cannot be read as a {KINDS} picture"
        raise UserError(f"{path} {reason}: give an intact file of one of these kinds.") from error


def decode_picture(data: bytes, name: str) -> Image.Image:
    """The picture in the bytes of a file of one of these formats, or the first of several, upright, of 8 bits a channel.

    name -- what the picture is called in a refusal

    Raises:    UserError for what cannot be read as a picture, has too many pixels, or has floating-point ones.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # of bytes in memory: Pillow asks for as much as a chunk claims, and a file would set it all aside
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                upright = ImageOps.exif_transpose(picture)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise UserError(f"{name} has more than {limit} pixels: give a smaller picture.") from None
    except Exception as error:  # Pillow reports damage with nearly any exception
        raise UserError(
            f"{name} cannot be read as a {KINDS} picture: give an intact file of one of these kinds."
        ) from error
    if upright.mode == "F":
        raise UserError(
            f"{name} has floating-point pixels, of which nothing says what white is: save it with 8 or 16 bits a channel."
        )
    return to_eight_bits(upright)


def fit_picture(data: bytes, name: str, height: int, width: int) -> np.ndarray:
    """The picture in the bytes of a file as a colour image (height, width, 3) uint8.

    What is transparent becomes white. A picture of another size is cut to the middle of the right proportions and resized.

    Raises:    UserError as `decode_picture`.
    """
    picture = to_rgb(decode_picture(data, name))
    if picture.size != (width, height):
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def read_picture(path: Path, height: int, width: int) -> np.ndarray:
    """The picture in a file, as by `fit_picture`; raises UserError as `picture_bytes` too."""
    return fit_picture(picture_bytes(path), str(path), height, width)
