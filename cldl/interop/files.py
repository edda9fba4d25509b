"""Files of weights: which kind a file is of, which library reads it, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.errors import UserError

SUFFIXES = (".safetensors", ".onnx", ".caffemodel")
MOST_BYTES = 2**31 - 1  # of a protobuf message
INTACT, ANOTHER = "get an intact copy", "choose the network that it is of, or another file"  # remedies
INSTALL = "pip install 'cldl[weights]'"
TORCH = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar")
CONVERT = "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'weights.safetensors')"
ARRAYS = (".npz", ".npy")
CONVERT_ARRAYS = "safetensors.numpy.save_file(dict(numpy.load(FILE, allow_pickle=False)), 'weights.safetensors')"


def check_kind(path: str | Path) -> Path:
    """The path; raises UserError where there is no file, or one of a kind that is not read."""
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"there is no file of weights {path}: name a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file."
        )
    if path.suffix in TORCH:
        raise UserError(
            f"{path} is a pickle, which can run any code when it is read: convert it where that does no harm, by {CONVERT}."
        )
    if path.suffix in ARRAYS:
        raise UserError(f"{path} can hold pickles, which are not read: convert it by {CONVERT_ARRAYS}.")
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path} is no file of weights that is read: convert it to {', '.join(SUFFIXES)}.")
    return path


class RefusedError(UserError):
    """A predicate of a sentence about a file, as UserErrors are within `reading`, with its own remedy."""

    def __init__(self, predicate: str, remedy: str = ANOTHER) -> None:
        super().__init__(predicate)
        self.remedy = remedy


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Make the predicates that UserErrors of the block are into sentences about the file."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path} {error}: {getattr(error, 'remedy', INTACT)}.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or type(error).__name__}): {INTACT}.") from None


def require(module: str) -> Any:
    """A module of an optional library.

    Raises:    UserError, a predicate, where it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0].replace("google", "protobuf")
        raise RefusedError(f"takes the package {package}, which is not installed", INSTALL) from None


def parse_message(message: Any, path: Path) -> Any:
    """The protobuf message in a file, of the type of `message`.

    Raises:    UserError, a predicate, where it is damaged or too large.
    """
    errors = require("google.protobuf.message")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise UserError(f"has {size:,} bytes, and {MOST_BYTES:,} are the most of such a file")
    try:
        message.ParseFromString(path.read_bytes())
    except (errors.DecodeError, RuntimeError, ValueError):
        raise UserError(f"is damaged, or no {path.suffix} file") from None
    return message


def digest(paths: Sequence[Path]) -> str:
    """The SHA-256 of files, one after another."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()
