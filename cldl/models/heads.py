"""A network from a chain of named layers and the nodes where classifiers are attached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from engine.errors import UserError
from engine.typing import Shape
from layers.layer import Layer
from layers.network import Network
from layers.node import INPUT, Node

INITIALISERS = ("he", "published")
NamedLayers = Sequence[tuple[str, Layer]]


def chain(layers: NamedLayers, after: str = INPUT) -> list[Node]:
    """Nodes one after another, the first on the output of `after`."""
    inputs = [after, *(name for name, _ in layers)]
    return [Node(name, layer, (before,)) for before, (name, layer) in zip(inputs, layers, strict=False)]


def attach_heads(
    trunk: NamedLayers, taps: Iterable[str], head: Callable[[Shape], NamedLayers], top: NamedLayers, image: Shape
) -> Network:
    """The trunk with the classifier `head(shape)` on each of the `taps`, which are names of its nodes, and `top` on its end.

    A head's nodes are called by the tap: head_pool1.linear. So names do not depend on which other heads there are.
    """
    taps, nodes, exits, shape = set(taps), list[Node](), list[str](), image
    for node in chain(trunk):
        nodes.append(node)
        shape = node.layer.output_shape(shape)
        if node.name in taps:
            nodes += chain([(f"head_{node.name}.{name}", layer) for name, layer in head(shape)], node.name)
            exits.append(nodes[-1].name)
    nodes += chain([(f"head_top.{name}", layer) for name, layer in top], trunk[-1][0])
    return Network(nodes, [*exits, nodes[-1].name], image)


def check_initialisation(name: str) -> None:
    """Raise unless it is one of INITIALISERS."""
    if name not in INITIALISERS:
        raise UserError(f"the initialisation {name!r} is unknown; choose one of {', '.join(INITIALISERS)}.")
