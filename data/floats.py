"""Samples of floats: vectors, or images of other numbers than bytes; and their standardisation.

Their preprocessing is fitted on the training samples, so their scale does not matter:

    x = (v - mean) / std

with one mean and one standard deviation for each number of a vector, or for each channel of an image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from data.dataset import sha256
from engine.context import Context
from engine.device import is_array
from engine.errors import UserError
from engine.typing import REALS, Array, Shape

SAME = 1e-13  # of the largest number: a deviation that is rounding


@dataclass(frozen=True, eq=False)
class FloatSplit:
    """A split in memory: samples (N, ...) of float32 or float64, labels (N,) of any integer type.

    Raises:    UserError for another shape or dtype, and where a number is not finite.

    >>> split = FloatSplit(np.array([[0.5, 2.0], [1.5, 4.0]]), np.array([0, 1]))
    >>> split.shape, split.dtype, len(split)
    ((2,), dtype('float64'), 2)
    """

    samples: Array
    labels: Array

    def __post_init__(self) -> None:
        samples, labels = np.asarray(self.samples), np.asarray(self.labels)
        if samples.dtype not in REALS:
            raise UserError(f"the samples have dtype {samples.dtype}: convert them to float32 or float64")
        if samples.ndim < 2 or 0 in samples.shape:
            raise UserError(
                f"the samples have shape {samples.shape}, expected (N, ...) with none of them 0: reshape them"
            )
        if not np.isfinite(samples).all():
            raise UserError("the samples hold NaN or infinity: leave these samples out, or fill the gaps")
        if labels.dtype.kind not in "iu" or labels.shape != (len(samples),):
            raise UserError(
                f"the labels are {labels.dtype} of shape {labels.shape}, expected ({len(samples)},) integers: give one to each "
                "sample"
            )
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "labels", labels.astype(np.int64))

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def shape(self) -> Shape:
        """Of one sample."""
        return self.samples.shape[1:]

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self.samples.dtype

    def read(self, indices: Array, out: Array) -> None:
        """Copy the samples `indices` (n,) to `out` (n, ...)."""
        np.take(self.samples, indices, axis=0, out=out)

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of samples and labels."""
        return sha256(self)


@dataclass(frozen=True, eq=False)
class Standardise:
    """x = (v - mean) / std along the last axis, (C,) each; computed in float64, so that a large mean loses no digits.

    >>> v = np.array([[0.0, 5.0], [2.0, 5.0]])
    >>> Standardise.fit(v)(v, Context()).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    mean: Array
    std: Array
    sha256: str | None = None

    def __call__(self, images: Array, ctx: Context) -> Array:
        """From samples (n, ..., C) to float32; raises UserError for what are no such samples."""
        if not is_array(images) or images.dtype not in REALS or images.shape[-1:] != self.mean.shape:
            found = f"{images.dtype} of shape {images.shape}" if is_array(images) else f"a {type(images).__name__}"
            raise UserError(
                f"the standardisation was given {found}; floats (n, ..., {len(self.mean)}) are needed: give it samples like "
                "those that it was fitted on."
            )
        centred: Any = ctx.empty(images.shape, np.float64)
        x: Any = ctx.empty(images.shape, np.float32)
        np.subtract(images, ctx.to_device_cached(self.mean), out=centred)
        np.divide(centred, ctx.to_device_cached(self.std), out=x, casting="same_kind")
        return x

    @classmethod
    def fit(cls, samples: Array) -> Standardise:
        """With the means and standard deviations of samples (N, ..., C); a number that is the same in all is divided by 1.

        Raises:    UserError where they are too large to be squared.
        """
        rows = samples.reshape(math.prod(samples.shape[:-1]), samples.shape[-1]).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = rows.mean(axis=0), rows.std(axis=0)
        if not np.isfinite(std).all():
            raise UserError(f"the samples hold numbers as large as {np.abs(rows).max():.3g}: divide them first")
        return cls(mean, np.where(std <= SAME * np.abs(rows).max(axis=0), 1.0, std))
