"""Which feature maps the PyTorch module flattens with the channels first; then the weight behind them is reordered."""

from __future__ import annotations

import math

from engine.typing import Array, Shape
from layers.dropout import Dropout
from layers.flatten import Flatten
from layers.linear import Linear
from layers.network import Network
from layers.node import INPUT, Node
from layers.normalise import L2Normalize
from layers.relu import ReLU

ANY_ORDER = (ReLU, Dropout, L2Normalize)  # layers that commute with a permutation of the elements


def channels_first(network: Network) -> dict[str, Shape]:
    """By the name of a `Flatten`, and of the linear layers that read its output, the shape (H, W, C) of the map it flattens.

    Included are those whose order only linear layers depend on: their weights' rows are reordered, and the module
    needs no transposition. All others keep the order of (H, W, C).
    """
    shapes = {INPUT: network.input_shape, **network.node_shapes()}
    found: dict[str, Shape] = {}
    for node in network.nodes:
        if type(node.layer) is Flatten and len(shape := shapes[node.inputs[0]]) == 3 and math.prod(shape[:2]) > 1:
            readers = _linear_readers(network, node)
            if readers is not None:
                found |= dict.fromkeys([node.name, *(reader.name for reader in readers)], shape)
    return found


def _linear_readers(network: Network, node: Node) -> list[Node] | None:
    """The linear layers that read a node's output; None where others see its order."""
    readers: list[Node] = []
    if node.name in network.exits:
        return None
    for reader in network.nodes:
        if node.name not in reader.inputs:
            continue
        if type(reader.layer) is Linear:
            readers.append(reader)
        elif type(reader.layer) in ANY_ORDER and (further := _linear_readers(network, reader)) is not None:
            readers += further
        else:
            return None
    return readers


def with_channels_first(weight: Array, shape: Shape) -> Array:
    """A linear layer's weight (H W C, D) as one (C H W, D)."""
    return weight.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
