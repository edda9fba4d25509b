"""The index: metadata of a data set's image files, a few dozen bytes per file, kept in the cache folder.

When it is made, all threads together read and decode every file once, so that damaged files are reported by name before training
begins, and a copy of a data set is recognised by its contents. Later only sizes and modification times are compared, and
files that differ in them are read again. An unfinished index is continued.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from data.fetch.cache import REMEDY, Arrays
from data.fetch.download import Say
from engine.errors import UserError
from engine.io.fields import shown
from engine.io.files import make_folder
from engine.io.storage import read_arrays, write_arrays
from engine.runtime.cpu import available_threads
from engine.typing import Array

KIND = "image index"
DIGEST = 16  # bytes of a file's SHA-256 that are kept
WINDOW = 2048  # files read between two checks of the clock
SAVE_SECONDS = 60.0  # between two saves of an unfinished index
GONE, FORBIDDEN = "is not there", "may not be read"


@dataclass(frozen=True, eq=False)
class Index:
    """N files below a folder, one array per property.

    names   -- (.) uint8, their paths below it, one after another; ends -- (N,) int64, where each ends
    sizes   -- (N,) int64, bytes; times -- (N,) int64, nanoseconds, of the last change
    digests -- (N, 16) uint8, the beginning of the SHA-256 of their bytes
    shapes  -- (N, 2) int32, height and width of the upright image; 0 where the file is skipped
    reasons -- (N,) uint8, why a file is skipped, an index into `reasons_known`; 0 where it is not
    """

    names: Array
    ends: Array
    sizes: Array
    times: Array
    digests: Array
    shapes: Array
    reasons: Array

    def __len__(self) -> int:
        return len(self.ends)

    def name(self, i: int) -> str:
        """The path of the i-th file below the folder."""
        start = self.ends[i - 1] if i else 0
        return os.fsdecode(self.names[start : self.ends[i]].tobytes())

    @cached_property
    def is_read(self) -> Array:
        """Which files hold an image, (N,) bool."""
        return self.reasons == 0

    def skipped(self) -> Iterator[str]:
        """Each skipped file: its path below the folder, and why."""
        for i in np.flatnonzero(~self.is_read):
            yield f"{shown(self.name(int(i)))} {reasons_known()[self.reasons[i]]}"

    def arrays(self) -> Arrays:
        """The arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def load_index(root: Path, paths: Sequence[str], file: Path, what: str, say: Say, threads: int | None = None) -> Index:
    """The index of the files `paths` below `root`, in this order; the cached `file` is read first, and replaced.

    Raises:    UserError where the cached file is damaged or cannot be written.
    """
    sizes, times = _status(root, paths)
    names = [os.fsencode(path) for path in paths]
    old = _read(file) if os.path.isfile(file) else _pack([])
    rows = _rows(old, names, sizes, times)
    digests, shapes = np.zeros((len(names), DIGEST), np.uint8), np.zeros((len(names), 2), np.int32)
    reasons, done = np.zeros(len(names), np.uint8), rows >= 0
    for new, kept in ((digests, old.digests), (shapes, old.shapes), (reasons, old.reasons)):
        new[done] = kept[rows[done]]
    reasons[sizes < 0] = reasons_known().index(GONE)  # or not a regular file: reading a pipe might never end
    done |= sizes < 0
    todo = np.flatnonzero(~done)

    def index() -> Index:
        some = [name for name, known in zip(names, done, strict=True) if known] if not done.all() else names
        return _pack(some, *(array[done] for array in (sizes, times, digests, shapes, reasons)))

    if not len(todo):
        if len(old) != len(names) or (rows < 0).any():
            _write(file, index())
        return index()
    make_folder(file.parent)  # before anything is read
    say(f"{what}: reading {len(todo):,} image files, once")
    saved, pool, known = time.monotonic(), ThreadPoolExecutor(threads or available_threads()), reasons_known()
    try:
        for start in range(0, len(todo), WINDOW):
            part = todo[start : start + WINDOW]
            for i, (digest, shape, reason) in zip(part, pool.map(_scan, (root / paths[i] for i in part)), strict=True):
                digests[i], shapes[i], reasons[i] = np.frombuffer(digest, np.uint8), shape, known.index(reason)
            done[part] = True
            if 10 * (start + len(part)) // len(todo) > 10 * start // len(todo) and len(todo) > WINDOW:
                say(f"{what}: {start + len(part):,} of {len(todo):,} files read")
            if time.monotonic() - saved > SAVE_SECONDS:
                _write(file, index())
                saved = time.monotonic()
    finally:
        pool.shutdown(cancel_futures=True)
        _write(file, index())  # as far as it got, also after Ctrl-C
    return index()


def reasons_known() -> tuple[str, ...]:
    """Why files are skipped; the first stands for those that are not. Their order is that of the cached files."""
    from data.pictures import decode as why  # imported here, as it imports Pillow

    return ("", why.EMPTY, why.OTHER, why.CUT, why.DAMAGED, why.LARGE, why.LONG, GONE, FORBIDDEN)


def _scan(path: Path) -> tuple[bytes, tuple[int, int], str]:
    """The digest and the shape of an image file, and why it is skipped, if it is."""
    from data.pictures.decode import LONG, MAX_BYTES, Encoded

    digest = bytes(DIGEST)
    try:
        if path.stat().st_size > MAX_BYTES:
            return digest, (0, 0), LONG
        data = path.read_bytes()
        digest = hashlib.sha256(data).digest()[:DIGEST]
        image = Encoded(data)
        image.decode(1, 1)  # at the smallest scale; damage shows at any
    except UserError as error:
        return digest, (0, 0), str(error)
    except FileNotFoundError:
        return digest, (0, 0), GONE
    except OSError:
        return digest, (0, 0), FORBIDDEN
    return digest, (image.height, image.width), ""


def _status(root: Path, paths: Sequence[str]) -> tuple[Array, Array]:
    """The sizes and the times of change, (N,) each; -1 for what is no file."""
    found = np.full((2, len(paths)), -1, np.int64)
    base = f"{root}/"
    for i, path in enumerate(paths):
        try:
            status = os.stat(base + path)
        except (OSError, ValueError):  # a zero in the name
            continue
        if stat.S_ISREG(status.st_mode):
            found[:, i] = status.st_size, status.st_mtime_ns
    return found[0], found[1]


def _rows(old: Index, names: Sequence[bytes], sizes: Array, times: Array) -> Array:
    """For each file its row in an older index, -1 where it is not there or has changed."""
    if len(old) == len(names) and b"".join(names) == old.names.tobytes():
        rows = np.arange(len(names))
    else:
        text, ends = old.names.tobytes(), [0, *old.ends.tolist()]
        places = {text[start:end]: i for i, (start, end) in enumerate(pairwise(ends))}
        rows = np.array([places.get(name, -1) for name in names], np.int64)
    if not len(old):
        return np.full(len(names), -1)
    same = (rows >= 0) & (old.sizes[rows] == sizes) & (old.times[rows] == times)
    return np.where(same, rows, -1)


def _pack(names: Sequence[bytes], *arrays: Array) -> Index:
    """An index of these names; empty where there are no arrays."""
    ends = np.cumsum([len(name) for name in names], dtype=np.int64)
    if not arrays:
        none = np.zeros(0, np.int64)
        arrays = none, none, np.zeros((0, DIGEST), np.uint8), np.zeros((0, 2), np.int32), np.zeros(0, np.uint8)
    return Index(np.frombuffer(b"".join(names), np.uint8), ends, *arrays)


def _write(file: Path, index: Index) -> None:
    write_arrays(file, index.arrays(), {}, kind=KIND, version=1)


def _read(file: Path) -> Index:
    """The cached index; raises UserError where the file does not hold one."""
    remedy = REMEDY.format("made")
    arrays, _ = read_arrays(file, kind=KIND, version=1, remedy=remedy)
    form = {field: (array.dtype, array.shape[1:]) for field, array in arrays.items()}
    empty = {field: (array.dtype, array.shape[1:]) for field, array in _pack([]).arrays().items()}
    lengths = {len(array) for field, array in arrays.items() if field != "names"}
    if form == empty and len(lengths) == 1:
        index = Index(**arrays)
        ends = np.concatenate([[0], index.ends])
        if ends[-1] == len(index.names) and np.all(np.diff(ends) > 0) and np.all(index.reasons < len(reasons_known())):
            return index
    raise UserError(f"{file} does not hold an index of image files: {remedy}")
