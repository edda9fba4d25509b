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


def open_picture(path: Path) -> Image.Image:
    """The picture in a file of one of these formats, or the first of several, upright and decoded, of 8 bits a channel.

    Raises:    UserError for a file that cannot be read as a picture, or has too many pixels or bytes.
    """
    if not os.path.isfile(path):  # unlike Path.is_file it never raises
        what = "is a folder" if os.path.isdir(path) else "is not there"
        raise UserError(f"{path} {what}: give the path of a {KINDS} file.")
    if os.path.getsize(path) > MAX_BYTES:
        raise UserError(f"{path} has more than {MAX_BYTES:,} bytes: give a smaller picture.")
    try:
        file = io.BytesIO(path.read_bytes())  # Pillow asks for as much as a chunk claims; a file would set it all aside
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as picture:
                upright = ImageOps.exif_transpose(picture)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise UserError(f"{path} has more than {limit} pixels: give a smaller picture.") from None
    except Exception as error:  # Pillow reports damage with nearly any exception
        reason = "may not be read" if isinstance(error, PermissionError) else f"cannot be read as a {KINDS} picture"
        raise UserError(f"{path} {reason}: give an intact file of one of these kinds.") from error
    return to_eight_bits(upright)


def read_picture(path: Path, height: int, width: int) -> np.ndarray:
    """The picture in a file as a colour image (height, width, 3) uint8.

    What is transparent becomes white. A picture of another size is cut to the middle of the right proportions and resized.

    Raises:    UserError as `open_picture`.
    """
    picture = to_rgb(open_picture(path))
    if picture.size != (width, height):
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture)
