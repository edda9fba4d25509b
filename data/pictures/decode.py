"""One image of a data set, from the bytes of its file to 8 bits of red, green and blue: by several threads at a time.

Pillow decodes. A JPEG file is decoded at a half, a quarter or an eighth of its size where that is still as large as what is
wanted, which libjpeg does as part of the inverse DCT. simplejpeg, the other library that does this, is no faster once the
image is resized too (docs/images.md has the times), so Pillow is the only one.

An error holds the predicate of a sentence, such as "is cut short"; the caller, who knows the file's name, prepends it.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from data.pictures.colours import to_rgb
from engine.errors import UserError

MAX_PIXELS = 100_000_000
MAX_BYTES = 1 << 28
EMPTY = "is empty"
OTHER = "is not a JPEG, PNG, GIF, BMP or WebP image"
CUT = "is cut short"
DAMAGED = "is damaged"
LARGE = f"has more than {MAX_PIXELS:,} pixels"
LONG = f"has more than {MAX_BYTES:,} bytes"
ORIENTATION = 0x0112  # of EXIF
TURNS = {  # what makes an image of each orientation upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_quiet = threading.Lock()  # held while Pillow reads a header, as it may warn


class Encoded:
    """The image in the bytes of a file, of which the header has been read: its size, upright, is `height` and `width`.

    The format is detected from the file's first bytes, not from its name.

    Raises:    UserError for what is no such image, or a larger one than is read.
    """

    def __init__(self, data: bytes) -> None:
        if not data:
            raise UserError(EMPTY)
        if len(data) > MAX_BYTES:
            raise UserError(LONG)
        with _refusing(), _quiet, warnings.catch_warnings():  # warning filters are global to the process
            warnings.simplefilter("ignore")
            opened = _plugin(data)(io.BytesIO(data))
            turn = _orientation(opened)
        if opened.size[0] * opened.size[1] > MAX_PIXELS:  # Pillow's own limit is a warning, which threads share
            raise UserError(LARGE)
        self._picture = opened
        self._turn = TURNS.get(turn)
        self._on_its_side = self._turn in (TURNS[5], TURNS[6], TURNS[7], TURNS[8])
        width, height = opened.size
        self.height, self.width = (width, height) if self._on_its_side else (height, width)

    def decode(self, height: int = 0, width: int = 0) -> Image.Image:
        """The image upright, in the mode RGB: whole, or smaller by DCT scaling, though not below this height and width.

        Raises:    UserError where it is damaged or cut short.
        """
        picture = self._picture
        if height and width:
            picture.draft("RGB", (height, width) if self._on_its_side else (width, height))
        with _refusing():
            picture.load()
            rgb = to_rgb(picture)
        return rgb if self._turn is None else rgb.transpose(self._turn)


def _plugin(data: bytes) -> Callable[[io.BytesIO], ImageFile.ImageFile]:
    """What opens a file that begins so."""
    for start, plugin in (
        (b"\xff\xd8\xff", JpegImageFile),
        (b"\x89PNG\r\n\x1a\n", PngImageFile),
        (b"GIF8", GifImageFile),
        (b"BM", BmpImageFile),
    ):
        if data.startswith(start):
            return plugin
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile
    raise UserError(OTHER)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what Pillow raises into a UserError."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # Pillow reports damage with nearly any exception
        raise UserError(CUT if "truncated" in str(error).lower() else DAMAGED) from error


def _orientation(picture: ImageFile.ImageFile) -> int:
    """The orientation that EXIF gives; 1, which is upright, where there is none that can be read."""
    if "exif" not in picture.info:
        return 1
    try:
        return int(picture.getexif().get(ORIENTATION, 1))
    except Exception:
        return 1
