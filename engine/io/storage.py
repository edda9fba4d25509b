"""Named arrays in one HDF5 file, which is written atomically and checked before it is used.

Every array is a contiguous dataset of numbers; the root attribute `header` is a JSON text with the kind of the file, its
version, the attributes and a SHA-256 over all of it. `read_arrays` accepts nothing else: no links, no data in other files, no
filters, no objects. So a file cannot claim more bytes than it has, no other file is opened, and nothing is ever unpickled.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from engine.errors import UserError
from engine.io.fields import anything, by_name, fields, scalar, text, whole
from engine.io.files import atomic_write
from engine.io.json import parse

Attributes = dict[str, str | int | float]

MAX_BYTES = 16 << 30  # the arrays of a file
MAX_HEADER = 1 << 20
HEADER = fields({"kind": text, "version": whole(0, 10**6), "attributes": by_name(scalar, anything), "sha256": text})
REMEDY = "delete it or put an intact copy in its place"


def write_arrays(
    path: str | Path, arrays: dict[str, np.ndarray], attributes: Attributes, *, kind: str, version: int
) -> None:
    """Write arrays and attributes to `path` as one HDF5 file, atomically; a name with "/" is stored in a group.

    Raises:    UserError when the file cannot be written; TypeError for an array that is not of booleans, integers or
               floats of at most 64 bits; ValueError for an attribute that is NaN or infinite, which JSON does not have.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in arrays.items():
        if not _plain(array.dtype):
            raise TypeError(f"array {name!r} has dtype {array.dtype}, expected booleans, integers or floats")
    header = {"kind": kind, "version": version, "attributes": attributes}
    header["sha256"] = _digest(header, arrays)
    encoded = json.dumps(header, allow_nan=False).encode()

    with atomic_write(path, "w+b") as output, _Uncomplaining(output) as uncomplaining:
        with h5py.File(uncomplaining, "w", libver=("v110", "v110")) as file:  # from v110 on its metadata have checksums
            file.attrs.create("header", np.bytes_(encoded))
            for name, array in arrays.items():
                file.create_dataset(name, data=array)
        if uncomplaining.error:
            raise uncomplaining.error


def read_arrays(
    path: str | Path, *, kind: str, version: int, remedy: str = REMEDY
) -> tuple[dict[str, np.ndarray], Attributes]:
    """Return the arrays and the attributes of a file of `write_arrays`; `remedy` ends the sentence of every refusal.

    Raises:    UserError when the file is missing, not HDF5, cut short, altered, of another kind or version, or holds
               anything but contiguous arrays of numbers (links, external or virtual data, filters, text, objects).
    """
    path = Path(path)
    if not os.path.isfile(path):  # unlike Path.is_file it never raises
        raise UserError(f"{path} is not there, or is not a file: check the path")
    try:
        with h5py.File(path, "r", locking=False) as file:
            header = _header(file)
            _check_header(header, kind, version)
            arrays = _arrays(file, path.stat().st_size)
        if _digest(header, arrays) != header["sha256"]:
            raise _RefusedError("was altered after it was written")
        return arrays, header["attributes"]
    except _RefusedError as refused:
        sentence = f"{path} {refused}: {remedy}"
        raise (UserError(sentence) if refused.version is None else VersionError(sentence, refused.version)) from None
    except MemoryError:
        raise UserError(f"{path} does not fit into memory: close other programs") from None
    except Exception as error:  # HDF5 reports damage with nearly any exception
        raise UserError(f"{path} {_damage(path, error)}: {remedy}") from error


class _Uncomplaining(io.RawIOBase):
    """A file that records its first error instead of raising it: HDF5 cannot cleanly close a file on a full disk."""

    def __init__(self, file: Any) -> None:
        self.file, self.position, self.size = file, 0, 0
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        count = memoryview(data).nbytes
        self._attempt(lambda: self.file.seek(self.position))
        self._attempt(lambda: self.file.write(data))
        self.position += count
        self.size = max(self.size, self.position)
        return count

    def readinto(self, buffer: Any) -> int:
        self._attempt(lambda: self.file.seek(self.position))
        self._attempt(lambda: self.file.readinto(buffer))
        self.position += memoryview(buffer).nbytes
        return memoryview(buffer).nbytes

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def truncate(self, size: int | None = None) -> int:
        self.size = self.position if size is None else size
        self._attempt(lambda: self.file.truncate(self.size))
        return self.size

    def flush(self) -> None:
        self._attempt(self.file.flush)

    def readable(self) -> bool:
        return True

    def _attempt(self, act: Callable[[], object]) -> None:
        if self.error is None:
            try:
                act()
            except OSError as error:
                self.error = error


class VersionError(UserError):
    """The file is of another version of its format: of `found`."""

    def __init__(self, message: str, found: object) -> None:
        super().__init__(message)
        self.found = found


class _RefusedError(Exception):
    """The middle of the sentence: what is wrong with the file; `version`, where that is its version."""

    def __init__(self, message: str, version: object = None) -> None:
        super().__init__(message)
        self.version = version


def _damage(path: Path, error: Exception) -> str:
    """Say why HDF5 could not read the file."""
    if isinstance(error, PermissionError):
        return "may not be read"
    if not h5py.is_hdf5(path):
        return "is not an HDF5 file"
    if "truncated" in str(error):
        return "is cut short"
    return "is damaged"


def fingerprint(arrays: dict[str, np.ndarray], attributes: Attributes, *, kind: str, version: int) -> str:
    """Return the SHA-256 that a file of these arrays and attributes carries."""
    return _digest({"kind": kind, "version": version, "attributes": attributes}, arrays)


def _plain(dtype: np.dtype) -> bool:
    return dtype.kind in "biuf" and dtype.itemsize <= 8 and not dtype.metadata


def _digest(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """Return the SHA-256 over kind, version, attributes, and name, dtype, shape and bytes of every array."""
    described = [[name, arrays[name].dtype.str, arrays[name].shape] for name in sorted(arrays)]
    head = [header["kind"], header["version"], header["attributes"], described]
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(arrays[name].reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _header(file: h5py.File) -> dict[str, Any]:
    """Return the header; its text, fields and their types are checked."""
    if "header" not in file.attrs:
        raise _RefusedError("was not written by this program")
    attribute = file.attrs.get_id("header")
    if attribute.dtype.kind != "S" or attribute.shape != () or attribute.dtype.itemsize > MAX_HEADER:
        raise _RefusedError("has a header that is not a text")
    encoded = np.empty((), attribute.dtype)
    attribute.read(encoded)
    try:
        header = parse(encoded.tobytes())
        HEADER(header, "")
    except UserError as error:
        raise _RefusedError(f"has a header that {error}") from None
    return header


def _check_header(header: dict[str, Any], kind: str, version: int) -> None:
    if header["kind"] != kind:
        raise _RefusedError(f"is a file of kind {header['kind']!r}, expected {kind!r}")
    if header["version"] != version:
        found = header["version"]
        raise _RefusedError(f"has version {found} of the format {kind!r}, expected {version}", found)


def _arrays(file: h5py.File, size: int) -> dict[str, np.ndarray]:
    """Return the arrays of all groups; links are checked before they are followed, sizes before anything is read."""
    found: dict[str, h5py.Dataset] = {}
    groups: list[tuple[str, Any]] = [("", file["/"])]
    seen = {file["/"]}
    while groups:
        prefix, group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise _RefusedError(f"has an external link {prefix + name!r}")
            if not isinstance(link, h5py.HardLink):
                raise _RefusedError(f"has a soft link {prefix + name!r}")
            item = group[name]
            if item in seen:
                raise _RefusedError(f"has a second link {prefix + name!r} to one object")
            seen.add(item)
            if isinstance(item, h5py.Group):
                groups.append((f"{prefix}{name}/", item))
            elif isinstance(item, h5py.Dataset):
                _check_dataset(prefix + name, item)
                found[prefix + name] = item
            else:
                raise _RefusedError(f"has an object {prefix + name!r} that is no array")
    claimed = sum(dataset.nbytes for dataset in found.values())
    if claimed > min(size, MAX_BYTES):
        raise _RefusedError(f"claims {claimed} bytes of arrays, more than it can hold")
    return {name: dataset[...] for name, dataset in found.items()}


def _check_dataset(name: str, dataset: h5py.Dataset) -> None:
    """Refuse everything but contiguous numbers inside the file."""
    creation = dataset.id.get_create_plist()
    if creation.get_external_count():
        raise _RefusedError(f"keeps the array {name!r} in another file")
    if creation.get_layout() == h5py.h5d.VIRTUAL:
        raise _RefusedError(f"has a virtual array {name!r}")
    if creation.get_layout() != h5py.h5d.CONTIGUOUS or creation.get_nfilters():
        raise _RefusedError(f"has an array {name!r} in chunks or with filters")
    if not _plain(dataset.dtype):
        raise _RefusedError(f"has an array {name!r} that is not of numbers")
    if dataset.shape is None or dataset.id.get_storage_size() != dataset.nbytes:
        raise _RefusedError(f"claims more bytes for the array {name!r} than it has")
