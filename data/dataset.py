"""Labelled images, in memory or on disk: a protocol for a split, and the data set of two splits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from engine.errors import UserError
from engine.typing import Array, Shape

AT_ONCE = 4096  # images that are read at a time where all are read


class Split(Protocol):
    """Labelled images of one shape; where they lie is their own business. Threads read at the same time."""

    def __len__(self) -> int:
        """N, the number of images."""
        ...

    @property
    def shape(self) -> Shape:
        """(H, W, C) of an image."""
        ...

    @property
    def labels(self) -> Array:
        """(N,) int64, from 0 to K - 1."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of images and labels: the same for the same data, on every machine."""
        ...

    def read(self, indices: Array, out: Array) -> None:
        """out (n, H, W, C) uint8 = the images `indices` (n,)."""
        ...


@dataclass(frozen=True, eq=False)
class ArraySplit:
    """A split in memory: images uint8 (N, H, W, C), labels int64 (N,)."""

    images: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> Shape:
        return self.images.shape[1:]

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of the shape, the images and the labels."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(self.labels.astype("<i8").data)
        return digest.hexdigest()

    def read(self, indices: Array, out: Array) -> None:
        out[...] = self.images[indices]


@dataclass(frozen=True, eq=False)
class FirstOf:
    """The first `count` samples of a split."""

    split: Split
    count: int

    def __len__(self) -> int:
        return min(self.count, len(self.split))

    @property
    def shape(self) -> Shape:
        return self.split.shape

    @property
    def labels(self) -> Array:
        return self.split.labels[: self.count]

    @property
    def fingerprint(self) -> str:
        return f"{self.split.fingerprint}[:{len(self)}]"

    def read(self, indices: Array, out: Array) -> None:
        self.split.read(indices, out)


def read_images(split: Split, count: int | None = None) -> Array:
    """All images of a split, or the first `count`, as one array (n, H, W, C)."""
    n = len(split) if count is None else min(count, len(split))
    images = np.empty((n, *split.shape), np.uint8)
    for start in range(0, n, AT_ONCE):
        part = images[start : start + AT_ONCE]
        split.read(np.arange(start, start + len(part)), part)
    return images


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on and images to test on, checked when they are put together.

    Shapes:    both splits have images of one shape (H, W, C), and labels int64 in 0 .. K - 1; K class names.
    Raises:    UserError where a shape, a dtype or a label is not so.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        for part, split in (("train", self.train), ("test", self.test)):
            self._check_images(part, split)
            self._check_labels(part, split.labels, len(split))
        if self.train.shape != self.test.shape:
            raise UserError(
                f"{self.name}: train images of shape {self.train.shape} and test images of shape {self.test.shape}, "
                "expected one shape (H, W, C): bring them to one size"
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
        """The data set of arrays in memory; classes are called by their numbers where no names are given.

        >>> images, labels = np.zeros((4, 3, 2, 1), np.uint8), np.array([0, 1, 1, 0])
        >>> data = Dataset.from_arrays("tiny", images, labels, images[:2], labels[:2])
        >>> len(data.train), data.train.shape, data.class_names
        (4, (3, 2, 1), ('0', '1'))
        """
        if class_names is None:
            largest = max((int(np.max(labels, initial=-1)) for labels in (train_labels, test_labels)), default=-1)
            class_names = [str(k) for k in range(largest + 1)]
        return cls(
            name, ArraySplit(train_images, train_labels), ArraySplit(test_images, test_labels), tuple(class_names)
        )

    def limited(self, train: int | None = None, test: int | None = None) -> Dataset:
        """Return the data set with only the first `train` and the first `test` samples; None keeps all.

        Raises:    UserError for a limit below 1.
        """
        for part, limit in (("train", train), ("test", test)):
            if limit is not None and limit < 1:
                raise UserError(f"a limit of {limit} {part} samples leaves none: give 1 or more")
        first = self.train if train is None else FirstOf(self.train, train)
        second = self.test if test is None else FirstOf(self.test, test)
        return Dataset(self.name, first, second, self.class_names)

    def _check_images(self, part: str, split: Split) -> None:
        images = getattr(split, "images", None)  # of an ArraySplit
        if images is not None and images.dtype != np.uint8:
            raise UserError(f"{self.name}: {part} images have dtype {images.dtype}: convert them to uint8 in 0..255")
        shape = (len(split), *split.shape)
        if len(shape) != 4 or 0 in shape:
            raise UserError(
                f"{self.name}: {part} images have shape {shape}, expected (N, H, W, C) with none of them 0: "
                "reshape them, one channel needs C = 1"
            )

    def _check_labels(self, part: str, labels: Array, count: int) -> None:
        if labels.dtype != np.int64:
            raise UserError(f"{self.name}: {part} labels have dtype {labels.dtype}: convert them to int64")
        if labels.shape != (count,):
            raise UserError(
                f"{self.name}: {part} labels have shape {labels.shape}, expected ({count},): give one to each image"
            )
        classes = len(self.class_names)
        if labels.min() < 0 or labels.max() >= classes:
            raise UserError(
                f"{self.name}: {part} labels reach from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}: "
                "number the classes from 0 and name each one"
            )
