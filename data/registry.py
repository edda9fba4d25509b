"""The data sets by name: the one place where a new one is entered."""

from pathlib import Path
from typing import Protocol

from data.dataset import Dataset
from data.fetch.download import Say
from data.sources import cifar100, mnist
from engine.typing import Shape


class Load(Protocol):
    """From the cache folder, or from the place `data` that the user named; `say` gets a line for each step."""

    def __call__(self, cache: str | Path | None = None, *, data: str | Path | None = None, say: Say) -> Dataset: ...


LOADERS: dict[str, Load] = {"mnist": mnist.load, "cifar100": cifar100.load}
IMAGES: dict[str, tuple[Shape, int]] = {
    "mnist": ((28, 28, 1), 10),
    "cifar100": ((32, 32, 3), 100),
}  # (H, W, C), classes
