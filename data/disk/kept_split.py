"""Which images of a data set without test images are put aside for the test: decided once, and kept in the cache folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from data.fetch.cache import REMEDY
from data.fetch.download import Say
from engine.errors import UserError
from engine.io.files import make_folder
from engine.io.storage import read_arrays, write_arrays
from engine.typing import Array

KIND = "split"
SHARE = 0.2  # of each class
FORM = {"digests": (np.dtype(np.uint8), 2), "is_test": (np.dtype(np.bool_), 1)}


def load_split(file: Path, digests: Array, labels: Array, is_read: Array, name: str, say: Say) -> Array:
    """Which files are for the test, (N,) bool: a fifth of the images of each class, those whose digests end lowest.

    digests -- (N, D) uint8, of the files; labels -- (N,); is_read -- (N,), which of them are images

    An image that the cached `file` knows stays where it was; so no test image becomes one to train on when images are added. Two
    copies of one image are always in one part.

    Raises:    UserError where the cached file is damaged or cannot be written.
    """
    keys = [digest.tobytes() for digest in digests]
    known = _read(file) if os.path.isfile(file) else {}
    kept = dict(known)
    for label in np.unique(labels[is_read]):
        own = sorted({keys[i] for i in np.flatnonzero(is_read & (labels == label))}, key=lambda key: key[::-1])
        new = [key for key in own if key not in kept]
        wanted = max(round(SHARE * len(own)), 1 if len(own) > 1 else 0) - sum(kept.get(key, False) for key in own)
        kept |= {key: i < wanted for i, key in enumerate(new)}
    if kept != known:
        make_folder(file.parent)
        count = sum(kept.values())
        say(f"{name}: {count:,} of {len(kept):,} images are put aside for the test; {file} keeps which")
        rows = np.frombuffer(b"".join(kept), np.uint8).reshape(len(kept), -1)
        write_arrays(file, {"digests": rows, "is_test": np.array(list(kept.values()))}, {}, kind=KIND, version=1)
    return np.array([kept.get(key, False) for key in keys], bool)


def _read(file: Path) -> dict[bytes, bool]:
    """The cached split: for each digest, whether its image is for the test."""
    remedy = REMEDY.format("made")
    arrays, _ = read_arrays(file, kind=KIND, version=1, remedy=remedy)
    if {key: (array.dtype, array.ndim) for key, array in arrays.items()} != FORM or len(arrays["digests"]) != len(
        arrays["is_test"]
    ):
        raise UserError(f"{file} does not hold a split of images: {remedy}")
    return {digest.tobytes(): bool(test) for digest, test in zip(arrays["digests"], arrays["is_test"], strict=True)}
