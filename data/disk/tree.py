"""The image files below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from engine.errors import UserError

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp"),  # a file's format is detected from its bytes
    *(".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl"),  # not supported: skipped, and reported by name
)
MAX_DEPTH = 64  # of folders


def folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; hidden ones are left out."""
    with _listing(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def image_files(folder: Path) -> list[str]:
    """The paths, below the folder, of all files that are named as images, sorted; hidden ones are left out.

    Links are followed; a link to an enclosing folder is not followed.
    """
    return sorted(_walk(folder, "", ()))


def _walk(folder: Path, below: str, around: tuple[tuple[int, int], ...]) -> Iterator[str]:
    status = folder.stat()
    own = (status.st_dev, status.st_ino)
    if own in around or len(around) >= MAX_DEPTH:
        return
    with _listing(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _walk(folder / entry.name, f"{below}{entry.name}/", (*around, own))
            elif entry.name.lower().endswith(SUFFIXES) and entry.is_file():
                yield below + entry.name


def _listing(folder: Path):
    """The entries of a folder; raises UserError where it cannot be listed."""
    try:
        return os.scandir(folder)
    except OSError as error:
        reason = error.strerror or "it cannot be listed"
        raise UserError(f"{folder} cannot be read ({reason}): name a folder of images that you may read.") from None
