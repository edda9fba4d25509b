"""The data sets by name: a new one is a file in `data.sources`, and a line in each table here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from data.dataset import Dataset
from data.disk.photos import Listing
from data.fetch.download import Say, quiet
from data.sources import cifar100, folder, imagenet, mnist, scenes
from engine.errors import UserError
from engine.typing import Shape


class Loader(Protocol):
    """Loads a data set from the cache folder, or from `data`, a file or folder of the user's; `say` gets a line a step."""

    def __call__(self, cache: str | Path | None = None, *, data: str | Path | None = None, say: Say) -> Dataset: ...


LOADERS: dict[str, Loader] = {"mnist": mnist.load, "cifar100": cifar100.load}
IMAGES: dict[str, tuple[Shape, int]] = {  # (H, W, C), classes
    "mnist": ((28, 28, 1), 10),
    "cifar100": ((32, 32, 3), 100),
}
PHOTOS: dict[str, Callable[..., Listing]] = {  # image files, of any size
    "folder": folder.find,
    "imagenet": imagenet.find,
    "mit67": scenes.find_mit67,
    "sun397": scenes.find_sun397,
    "places205": scenes.find_places205,
}


def load(name: str, cache: str | Path | None = None, data: str | Path | None = None, say: Say = quiet) -> Dataset:
    """The data set of this name.

    cache -- the folder that data sets are cached in; None: that of the environment or of the user (see `cache_folder`)
    data  -- the data set's archive, or a folder with its files: it is read, and replaces what the cache holds
    say   -- gets a line of text for each step

    Raises:    UserError for an unknown name, and where the data cannot be had.
    """
    if name not in LOADERS:
        raise UserError(f"there is no data set {name!r}: choose one of {', '.join(LOADERS)}")
    return LOADERS[name](cache, data=data, say=say)


def find_photos(name: str, data: str | Path | None, partition: int = 1) -> Listing:
    """Which files are the images of the data set of this name, in the folder `data`; `partition` is of SUN397's.

    Raises:    UserError that says what is missing, and where to get it.
    """
    return PHOTOS[name](data, partition) if name == "sun397" else PHOTOS[name](data)
