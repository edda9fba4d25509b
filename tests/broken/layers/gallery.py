"""The gallery of broken layers: how a class gets into it, and the shapes that they are checked at."""

from collections.abc import Callable
from typing import Any, NamedTuple

from engine.parameters import initialise
from engine.random import Key

VECTOR, IMAGE, TINY, PIECES = (3,), (6, 5, 2), (3, 3, 2), (2, 2, 6)
TWO = [(4,), (4,)]


class Broken(NamedTuple):
    make: Callable[[], Any]
    shape: Any
    check: str


GALLERY: list[Broken] = []


def rejected_by(check: str, shape: Any, *arguments: Any, **options: Any):
    """Put the class into the gallery, built with these arguments, its parameters drawn."""

    def make(kind: type) -> Any:
        layer = kind(*arguments, **options)
        initialise(layer.parameters(), Key(1))
        return layer

    def add(kind: type) -> type:
        GALLERY.append(Broken(lambda: make(kind), shape, check))
        return kind

    return add
