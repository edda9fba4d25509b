"""A split whose images are files: each is read and decoded on demand."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from data.disk.index import Index
from data.disk.views import View
from engine.errors import UserError
from engine.io.fields import shown
from engine.random import Key
from engine.typing import Array, Shape

REMEDY = ": give an intact JPEG, PNG, GIF, BMP or WebP image."


@dataclass(frozen=True, eq=False)
class DiskSplit:
    """N images of an index, (size, size, 3) each; a `data.dataset.VariedSplit`.

    rows   -- (N,), which files of the index they are
    labels -- (N,) int64
    view   -- how they are resized and cropped
    crop   -- which crop of a test image (see `View.crop`)
    key    -- for random crops: image i's window is drawn from key.fold(i); None: test crops
    """

    root: Path
    index: Index
    rows: Array
    labels: Array
    view: View
    crop: int = 0
    key: Key | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> Shape:
        """(H, W, C)."""
        return self.view.shape

    @property
    def is_random(self) -> bool:
        """Whether training images are cropped at random."""
        return self.view.is_random

    def varied(self, key: Key) -> DiskSplit:
        """The same images, each seen through a window that is drawn from the key."""
        return replace(self, key=key if self.view.is_random else None)

    def cropped(self, number: int) -> DiskSplit:
        """The same images, each seen through the crop of this number."""
        return replace(self, crop=number, key=None)

    def scaled(self, scale: int) -> DiskSplit:
        """The same images, resized to this scale in a test."""
        return replace(self, view=replace(self.view, test_scale=scale))

    def whole_sizes(self) -> Array:
        """The height and width of each image as it is resized in a test, (N, 2)."""
        return np.array([self.view.whole(*shape)[1:] for shape in self.index.shapes[self.rows].tolist()])

    def whole(self, index: int) -> Array:
        """The whole resized image, (height, width, 3)."""
        path, remedy = self._path(index)
        return read_file(path, self.view, whole=True, remedy=remedy)

    def part(self, start: int, stop: int) -> DiskSplit:
        """The images from `start` to `stop`."""
        return replace(self, rows=self.rows[start:stop], labels=self.labels[start:stop])

    def read(self, indices: Array, out: Array) -> None:
        """Decode the images `indices` (n,) into `out` (n, H, W, C)."""
        for i, pixels in zip(np.asarray(indices).tolist(), out, strict=True):
            pixels[...] = self._image(i)

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of their files' digests, their labels, and how they are seen in a test."""
        view = self.view.size, self.view.resize, self.view.test_scale
        digest = hashlib.sha256(repr((len(self), view)).encode())
        digest.update(np.ascontiguousarray(self.index.digests[self.rows]).data)
        digest.update(self.labels.astype("<i8").data)
        return digest.hexdigest()

    def _image(self, i: int) -> Array:
        """Image i, (H, W, C)."""
        path, remedy = self._path(i)
        return read_file(path, self.view, self.crop, None if self.key is None else self.key.fold(i), remedy=remedy)

    def _path(self, i: int) -> tuple[Path, str]:
        """The file of image i, and how to get it again."""
        remedy = (
            ", though it was an image when the data set was indexed: put it there again, or start anew, without it."
        )
        return self.root / self.index.name(int(self.rows[i])), remedy


def read_file(
    path: Path, view: View, crop: int = 0, key: Key | None = None, *, whole: bool = False, remedy: str = REMEDY
) -> Array:
    """The image in a file as it is seen through a window that is drawn from the key, or through a crop of a test, or whole.

    Raises:    UserError, which `remedy` ends, where the file holds no image that can be read.
    """
    name = str(path) if str(path).isprintable() else shown(str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{name} cannot be read ({error.strerror}){remedy}") from None
    return decode_file(data, name, view, crop, key, whole=whole, remedy=remedy)


def decode_file(
    data: bytes,
    name: str,
    view: View,
    crop: int = 0,
    key: Key | None = None,
    *,
    whole: bool = False,
    remedy: str = REMEDY,
) -> Array:
    """The image in the bytes of a file, as by `read_file`; `name` is what a refusal calls it."""
    from data.pictures.decode import Encoded

    try:
        image = Encoded(data)
        size = image.height, image.width
        if whole:
            return view.render_whole(image)
        return view.render(image, view.crop(*size, crop) if key is None else view.draw(*size, key))
    except UserError as error:
        raise UserError(f"{name} {error}{remedy}") from None
