"""The cache: a folder of the user's, never inside the package, with an HDF5 file for each data set and each fit."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.errors import UserError
from engine.io.files import make_folder
from engine.io.storage import Attributes, read_arrays, write_arrays

REMEDY = "delete it and start again, it is then {} anew"

Arrays = dict[str, np.ndarray]


def load_or_make(
    path: Path,
    kind: str,
    make: Callable[[], tuple[Arrays, Attributes]],
    check: Callable[[Arrays, Attributes], object],
    *,
    made: str = "fetched",
    anew: bool = False,
) -> tuple[Arrays, Attributes]:
    """Return what the file `path` holds; where there is no such file, or `anew`, it first gets what `make` returns.

    kind  -- of the file; one of another kind is refused
    check -- raises a UserError unless the arrays and attributes are what they should be, however well-formed the file
    made  -- what `make` does, for the remedy's words

    Raises:    UserError when `make` fails, the folder cannot be written to, or the file was not written here.
    """
    if anew or not os.path.isfile(path):  # unlike Path.is_file it never raises
        make_folder(path.parent)  # before anything is fetched
        write_arrays(path, *make(), kind=kind, version=1)
    remedy = REMEDY.format(made)
    arrays, attributes = read_arrays(path, kind=kind, version=1, remedy=remedy)
    try:
        check(arrays, attributes)
    except UserError as error:
        raise UserError(f"{path}: {error}: {remedy}") from None
    return arrays, attributes
