"""The parts that a network is a list of: layers, each with a name and the names of its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import UserError
from layers.layer import Layer

INPUT = "x"  # the name of the network's input


@dataclass(frozen=True)
class Node:
    """h[name] = layer(h[input], ...); h["x"] is the network's input.

    A layer with several inputs (`Layer.n_inputs`) is given the tuple of them, in this order.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...] = (INPUT,)

    def __post_init__(self) -> None:
        if not isinstance(self.layer, Layer):
            raise UserError(
                f"node {self.name!r} has {self.layer!r} for a layer: give an object with forward, backward, output_shape and "
                "parameters, as Layer has them."
            )
        if isinstance(self.inputs, str):
            raise UserError(
                f"the inputs of node {self.name!r} are a string: give a tuple of names, ({self.inputs!r},)."
            )


def chain(source: str, layers: Iterable[tuple[str, Layer]]) -> list[Node]:
    """Nodes one after another: the first reads `source`, every other the node before it.

    >>> from layers.relu import ReLU
    >>> chain("x", [("a", ReLU()), ("b", ReLU())])
    [Node(name='a', layer=ReLU(), inputs=('x',)), Node(name='b', layer=ReLU(), inputs=('a',))]
    """
    nodes = []
    for name, layer in layers:
        nodes.append(Node(name, layer, (source,)))
        source = name
    return nodes


def gather(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """What a layer is given of these inputs: the value of the only one, or a tuple."""
    return values[names[0]] if len(names) == 1 else tuple(values[name] for name in names)


def check_nodes(nodes: Sequence[Node], exits: Sequence[str]) -> None:
    """Raise UserError unless nodes are in topological order, names unique, and every node leads to an exit."""
    known = {INPUT}
    for node in nodes:
        if node.name in known:
            other = "the network's input" if node.name == INPUT else "another node"
            raise UserError(f"a node is called {node.name!r}, like {other}: give it a name of its own.")
        if len(node.inputs) != node.layer.n_inputs:
            raise UserError(
                f"node {node.name!r} reads {len(node.inputs)} inputs, {', '.join(node.inputs)}; "
                f"{node.layer} takes {node.layer.n_inputs}: name as many."
            )
        for name in node.inputs:
            if name not in known:
                raise UserError(f"node {node.name!r} reads {name!r}, which is no node before it: put that one first.")
        known.add(node.name)
    if not exits:
        raise UserError("the network has no exit: name at least one node that gives logits.")
    for name in exits:
        if name not in known - {INPUT}:
            raise UserError(f"the exit {name!r} is no node: choose from {', '.join(node.name for node in nodes)}.")
        if exits.count(name) > 1:
            raise UserError(f"the exit {name!r} stands twice: name each exit once.")
    used = set(exits)
    for node in reversed(nodes):
        if node.name not in used:
            raise UserError(f"node {node.name!r} leads to no exit: leave it out, or make it an exit.")
        used.update(node.inputs)
