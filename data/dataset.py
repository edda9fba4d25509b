"""Labelled images, split into a training set and a test set.

A split may be in memory (`ArraySplit`), on disk, or generated on demand: readers rely on the protocol alone. The images
of a chunk are read by the thread that takes the chunk through the network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, TypeGuard

import numpy as np

from engine.errors import UserError
from engine.random import Key
from engine.typing import Array, Shape

BATCH = 4096  # images per read when a whole split is read


class Split(Protocol):
    """N images and their labels; a class that has these members is a split.

    A split whose samples are not bytes also has a `dtype` (see `data.floats`).

    >>> class Grey:  # images generated on demand: image i has the grey value i everywhere
    ...     labels, shape, fingerprint = np.arange(100) // 50, (28, 28, 1), "grey1"
    ...     def __len__(self):
    ...         return 100
    ...     def read(self, indices, out):
    ...         out[...] = indices[:, None, None, None]
    >>> read_images(Grey(), [7, 9])[:, 0, 0, 0].tolist()
    [7, 9]
    """

    def __len__(self) -> int:
        """N."""
        ...

    @property
    def labels(self) -> Array:
        """The classes, (N,) int64 in 0 .. K-1."""
        ...

    @property
    def shape(self) -> Shape:
        """The shape of one image, (H, W, C)."""
        ...

    def read(self, indices: Array, out: Array) -> None:
        """Write the images `indices` (n,) to `out` (n, H, W, C) uint8; several threads call it at the same time."""
        ...

    @property
    def fingerprint(self) -> str:
        """A string that identifies the images and labels, such as their SHA-256: a run resumes only on the same data."""
        ...


class VariedSplit(Split, Protocol):
    """A split that is slow to read and can be augmented while it is read: random crops of files on the disk."""

    @property
    def is_random(self) -> bool:
        """Whether images are augmented at random; otherwise `varied` changes nothing."""
        ...

    def varied(self, key: Key) -> Split:
        """The same images, augmented at random from a key: image i depends only on the key and i."""
        ...

    def cropped(self, number: int) -> Split:
        """The same images, each seen through the crop of this number, 0 to 45; 0 is how the split itself is read."""
        ...

    def scaled(self, scale: int) -> VariedSplit:
        """The same images, resized to this scale (in pixels) before test crops are taken."""
        ...

    def whole_sizes(self) -> Array:
        """The height and width of each image as it is resized for a test, before a crop is taken, (N, 2)."""
        ...

    def whole(self, index: int) -> Array:
        """An image of such a size, (height, width, C) uint8."""
        ...

    def part(self, start: int, stop: int) -> VariedSplit:
        """The images from `start` to `stop`, fewer where there are fewer."""
        ...


@dataclass(frozen=True, eq=False)
class ArraySplit:
    """A split in memory: images uint8 (N, H, W, C), labels (N,) of any integer type.

    Raises:    UserError for another shape or dtype.
    """

    images: Array
    labels: Array

    def __post_init__(self) -> None:
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.dtype != np.uint8:
            raise UserError(f"images have dtype {images.dtype}: convert them to uint8 in 0..255")
        if images.ndim != 4 or 0 in images.shape:
            raise UserError(
                f"images have shape {images.shape}, expected (N, H, W, C) with none of them 0: "
                "reshape them, one channel needs C = 1"
            )
        if labels.dtype.kind not in "iu":
            raise UserError(f"labels have dtype {labels.dtype}: convert them to an integer type")
        if labels.shape != (len(images),):
            raise UserError(f"labels have shape {labels.shape}, expected ({len(images)},): give one to each image")
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels.astype(np.int64))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> Shape:
        """(H, W, C)."""
        return self.images.shape[1:]

    def read(self, indices: Array, out: Array) -> None:
        """Copy the images `indices` (n,) to `out` (n, H, W, C)."""
        np.take(self.images, indices, axis=0, out=out)

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of images and labels."""
        return sha256(self)


@dataclass(frozen=True, eq=False)
class Part:
    """The samples of a split from `start` to `stop`, fewer where it has fewer."""

    split: Split
    start: int
    stop: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labels(self) -> Array:
        """(N,)."""
        return self.split.labels[self.start : self.stop]

    @property
    def shape(self) -> Shape:
        """(H, W, C)."""
        return self.split.shape

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the whole split."""
        return dtype_of(self.split)

    def read(self, indices: Array, out: Array) -> None:
        """Read from the whole split."""
        self.split.read(np.asarray(indices) + self.start, out)

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of images and labels."""
        return sha256(self)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Two splits of images of one size, and the names of their K classes.

    Raises:    UserError where the splits do not fit together, one is empty, or a label is not in 0 .. K-1.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        for part, split in (("train", self.train), ("test", self.test)):
            self._check_labels(part, split)
        if tuple(self.train.shape) != tuple(self.test.shape):
            raise UserError(
                f"{self.name}: train images of shape {tuple(self.train.shape)} and test images of shape "
                f"{tuple(self.test.shape)}, expected one shape (H, W, C): bring them to one size"
            )

    @classmethod
    def from_arrays(
        cls,
        name: str,
        train_images: Array,
        train_labels: Array,
        test_images: Array,
        test_labels: Array,
        class_names: Sequence[str] | None = None,
    ) -> Dataset:
        """A data set in memory (see `ArraySplit`); classes without names are called 0, 1, ... up to the largest label.

        >>> images, labels = np.zeros((4, 28, 28, 1), np.uint8), np.array([0, 1, 2, 1])
        >>> Dataset.from_arrays("mine", images, labels, images, labels).class_names
        ('0', '1', '2')
        """
        splits = []
        for part, images, labels in (("train", train_images, train_labels), ("test", test_images, test_labels)):
            try:
                splits.append(ArraySplit(images, labels))
            except UserError as error:
                raise UserError(f"{name}: {part} {error}") from None
        train, test = splits
        if class_names is None:
            class_names = [str(k) for k in range(1 + max(train.labels.max(), test.labels.max()))]
        return cls(name, train, test, tuple(class_names))

    def limited(self, train: int | None = None, test: int | None = None, held_out: int | None = None) -> Dataset:
        """The data set with only the first `train` and the first `test` samples; None keeps all.

        held_out -- this many training samples, the last ones, replace the test samples as a validation set, so that choices
                    made by their error do not use test images

        Raises:    UserError for a limit below 1, and where too many are held out.
        """
        for part, limit in (("train", train), ("test", test), ("held-out", held_out)):
            if limit is not None and limit < 1:
                raise UserError(f"a limit of {limit} {part} samples leaves none: give 1 or more")
        name, trained, tested = self.name, self.train, self.test
        if held_out is not None:
            N = len(trained)
            if held_out >= N:
                raise UserError(f"{held_out} of {N} training samples held out leave none: give fewer")
            trained, tested = part_of(trained, 0, N - held_out), part_of(trained, N - held_out, N)
            name = f"{name}, {held_out:,} training images held out"
        trained = trained if train is None else part_of(trained, 0, train)
        tested = tested if test is None else part_of(tested, 0, test)
        return replace(self, name=name, train=trained, test=tested)

    def _check_labels(self, part: str, split: Split) -> None:
        N, labels, K = len(split), split.labels, len(self.class_names)
        if N == 0:
            raise UserError(f"{self.name}: there are no {part} images: give at least one")
        if labels.dtype != np.int64 or labels.shape != (N,):
            raise UserError(
                f"{self.name}: {part} labels are {labels.dtype} of shape {labels.shape}, expected int64 of shape ({N},): "
                "convert them, one to each image"
            )
        if labels.min() < 0 or labels.max() >= K:
            raise UserError(
                f"{self.name}: {part} labels reach from {labels.min()} to {labels.max()}, expected 0 to {K - 1}: "
                "number the classes from 0 and name each one"
            )


def part_of(split: Split, start: int, stop: int) -> Split:
    """The samples of a split from `start` to `stop`, fewer where it has fewer."""
    return split.part(start, stop) if is_varied(split) else Part(split, start, stop)


def is_varied(split: Split) -> TypeGuard[VariedSplit]:
    """Whether a split is a `VariedSplit`."""
    return hasattr(split, "varied")


def dtype_of(split: Split) -> np.dtype:
    """The dtype that `split.read` writes: uint8 unless the split names another."""
    return np.dtype(getattr(split, "dtype", np.uint8))


def read_images(split: Split, indices: Array | Sequence[int] | None = None) -> Array:
    """The images `indices` (n,) of a split, or all, as one array (n, H, W, C)."""
    indices = np.arange(len(split)) if indices is None else np.asarray(indices, np.int64)
    out = np.empty((len(indices), *split.shape), dtype_of(split))
    for start in range(0, len(indices), BATCH):
        split.read(indices[start : start + BATCH], out[start : start + BATCH])
    return out


def sha256(split: Split) -> str:
    """The SHA-256 of a split's images and labels: the same for the same ones, in memory or on disk."""
    N = len(split)
    digest = hashlib.sha256(repr((N, *map(int, split.shape))).encode())
    for start in range(0, N, BATCH):
        digest.update(read_images(split, range(start, min(start + BATCH, N))).data)
    digest.update(split.labels.astype("<i8").data)
    return digest.hexdigest()
