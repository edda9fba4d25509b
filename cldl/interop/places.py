"""The layers of a network that have weights, and the layout in which other tools keep these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cldl.interop.order import in_order
from engine.typing import Array, Shape
from layers.conv2d import Conv2d
from layers.flatten import Flatten
from layers.linear import Linear
from layers.network import Network
from layers.node import INPUT, Node


@dataclass(frozen=True)
class Place:
    """A convolution or a fully connected layer of a network.

    map         -- (H, W, C) of the map that the layer sees flattened, if it does
    sees_image  -- whether its input channels are the image's
    in_trunk    -- whether the network without its lower classifiers has it, too
    is_decision -- whether its outputs, one a class, reach an exit without another layer with weights
    """

    name: str
    layer: Conv2d | Linear
    map: Shape | None
    sees_image: bool
    in_trunk: bool
    is_decision: bool

    @property
    def shape(self) -> Shape:
        """The weight's shape in other tools: (D, C / groups, k, k), or (D, inputs)."""
        return self.layer.weight.shape[::-1]

    def fits(self, shape: Shape) -> bool:
        """Whether a weight of this shape is one of the layer; a fully connected layer may be stored as a convolution."""
        return shape == self.shape or (isinstance(self.layer, Linear) and shape == self._as_convolution)

    def weight(self, w: Array, bgr: bool) -> Array:
        """A weight that fits, in the engine's layout; `bgr`: the image's channels are blue, green, red there."""
        if isinstance(self.layer, Linear):
            w = w.reshape(self._as_convolution)  # (D, C, H, W)
        if bgr and self.sees_image and w.shape[1] == 3:
            w = w[:, ::-1]
        w = w.transpose(2, 3, 1, 0)  # (k, k, C, D), or (H, W, C, D), as `Flatten` has a map: the channels side by side
        return w.reshape(self.layer.weight.shape)

    @property
    def _as_convolution(self) -> Shape:
        """The shape of a fully connected layer's weight as a convolution over the whole map, (D, C, H, W)."""
        inputs, outputs = self.layer.weight.shape
        H, W, C = self.map or (1, 1, inputs)
        return outputs, C, H, W


def places(network: Network) -> list[Place]:
    """All such layers: first those from which the top classifier is computed, in their order, then those of the others."""
    nodes, shapes = {node.name: node for node in network.nodes}, {INPUT: network.input_shape, **network.node_shapes()}

    def inputs(name: str) -> tuple[str, ...]:
        return nodes[name].inputs if name in nodes else ()

    top, *lower = ([name for name in in_order(e, inputs) if name in nodes] for e in reversed(network.exits))
    decisions = {name for e in network.exits for name in _nearest_weights(e, nodes)}
    found = []
    for node in (nodes[name] for name in dict.fromkeys([*top, *(name for names in lower for name in names)])):
        if isinstance(node.layer, Conv2d | Linear):
            below = list(_weightless_below(node, nodes))
            flattened = next((n for n in below if isinstance(n.layer, Flatten)), None)
            seen = shapes[flattened.inputs[0]] if flattened else ()
            found.append(
                Place(
                    node.name,
                    node.layer,
                    map=seen if len(seen) == 3 else None,
                    sees_image=(below[-1] if below else node).inputs == (INPUT,),
                    in_trunk=node.name in top and (not node.name.startswith("head_") or "head_top." in node.name),
                    is_decision=node.name in decisions,
                )
            )
    return found


def _weightless_below(node: Node, nodes: dict[str, Node]) -> Iterator[Node]:
    """The nodes between this one and the next one below that has weights or several inputs."""
    while node.inputs[0] in nodes:
        node = nodes[node.inputs[0]]
        if node.layer.parameters() or len(node.inputs) > 1:
            return
        yield node


def _nearest_weights(name: str, nodes: dict[str, Node]) -> Iterator[str]:
    """The nodes with weights that a node's output is computed from without others in between."""
    if name in nodes and nodes[name].layer.parameters():
        yield name
    elif name in nodes:
        for below in nodes[name].inputs:
            yield from _nearest_weights(below, nodes)
