"""What a transform of images is given is checked here, once, before any kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.device import contiguous, is_array
from engine.errors import UserError
from engine.typing import Array

BYTES = (np.dtype(np.uint8),)


def check_images(transform: str, images: Any, dtypes: tuple[np.dtype, ...]) -> Array:
    """The images (n, H, W, C) in C order; raises UserError unless they are images of one of these dtypes."""
    if not is_array(images) or images.ndim != 4 or images.dtype not in dtypes:
        found = f"{images.dtype} of shape {images.shape}" if is_array(images) else f"a {type(images).__name__}"
        wanted = " or ".join(dtype.name for dtype in dtypes)
        raise UserError(f"{transform} was given {found}; images (n, H, W, C) of {wanted} are needed: convert them.")
    return contiguous(images)


def expect_size(transform: str, images: Array, size: int, fitted: int, what: str) -> None:
    """Raise UserError unless the images have as many channels or numbers as those that the transform was made for."""
    if size != fitted:
        raise UserError(
            f"{transform} was given images of shape {images.shape[1:]}; it was made for {fitted} {what}: give it the data that "
            "it was made for."
        )
