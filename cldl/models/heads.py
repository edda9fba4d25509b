"""A network from a chain of named layers and the nodes where classifiers are attached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from engine.errors import UserError
from engine.typing import Shape, is_whole
from layers.layer import Layer
from layers.network import Network
from layers.node import INPUT, Node, chain, gather

INITIALISERS = ("he", "published")
NamedLayers = Sequence[tuple[str, Layer]]


def attach_heads(
    trunk: NamedLayers, taps: Iterable[str], head: Callable[[Shape], NamedLayers], top: NamedLayers, image: Shape
) -> Network:
    """The trunk with the classifier `head(shape)` on each of the `taps`, which are names of its nodes, and `top` on its end.

    A head's nodes are called by the tap: head_pool1.linear. So names do not depend on which other heads there are.
    """
    return attach(chain(INPUT, trunk), taps, head, top, image)


def attach(
    trunk: Sequence[Node], taps: Iterable[str], head: Callable[[Shape], NamedLayers], top: NamedLayers, image: Shape
) -> Network:
    """`attach_heads` of a trunk that branches and merges, its nodes in topological order."""
    taps, nodes, exits, shapes = set(taps), list[Node](), list[str](), {INPUT: image}
    if unknown := taps - {node.name for node in trunk}:
        names = ", ".join(node.name for node in trunk)
        raise UserError(f"there is no node {min(unknown)!r} to attach a classifier to; choose from {names}.")
    for node in trunk:
        nodes.append(node)
        shapes[node.name] = node.layer.output_shape(gather(shapes, node.inputs))
        if node.name in taps:
            layers = head(shapes[node.name])
            nodes += chain(node.name, [(f"head_{node.name}.{name}", layer) for name, layer in layers])
            exits.append(nodes[-1].name)
    nodes += chain(trunk[-1].name, [(f"head_top.{name}", layer) for name, layer in top])
    return Network(nodes, [*exits, nodes[-1].name], image)


def check_task(image: Shape, classes: int) -> None:
    """Raise unless these are images (H, W, C) of two classes or more."""
    if len(image) != 3 or min(image) < 1:
        raise UserError(f"the images' shape is {tuple(image)}; give (height, width, channels), each 1 or more.")
    if classes < 2:
        raise UserError(f"the number of classes is {classes}; give 2 or more.")


def check_initialisation(name: str) -> None:
    """Raise unless it is one of INITIALISERS."""
    if name not in INITIALISERS:
        raise UserError(f"the initialisation {name!r} is unknown; choose one of {', '.join(INITIALISERS)}.")


def check_classifiers(classifiers: int, least: int, most: int) -> None:
    """Raise unless there are places for so many classifiers."""
    if not is_whole(classifiers) or not least <= classifiers <= most:
        places = f"{least} to {most}" if least < most else f"{most}"
        raise UserError(f"the number of classifiers is {classifiers!r}; this network has places for {places}.")
