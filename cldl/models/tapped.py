"""A network from a row of layers and the places where classifiers look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from engine.errors import UserError
from engine.typing import Shape
from layers.layer import Layer
from layers.network import Network
from layers.sequential import Sequential

INITIALISERS = ("he", "published")


def tapped(
    layers: Sequence[Layer], places: Iterable[int], lower: Callable[[Shape], Layer], top: Layer, image: Shape
) -> Network:
    """Cut the layers into blocks after `places` of them; `lower(shape)` stands on each block but the last, `top` on that."""
    cuts = [0, *sorted(places), len(layers)]
    blocks = [Sequential(*layers[a:b]) for a, b in pairwise(cuts)]
    classifiers, shape = [], image
    for block in blocks[:-1]:
        shape = block.output_shape(shape)
        classifiers.append(lower(shape))
    return Network(blocks, [*classifiers, top], image)


def check_initialisation(name: str) -> None:
    """Raise unless it is one of INITIALISERS."""
    if name not in INITIALISERS:
        raise UserError(f"the initialisation {name!r} is unknown; choose one of {', '.join(INITIALISERS)}.")
