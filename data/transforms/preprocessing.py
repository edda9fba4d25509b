r"""Preprocessing: from the bytes of images to what a network sees.

    "scale"     x = (p / 255 - mean) / std, with a mean and a standard deviation that a recipe names
    "standard"  the same for each channel, with the mean and the standard deviation of all training pixels of that channel
    "gcn"       global contrast normalisation: each image's own mean is taken off, and its norm becomes 55
    "gcn_zca"   the same, then ZCA whitening

with p the pixels of an image, 0 to 255. "standard" and "gcn_zca" are fitted on all training images, whatever a run's limits
are, and always to the same bits on one machine. The fit is kept in the cache folder under the fingerprint of the images; its own
SHA-256 goes to the run's config.json, because the last bits of a whitening matrix differ between platforms.

Whitening is applied chunk by chunk, as the chunk enters the network, not once to the whole data set. It costs a matrix
product, 2 D^2 = 0.02 GFLOP an image of CIFAR, where the network's training step takes more than 1 GFLOP. In return
the images stay bytes (184 MB, not 737), training starts at once, `predict` does the same as `train`,
and threads share the work.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from data.dataset import Dataset, Split, is_varied, read_images
from data.disk.read_ahead import ReadAhead
from data.fetch.cache import Arrays, load_or_make
from data.fetch.download import Say, quiet
from data.transforms.border import BYTES, check_images, expect_size
from engine.context import Context
from engine.device import dispatch
from engine.errors import UserError
from engine.io.storage import Attributes, fingerprint
from engine.kernels.cpu import images as kernels
from engine.ops import fused_linear as affine
from engine.runtime.cpu import available_threads
from engine.typing import Array, Shape

NORM = 55.0  # of an image after contrast normalisation
BIAS = 0.1  # is added to the covariance's eigenvalues
Form = dict[str, tuple[Shape, np.dtype]]
ROWS = 5000  # images processed at a time in a fit,
PART_BYTES = 1 << 26  # and their bytes
MOST_WHITENED = 8192  # numbers of an image: P takes 256 MiB then


class Preprocessing(Protocol):
    """From uint8 images (n, H, W, C), or floats (`data.floats`), to float32 of the same shape, in the pass's memory.

    Raises:    UserError for what are no such samples, or have another size than those that it was fitted on.
    """

    @property
    def sha256(self) -> str | None:
        """Of what was fitted, if anything."""

    def __call__(self, images: Array, ctx: Context) -> Array: ...


@dataclass(frozen=True, eq=False)
class Scale:
    """x = (p / 255 - mean) / std; one number for all pixels, or (C,): one for each channel."""

    mean: Array | float = 0.0
    std: Array | float = 1.0
    sha256: str | None = None

    def __call__(self, images: Array, ctx: Context) -> Array:
        images, channels = check_images("the scaling", images, BYTES), self.factor.size
        if channels > 1:
            expect_size("the scaling", images, images.shape[-1], channels, "channels")
        x, rows = ctx.empty(images.shape, np.float32), (-1, channels)
        factor, shift = ctx.to_device_cached(self.factor), ctx.to_device_cached(self.shift)
        dispatch(kernels.scale, images.reshape(rows), x.reshape(rows), factor, shift)
        return x

    def reference(self, images: Array) -> Array:
        """The same in plain NumPy, float64."""
        return (images / 255 - self.mean) / self.std

    @cached_property
    def factor(self) -> Array:
        """1 / (255 std), (1,) or (C,) float32: x = factor p - shift."""
        return np.atleast_1d(np.float32(1 / (255 * self.std)))

    @cached_property
    def shift(self) -> Array:
        """Mean / std, as `factor`."""
        return np.atleast_1d(np.float32(self.mean / self.std))

    @staticmethod
    def form(image: Shape) -> Form:
        """The shapes and dtypes of what `fit` returns for images (H, W, C)."""
        return dict.fromkeys(("mean", "std"), ((image[-1],), np.dtype(np.float64)))

    @classmethod
    def fit(cls, split: Split) -> Arrays:
        """The mean and the standard deviation of each channel, (C,), in units of 255; std is 1 where all pixels are equal."""
        C = split.shape[-1]
        counts = np.zeros((C, 256), np.int64)
        for images in _read_parts(split):  # (n, H, W, C)
            counts += [np.bincount(images[..., c].ravel(), minlength=256) for c in range(C)]
        values, n = np.arange(256) / 255, counts[0].sum()
        mean = (counts * values).sum(axis=1) / n
        variance = (counts * (values - mean[:, None]) ** 2).sum(axis=1) / n
        return {"mean": mean, "std": np.where((counts > 0).sum(axis=1) > 1, np.sqrt(variance), 1.0)}


@dataclass(frozen=True, eq=False)
class Contrast:
    """Global contrast normalisation alone: x = 55 (p - mean p) / ||p - mean p||_2, the g of `Whitening`."""

    sha256: str | None = None

    def __call__(self, images: Array, ctx: Context) -> Array:
        pixels = _rows(check_images("the contrast normalisation", images, BYTES))  # (n, D)
        g = ctx.empty(pixels.shape, np.float32)
        dispatch(kernels.contrast, pixels, g, NORM)
        return g.reshape(images.shape)

    def reference(self, images: Array) -> Array:
        """The same in plain NumPy, float64."""
        p = images.reshape(len(images), -1).astype(np.float64)  # (n, D)
        centred = p - p.mean(axis=1, keepdims=True)
        norm = np.linalg.norm(centred, axis=1, keepdims=True)
        g = NORM * centred / np.where(norm == 0, 1, norm)
        return g.reshape(images.shape)


@dataclass(frozen=True, eq=False)
class Whitening:
    """Global contrast normalisation, then ZCA whitening; D = H W C.

    Forward:   g = 55 (p - mean p) / ||p - mean p||_2 for each image p (D,); 0 for an image of one value
               x = (g - mean) P,  P = V diag(lambda + 0.1)^(-1/2) V^T
    Fit:       mean (D,) and covariance V diag(lambda) V^T (D, D), divided by N, of g over the training images
    Source:    lisa-lab/pylearn2, datasets/cifar100.py (gcn=55.) and datasets/preprocessing.py (ZCA, filter_bias 0.1);
               Coates, Lee and Ng, AISTATS 2011.
    Numerics:  fitted in float64 on one thread, so that the result does not depend on their number; stored and applied in float32.
    """

    mean: Array
    matrix: Array
    sha256: str | None = None

    def __call__(self, images: Array, ctx: Context) -> Array:
        pixels = _rows(check_images("the whitening", images, BYTES))  # (n, D)
        expect_size("the whitening", images, pixels.shape[1], len(self.mean), "pixels and channels")
        x = ctx.empty(pixels.shape, np.float32)
        g = ctx.empty(pixels.shape, np.float32)
        dispatch(kernels.contrast, pixels, g, NORM)
        dispatch(kernels.centre, g, ctx.to_device_cached(self.mean))
        dispatch(affine.multiply, g, ctx.to_device_cached(self.matrix), x)
        return x.reshape(images.shape)

    def reference(self, images: Array) -> Array:
        """The same in plain NumPy, float64, with this mean and P."""
        g = Contrast().reference(images).reshape(len(images), -1)  # (n, D)
        x = (g - self.mean) @ self.matrix
        return x.reshape(images.shape)

    @classmethod
    def fit_reference(cls, images: Array) -> Arrays:
        """What `fit` computes, in plain NumPy."""
        g = Contrast().reference(images).reshape(len(images), -1)  # (N, D)
        mean = g.mean(axis=0)
        covariance = (g - mean).T @ (g - mean) / len(g)  # (D, D)
        values, V = np.linalg.eigh(covariance)  # lambda (D,), V (D, D)
        P = V @ np.diag((values + BIAS) ** -0.5) @ V.T
        return {"mean": mean, "matrix": P}

    @staticmethod
    def form(image: Shape) -> Form:
        """The shapes and dtypes of what `fit` returns for images (H, W, C)."""
        D, dtype = math.prod(image), np.dtype(np.float32)
        return {"mean": ((D,), dtype), "matrix": ((D, D), dtype)}

    @classmethod
    def fit(cls, split: Split) -> Arrays:
        """The mean (D,) and P (D, D), float32."""
        N, D = len(split), math.prod(split.shape)
        g = np.empty((min(N, ROWS), D))

        def parts():
            for images in _read_parts(split):
                rows = g[: len(images)]
                kernels.contrast(images.reshape(len(rows), D), rows, NORM)
                yield rows

        with threadpool_limits(1, user_api="blas"):
            mean = sum(rows.sum(axis=0) for rows in parts()) / N
            covariance = np.zeros((D, D))
            for rows in parts():
                rows -= mean
                covariance += rows.T @ rows
            values, V = np.linalg.eigh(covariance / N + BIAS * np.eye(D))
            P = (V / np.sqrt(values)) @ V.T
        return {"mean": mean.astype(np.float32), "matrix": P.astype(np.float32)}


KINDS: dict[str, type[Scale] | type[Whitening]] = {"standard": Scale, "gcn_zca": Whitening}


def fitted(kind: str, dataset: Dataset, folder: Path | None = None, say: Say = quiet) -> Preprocessing:
    """The preprocessing "standard" or "gcn_zca", fitted on the training images of `dataset`.

    folder -- the cache: it is looked up there first; None fits it and stores nothing

    Raises:    UserError when the cached file is damaged, or the folder cannot be written to; for images too large to whiten.
    """
    cls = KINDS[kind]
    D = math.prod(dataset.train.shape)
    if cls is Whitening and D > MOST_WHITENED:
        raise UserError(
            f"whitening takes a matrix of {D:,} x {D:,} numbers for images "
            f"{tuple(dataset.train.shape)}, and {MOST_WHITENED:,} is the most: choose another preprocessing or smaller images."
        )
    attributes: Attributes = {"fitted_on": dataset.train.fingerprint}

    def make():
        say(f"{dataset.name}: fitting {kind} on {len(dataset.train):,} images, once")
        return cls.fit(dataset.train), attributes

    def check(arrays, found):
        if found != attributes:
            raise UserError(f"was not fitted on these images of {dataset.name}")
        form = {name: (array.shape, array.dtype) for name, array in arrays.items()}
        numbers = all(np.isfinite(array).all() for array in arrays.values()) and np.all(arrays.get("std", 1) > 0)
        if form != cls.form(dataset.train.shape) or not numbers:
            raise UserError(f"does not hold {kind} of images {tuple(dataset.train.shape)}")

    if folder is None:
        arrays = cls.fit(dataset.train)
    else:
        path = folder / f"fit-{kind}-{dataset.train.fingerprint[:16]}.h5"
        arrays, _ = load_or_make(path, kind, make, check, made="fitted")
    return cls(**arrays, sha256=fingerprint(arrays, attributes, kind=kind, version=1))


def _read_parts(split: Split) -> Iterator[Array]:
    """All images of a split, at most ROWS and PART_BYTES at a time; by all threads, where they take long to read."""
    N, size = len(split), max(1, min(ROWS, PART_BYTES // math.prod(split.shape)))
    source = ReadAhead(split, available_threads()) if is_varied(split) else split
    for start in range(0, N, size):
        part, after = (np.arange(i, min(i + size, N)) for i in (start, start + size))
        if isinstance(source, ReadAhead):
            source.prepare(part, after)
        yield read_images(source, part)


def _rows(images: Array) -> Array:
    """Images (n, H, W, C) as rows (n, D)."""
    return images.reshape(len(images), math.prod(images.shape[1:]))
