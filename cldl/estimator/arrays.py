"""What is given as X: vectors, or images of a layout and a range that is certain; all else is refused in a sentence."""

from __future__ import annotations

import os
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from cldl.estimator.conventions import DataError
from engine.typing import Array, Shape

CHANNELS = (1, 3, 4)  # of usual images
LAYOUT = "images (N, H, W, C), the channels last"
PIXELS = "give bytes 0..255, or floats 0..1"
BRIGHT = 100  # where pixels are as large as this, they are on a scale to 255
LARGE = 8  # where pixels are as large as this, a scale to 1 is another one


def of_one_shape(name: str, values: Any) -> Array:
    """The values as an array; raises DataError where some have another shape than others."""
    try:
        return np.asarray(values)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise DataError(
            f"{name} has elements of several shapes: bring them to one, as images by resizing them."
        ) from None


def as_array(X: Any) -> Array:
    """X as an array of numbers or booleans; raises DataError, or what NumPy raises, for what makes none."""
    if hasattr(X, "tocsr"):
        raise DataError("X is a sparse matrix, and dense arrays are needed: give X.toarray().")
    first = X[0] if isinstance(X, list | tuple) and X else X
    if isinstance(first, str | PathLike):
        raise DataError(
            f"X is the name of a file, {os.fspath(first)!r}, and an array of pixels is needed: for files there is the command "
            "cldl.predict."
        )
    X = of_one_shape("X", X)
    if X.dtype.kind == "c":
        raise DataError("Complex data not supported: give real numbers.")
    if X.dtype.kind not in "biuf":
        X = X.astype(np.float64)
    if X.ndim < 2:
        raise DataError(
            f"X has shape {X.shape}, expected (N, ...), a sample a row. Reshape your data: X.reshape(1, -1) is one sample of "
            "several numbers, X.reshape(-1, 1) several samples of one."
        )
    if len(X) == 0:
        raise DataError(f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required.")
    if 0 in X.shape:
        raise DataError(f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    if X.dtype.kind == "f" and not np.isfinite(X).all():
        raise DataError("Input X contains NaN or infinity: leave these samples out, or fill the gaps.")
    return X


def as_floats(X: Array) -> Array:
    """Numbers as float32 where they are so, otherwise as float64."""
    return X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)


def find_layout(X: Array) -> Array:
    """Images (N, H, W, C) of a size that is not known before; raises DataError where the layout is not certain."""
    if X.ndim == 3 and X.shape[-1] not in CHANNELS:
        return X[..., None]
    if X.ndim == 4:
        first, last = X.shape[1], X.shape[-1]
        if last in CHANNELS and first not in CHANNELS:
            return X
        if first in CHANNELS and last not in CHANNELS:
            return X.transpose(0, 2, 3, 1)
        if last < min(X.shape[1:3]):
            return X
    raise DataError(
        f"X has shape {X.shape}, and it is not certain which axes are rows, columns and channels: give {LAYOUT}"
        + (", or vectors (N, F) with model=None." if X.ndim == 2 else ".")
    )


def fit_layout(X: Array, shape: Shape) -> Array:
    """The samples in the layout of a network's input; raises DataError where that is not certain.

    Taken are images without their axis of one channel, with the channels first, and of one channel as rows.
    """
    own = X.shape[1:]
    if own == shape:
        return X
    if len(shape) == 3:
        H, W, C = shape
        if C == 1 and own in ((H, W), (1, H, W), (H * W,)):
            return X.reshape(-1, H, W, 1)
        if own == (C, H, W):
            return X.transpose(0, 2, 3, 1)
    if X.shape == shape or (len(shape) == 3 and shape[2] == 1 and X.shape == shape[:2]):
        raise DataError(f"X has shape {X.shape}, which is one sample without its first axis: give X[None].")
    if len(shape) == 1 and X.ndim == 2:
        raise DataError(f"X has {own[0]} features, but CldlClassifier is expecting {shape[0]} features as input.")
    wanted = f"images {shape}" if len(shape) == 3 else f"samples {shape}"
    raise DataError(f"X has samples of shape {own}, and the network takes {wanted}: resize or rearrange them.")


def as_bytes(X: Array, most: float = 255.0) -> Array:
    """Pixels as bytes, where it is certain how; otherwise raises DataError.

    Bytes are, and booleans; whole numbers from 0 to 255 of which one is above 1, too; and floats from 0 to 1 of which one is a
    fraction are multiplied by 255 and rounded. `most` is the largest byte that a network was trained on.
    """
    if X.dtype == bool:
        return X * np.uint8(255)
    low, high = float(X.min()), float(X.max())
    if low < 0 or high > 255:
        raise DataError(f"the pixels are from {low:g} to {high:g}; {PIXELS}.")
    whole = X.dtype.kind in "iu" or bool(np.all(X % 1 == 0))
    if whole and (high > 1 or high == 0 or most < BRIGHT):
        return X.astype(np.uint8, copy=False)
    if whole:
        raise DataError(f"the pixels are all 0 or 1, and it is not certain whether 1 is white; {PIXELS}, or booleans.")
    if high <= 1 and most >= BRIGHT:
        return np.round(255 * X).astype(np.uint8)
    raise DataError(f"the pixels are fractions from {low:g} to {high:g}; {PIXELS}.")


@dataclass(frozen=True)
class PixelRange:
    """The pixels that a network was trained on: bytes or floats, and from where to where; new ones are held against them."""

    is_bytes: bool
    low: float
    high: float

    @classmethod
    def of(cls, X: Array) -> PixelRange:
        """That of the training images."""
        return cls(X.dtype == np.uint8, float(X.min()), float(X.max()))

    def fit(self, X: Array) -> Array:
        """Pixels in this range; raises DataError where they are in another, and it is not certain how to bring them here.

        What lies outside the range by more than its width is refused, and so are 0..1 where the range is many times as large, and
        bytes where it is larger than theirs.
        """
        is_coarse = X.dtype == np.uint8 and self.high > 255
        are_bytes = X.dtype.kind in "iu" and X.min() >= 0 and 1 < X.max() <= 255
        if self.is_bytes:
            X = as_bytes(X, self.high)
        elif X.dtype == bool or (are_bytes and self.low >= 0 and self.high <= 1):
            X = as_bytes(X) / 255
        else:
            X = as_floats(X)
        low, high, width = float(X.min()), float(X.max()), self.high - self.low
        is_outside = low < self.low - width or high > self.high + width
        is_faint = self.low >= 0 and self.high >= LARGE and low >= 0 and 0 < high <= 1
        if is_outside or is_faint or is_coarse:
            raise DataError(
                f"the pixels are from {low:g} to {high:g}, and the network was trained on pixels from {self.low:g} to "
                f"{self.high:g}: bring them to that range."
            )
        return X
