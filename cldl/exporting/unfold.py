"""The nodes of a network as they are exported: each one layer, in topological order."""

from __future__ import annotations

from collections.abc import Iterator

from layers.layer import Layer
from layers.network import Network
from layers.node import Node
from layers.sequential import Sequential


def unfold(network: Network) -> Network:
    """The same network, of the same parameters by the same names, with the layers of each Sequential as nodes NODE.0, NODE.1, ...

    >>> from layers import Flatten, Linear
    >>> network = Network([Node("low", Sequential(Flatten(), Linear(4, 2)), ("x",))], ["low"], (2, 2, 1))
    >>> unfold(network).nodes
    (Node(name='low.0', layer=Flatten(), inputs=('x',)), Node(name='low.1', layer=Linear(4, 2), inputs=('low.0',)))
    """
    nodes, ends = list[Node](), dict[str, str]()
    for node in network.nodes:
        inputs = tuple(ends.get(name, name) for name in node.inputs)
        for name, layer in _parts(node.name, node.layer):
            nodes.append(Node(name, layer, inputs))
            ends[node.name], inputs = name, (name,)
    return Network(nodes, [ends[name] for name in network.exits], network.input_shape)


def _parts(name: str, layer: Layer) -> Iterator[tuple[str, Layer]]:
    if type(layer) is not Sequential:
        yield name, layer
        return
    for i, part in enumerate(layer.layers):
        yield from _parts(f"{name}.{i}", part)
