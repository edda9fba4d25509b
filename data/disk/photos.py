"""A data set of image files: its source lists them, the index says what they are, and a view makes a `Dataset` of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.dataset import Dataset
from data.disk.index import GONE, Index, load_index, reasons_known
from data.disk.kept_split import load_split
from data.disk.split import DiskSplit
from data.disk.views import View
from data.fetch.download import Say, quiet
from engine.errors import UserError
from engine.io.fields import MAX_ITEMS, shown
from engine.io.files import cache_folder
from engine.typing import Array

SHOWN = 5  # skipped files that are named


@dataclass(frozen=True)
class Listing:
    """Which files are a data set's images, and what is in them.

    name    -- the data set's
    root    -- the folder that all paths are below
    classes -- the names of its K classes
    train, test   -- paths, and a label (0 .. K-1) each; no test: some of the training images are put aside
    where   -- where to get the data set, should files be missing
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    train: tuple[Sequence[str], Sequence[int]]
    test: tuple[Sequence[str], Sequence[int]] | None
    where: str


@dataclass(frozen=True, eq=False)
class Photos:
    """A listing's images that can be read: rows of the index, and labels, of its two splits.

    The order is that of the files' digests: the first images are of all classes, and a copy of the data set has the same order.
    """

    listing: Listing
    index: Index
    train: tuple[Array, Array]
    test: tuple[Array, Array]

    @property
    def median_side(self) -> int:
        """The shorter side of the median training image, in pixels."""
        return int(np.median(self.index.shapes[self.train[0]].min(axis=1)))

    def dataset(self, view: View) -> Dataset:
        """The images as they are seen through a view."""
        train, test = (DiskSplit(self.listing.root, self.index, *part, view) for part in (self.train, self.test))
        classes = tuple(name if name.isprintable() else ascii(name)[1:-1] for name in self.listing.classes)
        return Dataset(self.listing.name, train, test, classes)


def load_photos(
    listing: Listing, cache: str | Path | None = None, say: Say = quiet, threads: int | None = None
) -> Photos:
    """Index the files of a listing, and report those that are skipped.

    Raises:    UserError where a listed file is not there, or no image is left.
    """
    if len(listing.classes) > MAX_ITEMS:
        raise UserError(
            f"{listing.name} has {len(listing.classes):,} classes, and {MAX_ITEMS:,} are the most: {listing.where}"
        )
    folder, parts = cache_folder(cache), [part for part in (listing.train, listing.test) if part is not None]
    paths = [path for part in parts for path in part[0]]
    own = hashlib.sha256(os.fsencode(f"{listing.name} {os.path.abspath(listing.root)}")).hexdigest()[:16]
    index = load_index(listing.root, paths, folder / f"index-{own}.h5", listing.name, say, threads)
    gone = np.flatnonzero(index.reasons == reasons_known().index(GONE))
    if len(gone):
        raise UserError(
            f"{listing.name}: {len(gone):,} of {len(index):,} listed images are not in {listing.root}, such as "
            f"{shown(index.name(int(gone[0])))}: {listing.where}"
        )
    _tell_skipped(listing.name, index, say)
    labels, n = np.array([label for part in parts for label in part[1]], np.int64), len(listing.train[0])
    is_test = np.arange(len(index)) >= n
    if listing.test is None:
        is_test = load_split(folder / f"split-{own}.h5", index.digests, labels, index.is_read, listing.name, say)
    order = np.lexsort((*index.digests.T[::-1],))
    train, test = (order[(index.is_read & chosen)[order]] for chosen in (~is_test, is_test))
    for what, rows in (("train on", train), ("test on", test)):
        if not len(rows):
            raise UserError(f"{listing.name} has no images to {what} in {listing.root}: {listing.where}")
    return Photos(listing, index, (train, labels[train]), (test, labels[test]))


def _tell_skipped(name: str, index: Index, say: Say) -> None:
    """Name some of the files that are skipped, and say how many they are."""
    count = len(index) - int(index.is_read.sum())
    if count:
        some = [text for _, text in zip(range(SHOWN), index.skipped(), strict=False)]
        more = f"; and {count - len(some):,} more" if count > len(some) else ""
        say(f"warning: {name}: {count:,} of {len(index):,} files are skipped: {', '.join(some)}{more}")
