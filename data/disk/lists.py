"""Lists of image files that come with data sets: text files with one image per line."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from engine.errors import UserError
from engine.io.fields import shown

MAX_BYTES = 1 << 29  # Places205's list of training images has 130 MB


def read_lines(path: Path, where: str) -> list[str]:
    """The lines of a list that are not empty; `where` says where to get it, should it not be there."""
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise UserError(f"{path} has more than {MAX_BYTES:,} bytes, expected a list of files: {where}")
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {where}") from None
    return [line for line in map(str.strip, text.splitlines()) if line]


def read_paths(path: Path, where: str, columns: int = 1) -> list[list[str]]:
    """The lines of a list of `columns` columns, of which the first is a path below the folder of images.

    Columns are separated by spaces or a comma; a leading "/" of a path is dropped.

    Raises:    UserError where a line has other columns, or a path leads elsewhere.
    """
    rows = []
    for number, line in enumerate(read_lines(path, where), 1):
        row = re.split(r"\s*,\s*|\s+", line.lstrip("/")) if columns > 1 else [line.lstrip("/")]
        if len(row) != columns or not row[0] or ".." in row[0].split("/") or "\0" in row[0]:
            expected = "a path below the folder of images" + (" and a number" if columns > 1 else "")
            raise UserError(f"{path} has {shown(line)} in line {number}, expected {expected}: {where}")
        rows.append(row)
    if not rows:
        raise UserError(f"{path} is empty, expected a line for each image: {where}")
    return rows


def first_file(folders: Sequence[Path], name: str) -> Path | None:
    """The file of this name in the first of the folders that has one."""
    return next((folder / name for folder in folders if os.path.isfile(folder / name)), None)


def checked_folder(data: str | Path | None, what: str, where: str) -> Path:
    """The folder that was named for a data set; raises UserError where none was, or it is not there."""
    if data is None:
        raise UserError(f"{what} is not downloaded by this program: name its folder by --data; {where}")
    if not os.path.isdir(data):
        state = "is a file" if os.path.exists(data) else "is not there"
        raise UserError(f"{data} {state}, expected the folder of {what}: name it by --data; {where}")
    return Path(data)
