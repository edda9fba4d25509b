"""Images with labels, split in a part to learn from and a part to be tested on."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from engine.errors import UserError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images, checked when they are put together.

    Shapes:    images uint8 (N, H, W, C), labels int64 (N,) in 0 .. K-1, K class names; both parts share H, W, C.
    Raises:    UserError when a shape, a dtype or a label is not so.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self):
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            self._check_images(part, images)
            self._check_labels(part, labels, len(images))
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise UserError(
                f"{self.name}: train images of shape {self.train_images.shape[1:]} and test images of shape "
                f"{self.test_images.shape[1:]}, expected one shape (H, W, C): bring them to one size"
            )

    @cached_property
    def training_sha256(self) -> str:
        """The SHA-256 of the training images and labels: what a network, or a preprocessing, has learned from."""
        digest = hashlib.sha256(repr(self.train_images.shape).encode())
        digest.update(np.ascontiguousarray(self.train_images).data)
        digest.update(self.train_labels.astype("<i8").data)
        return digest.hexdigest()

    def limited(self, train: int | None = None, test: int | None = None) -> "Dataset":
        """Return the data set with only the first `train` and the first `test` samples; None keeps all.

        Raises:    UserError for a limit below 1.
        """
        for part, limit in (("train", train), ("test", test)):
            if limit is not None and limit < 1:
                raise UserError(f"a limit of {limit} {part} samples leaves none: give 1 or more")
        return replace(
            self,
            train_images=self.train_images[:train],
            train_labels=self.train_labels[:train],
            test_images=self.test_images[:test],
            test_labels=self.test_labels[:test],
        )

    def _check_images(self, part: str, images: np.ndarray) -> None:
        if images.dtype != np.uint8:
            raise UserError(f"{self.name}: {part} images have dtype {images.dtype}: convert them to uint8 in 0..255")
        if images.ndim != 4 or 0 in images.shape:
            raise UserError(
                f"{self.name}: {part} images have shape {images.shape}, expected (N, H, W, C) with none of them 0: "
                "reshape them, one channel needs C = 1"
            )

    def _check_labels(self, part: str, labels: np.ndarray, count: int) -> None:
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
