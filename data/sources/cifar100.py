"""CIFAR-100: 50,000 + 10,000 colour images of 32 x 32 pixels in 100 classes, from its binary archive.

The archive is downloaded from its authors' page, or read from the cache folder or a path that the user names (the archive, or a
folder with its files). The original archive is recognised by its SHA-256. Re-packed copies are common; they are accepted if
their files have the right sizes and labels, with a warning that says whether their images are those of CIFAR-100. Nothing is
unpickled. The images and their fine labels are then cached in one HDF5 file.

Source: Krizhevsky, "Learning multiple layers of features from tiny images", technical report, University of Toronto (2009);
the files are described at https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import hashlib
import io
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from data.dataset import Dataset
from data.fetch import download
from data.fetch.archives import Sizes, check_size, untar
from data.fetch.cache import Arrays, load_or_make
from data.fetch.download import Say
from engine.errors import UserError
from engine.io.files import CACHE, cache_folder
from engine.io.storage import Attributes

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
ARCHIVE, FOLDER = "cifar-100-binary.tar.gz", "cifar-100-binary"
PYTHON_FOLDER = "cifar-100-python"
ARCHIVE_SHA256 = "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"
ARCHIVE_BYTES = 168_513_733

SIDE, CHANNELS = 32, 3
RECORD = 2 + CHANNELS * SIDE * SIDE  # bytes: coarse label, fine label, then the red, green and blue planes row by row
COARSE, FINE = 20, 100  # classes
COUNTS = {"train": 50_000, "test": 10_000}  # records
RECORDS_SHA256 = {  # of the records in whatever order (see `digest`), from a re-packed copy of all 60,000 images
    "train": "7077d87fc363f92dbf1245f13ba80561d7b33a96c79ad57168d49dc172aaa92b",
    "test": "96adb3db8da7632dbb350559a17b9f585fab5b17675de5fc8f6761384196b294",
}

Files = dict[str, bytes]


def load(cache: str | Path | None = None, *, data: str | Path | None = None, say: Say = download.quiet) -> Dataset:
    """Return CIFAR-100 from the cache folder, where it is put first if it is not there; `say` gets a line for each step.

    data -- the archive, or a folder with its files: it is read, and replaces what the cache holds

    Shapes:    images uint8 (50000, 32, 32, 3) and (10000, 32, 32, 3), fine labels int64 (50000,) and (10000,).

    Raises:    UserError when no source has the data, they are not of CIFAR-100's form, the cached file is broken, or the
               folder cannot be written to.
    """
    folder = cache_folder(cache)
    arrays, attributes = load_or_make(
        folder / "cifar100.h5", "cifar100", lambda: _get(folder, data, say), _check, anew=data is not None
    )
    return Dataset.from_arrays(
        name="CIFAR-100",
        train_images=arrays["train_images"],
        train_labels=arrays["train_labels"].astype(np.int64),
        test_images=arrays["test_images"],
        test_labels=arrays["test_labels"].astype(np.int64),
        class_names=tuple(str(attributes["classes"]).split("\n")),
    )


def parse(name: str, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (N, 32, 32, 3) and the fine labels (N,), both uint8, in a file of records.

    Raises:    UserError when the bytes are no whole number of records, or a label is out of range.
    """
    if len(data) % RECORD:
        raise UserError(f"{name} has {len(data):,} bytes, expected a multiple of {RECORD:,}")
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD)  # (N, RECORD)
    for column, (kind, classes) in enumerate((("coarse", COARSE), ("fine", FINE))):
        wrong = np.flatnonzero(records[:, column] >= classes)
        if len(wrong):
            label = records[wrong[0], column]
            raise UserError(f"{name} has the {kind} label {label} in record {wrong[0]}, expected 0 to {classes - 1}")
    planes = records[:, 2:].reshape(-1, CHANNELS, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 1].copy()  # (N, H, W, C), (N,)


def digest(data: bytes) -> str:
    """Return the SHA-256 of the sorted SHA-256 of all records: the same for the same records in any order."""
    view = memoryview(data)
    records = (hashlib.sha256(view[i : i + RECORD]).digest() for i in range(0, len(view), RECORD))
    return hashlib.sha256(b"".join(sorted(records))).hexdigest()


def _sizes() -> Sizes:
    """Return what sizes the files may have."""
    records = {f"{part}.bin": (count * RECORD,) * 2 for part, count in COUNTS.items()}
    return {**records, "fine_label_names.txt": (FINE, 1 << 14), "coarse_label_names.txt": (0, 1 << 14)}


def _get(cache: Path, data: str | Path | None, say: Say) -> tuple[Arrays, Attributes]:
    """Return the arrays and the names of the classes, from the first source that has them."""
    candidates: list[tuple[str, Callable[[], Files]]] = [(urlsplit(URL).netloc, partial(_download, say))]
    if data is not None:
        _check_named(Path(data))
        candidates = [(str(data), partial(_read_local, Path(data), say))]
    elif _find(cache):
        candidates.insert(0, (str(cache), partial(_read_local, cache, say)))
    remedy = (
        f"connect to the internet, or place {ARCHIVE} in {cache}, or name it, or a folder with its files, by --data "
        f"(or a folder that holds it in {CACHE})"
    )
    return download.try_sources("CIFAR-100", [(name, partial(_parsed, load)) for name, load in candidates], remedy, say)


def _parsed(load: Callable[[], Files]) -> tuple[Arrays, Attributes]:
    """Load the files, and return their arrays and the names of the classes."""
    files = load()
    missing = [name for name in _sizes() if name not in files and name != "coarse_label_names.txt"]
    if missing:
        raise UserError(f"{' and '.join(missing)} is not there")
    arrays = {}
    for part in COUNTS:
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = parse(f"{part}.bin", files[f"{part}.bin"])
    words = files["fine_label_names.txt"].decode("utf-8", "replace").split()  # one a class
    names = [word.replace("_", " ") for word in words]
    if len(set(names)) != FINE or len(names) != FINE or not all(name.isprintable() for name in names):
        raise UserError(
            f"fine_label_names.txt has {len(set(names))} different names, expected {FINE} of printable letters"
        )
    return arrays, {"classes": "\n".join(names)}


def _download(say: Say) -> Files:
    """Fetch the original archive."""
    data = download.download(URL, ARCHIVE_BYTES, arrived=download.tenths("CIFAR-100", ARCHIVE_BYTES, say))
    if hashlib.sha256(data).hexdigest() != ARCHIVE_SHA256:
        raise UserError(f"{ARCHIVE} is not the original one (its SHA-256 differs)")
    return untar(io.BytesIO(data), _sizes(), FOLDER)


def _check_named(path: Path) -> None:
    """Raise UserError where the user names nothing, or the data set's Python version."""
    if not os.path.exists(path):
        raise UserError(f"there is no file or folder {path}: name {ARCHIVE}, or the folder that has its files")
    pickles = (os.path.isfile(folder / "meta") for folder in (path, path / PYTHON_FOLDER))
    if (os.path.isfile(path) and path.name.startswith(PYTHON_FOLDER)) or any(pickles):
        raise UserError(
            f"{path} is the Python version of CIFAR-100, pickles that could run any code: get the binary version, {URL}"
        )


def _find(path: Path) -> Path | None:
    """Return the archive, or the folder of its files, that `path` is or holds."""
    if os.path.isfile(path):  # unlike Path.is_file it never raises
        return path
    folders = (folder for folder in (path, path / FOLDER) if os.path.isfile(folder / "train.bin"))
    return next(folders, path / ARCHIVE if os.path.isfile(path / ARCHIVE) else None)


def _read_local(path: Path, say: Say) -> Files:
    """Read the archive, or the files of a folder, that the user has; warns of a copy other than the original."""
    found = _find(path)
    if found is None:
        raise UserError(f"neither {ARCHIVE} nor a folder with train.bin")
    if found.is_dir():
        return _warned(found, _read(found), say)
    with found.open("rb") as opened:
        original = hashlib.file_digest(opened, "sha256").hexdigest() == ARCHIVE_SHA256
        opened.seek(0)
        files = untar(opened, _sizes(), FOLDER)
    return files if original else _warned(found, files, say)


def _read(folder: Path) -> Files:
    """Read the files of a folder; none is opened that has another size than it should."""
    sizes, files = _sizes(), {}
    for name in sizes:
        if os.path.isfile(folder / name):
            check_size(name, (folder / name).stat().st_size, sizes)
            files[name] = (folder / name).read_bytes()
    return files


def _warned(path: Path, files: Files, say: Say) -> Files:
    """Return the files of a re-packed copy, with a warning."""
    digests = {part: digest(files.get(f"{part}.bin", b"")) for part in COUNTS}
    if digests == RECORDS_SHA256:
        finding = "holds CIFAR-100's images, but not with the original's sum, so perhaps in another order"
    else:
        finding = "has files of the right sizes, but not with CIFAR-100's sums"
    say(f"warning: {path} {finding}: taken as it is, and results compare with those of the same copy only")
    return files


def _check(arrays: Arrays, attributes: Attributes) -> None:
    """Refuse arrays of another form than those cached here."""
    form = {name: (array.shape, array.dtype.str) for name, array in arrays.items()}
    expected: dict[str, tuple[tuple[int, ...], str]] = {}
    for part, count in COUNTS.items():
        expected[f"{part}_images"] = ((count, SIDE, SIDE, CHANNELS), "|u1")
        expected[f"{part}_labels"] = ((count,), "|u1")
    names = str(attributes.get("classes")).split("\n")
    if form != expected or len(names) != FINE or not all(name.isprintable() for name in names):
        raise UserError("does not hold CIFAR-100's images, labels and names")
