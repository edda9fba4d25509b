"""Atomic writes: a file is written under a temporary name in the same folder, then renamed."""

import errno
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import platformdirs

from engine.errors import UserError

CACHE = "CLDL_CACHE"  # the environment variable that names the cache folder
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")  # a file that `atomic_write` has not finished

_REMEDIES = {
    errno.ENOSPC: "free some space on that disk or choose a folder on another one",
    errno.EDQUOT: "free some of your quota or choose a folder on another disk",
    errno.ENOENT: "create its folder or choose another one",
}
_REMEDY = "choose a folder that you may write to"


def cache_folder(override: str | Path | None = None) -> Path:
    """Return the cache folder: `override`, else the environment variable CLDL_CACHE, else the system's default.

    Raises:    UserError where that is in a home folder and the system knows of none.
    """
    try:
        return Path(override or os.environ.get(CACHE) or platformdirs.user_cache_dir("cldl")).expanduser()
    except RuntimeError:
        raise UserError(f"there is no home folder for the cache: name a folder by {CACHE}") from None


@contextmanager
def explained(path: str | Path) -> Iterator[None]:
    """Turn an `OSError` of the block into a `UserError` that names `path`, the reason and the remedy."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write {path} ({reason}): {_REMEDIES.get(error.errno or 0, _REMEDY)}") from error


def make_folder(path: str | Path) -> Path:
    """Return the folder `path`; create it and its parents if they are missing.

    Raises:    UserError when the folder cannot be created.
    """
    with explained(path):
        Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file for writing that replaces `path` when the block ends without an exception.

    The bytes go to a temporary file in the same folder, which is flushed to the disk and then renamed, so a reader sees the
    old file or the new one. If the block fails, the temporary file is removed and the old file stays.

    Raises:    UserError when the disk is full, the folder is missing or may not be written to.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    encoding = None if "b" in mode else "utf-8"
    with explained(path):
        try:
            with open(temporary, mode.replace("w", "x"), encoding=encoding) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def remove_temporary(folder: str | Path) -> None:
    """Remove what killed writes left in a folder and those below it; no process may be writing there now."""
    for path in Path(folder).rglob(".*.tmp"):
        if TEMPORARY.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()


def write_json(path: str | Path, obj: Any) -> None:
    """Write `obj` to `path` as indented JSON, atomically.

    Raises:    UserError as `atomic_write`; ValueError for NaN and infinity, which JSON does not have.
    """
    with atomic_write(path, "w") as file:
        json.dump(obj, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def _sync_folder(folder: Path) -> None:
    """Flush a folder, and so the renaming of a file in it; Windows has no such call and needs none."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
