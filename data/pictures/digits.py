"""From a picture of a digit to the image that a network trained on MNIST knows how to read, or a refusal in a sentence.

Several estimates of the ground are tried, with a frame cut off and without, and ink both darker and lighter than the ground. The
one that is believed leaves the least unexplained of what stands out: one digit where it finds one, and a refusal where it finds
none, or several.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data.pictures.boxes import dilate
from data.pictures.colours import along_strongest_colour, to_pixels
from data.pictures.files import decode_picture, picture_bytes
from data.pictures.frame import without_frame
from data.pictures.ground import Ground, constant, difference, local, outermost, surface
from data.pictures.mnist_form import SIZE, as_it_is, centred, fitted
from data.pictures.strokes import DRAWN, Found, blurred, find_digit
from engine.errors import UserError
from engine.typing import Array

LARGEST = 400  # pixels; larger pictures are made smaller first
CUT, SIMPLER = 0.1, 0.0005  # penalties: times the share of the picture cut off, and times the ground's rank


def read_digit(path: Path) -> Array:
    """The digit in a picture file, as by `decode_digit`; raises UserError for a file that cannot be read, too."""
    return decode_digit(picture_bytes(path), str(path))


def decode_digit(data: bytes, name: str) -> Array:
    """The digit in the bytes of a picture file as an image (28, 28, 1) uint8; `name` is what a refusal calls it.

    A picture of 28 x 28 pixels on pure black or white is one of MNIST's, but for a frame, and is taken as it is; on another
    ground its digit is made as bright as MNIST's. Of any other size, the digit is what is connected and stands out from the
    ground, darker or lighter; it is cut out, fitted and centred.

    Raises:    UserError for what cannot be read as a picture, and for a picture without a digit, or with several.
    """
    picture = to_pixels(decode_picture(data, name), LARGEST)  # (H, W, C) in 0 .. 255
    try:
        image = as_it_is(picture) if picture.shape[:2] == (SIZE, SIZE) else read_pixels(picture)
    except UserError as error:
        raise UserError(f"{name} {error}; give a picture of one digit.") from None
    return np.rint(image).astype(np.uint8)[..., None]


def read_pixels(picture: Array) -> Array:
    """The digit in a picture (H, W, C) in 0 .. 255, fitted and centred: (28, 28) in 0 .. 255.

    Raises:    UserError, with the predicate of a sentence, where there is not one digit.
    """
    found, ink = min(_explanations(picture), key=lambda explained: explained[0])[1:]
    if found.refusal:
        raise UserError(found.refusal)
    near = dilate(found.mask, blurred(ink)) & ~(dilate(found.erased, 1) & ~found.mask)
    return centred(fitted(np.where(near, np.clip(ink / found.level, 0, 1), 0)))


def _explanations(picture: Array) -> Iterator[tuple[float, Found, Array]]:
    """What may be seen in a picture: how much is left unexplained, what was found, and how far each pixel stands out (h, w)."""
    inside, sides = without_frame(picture) if min(picture.shape[:2]) >= SIZE else (picture, 0)
    wholes = [(inside, CUT * (1 - inside.size / picture.size))] if sides else []
    if sides < 4:  # what has an edge on every side is a frame, else it may be a shadow
        wholes.append((picture, 0.0))
    for whole, cut in wholes:
        for rank, ground in enumerate(_grounds(whole)):
            stands_out = along_strongest_colour(difference(whole, ground))
            for ink in (stands_out, -stands_out):
                found = find_digit(ink)
                yield found.unexplained + cut + SIMPLER * rank, found, ink


def _grounds(picture: Array) -> Iterator[Ground]:
    """Estimates of the ground, from the simplest on."""
    yield constant(outermost(picture))
    yield constant(picture.reshape(-1, picture.shape[2]))
    if max(picture.shape) < DRAWN:
        return
    yield surface(picture)
    yield local(picture)
