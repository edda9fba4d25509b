"""A linear classifier on the features of a network, which was trained on other images: how MIT67 and SUN397 are classified."""

from __future__ import annotations

import math

from cldl.models.heads import check_initialisation
from engine.errors import UserError
from engine.initialisers import constant, he
from layers.flatten import Flatten
from layers.layer import Layer
from layers.linear import Linear
from layers.network import Network
from layers.node import Node, chain
from layers.normalise import L2Normalize


def linear_on_features(network: Network, layer: str, classes: int, *, initialisation: str = "published") -> Network:
    """The network up to the node `layer`, and on it one linear classifier of K classes.

    What the layer gives is taken as a vector, and divided by its length:

        f = h_layer / |h_layer|,    z = f W + b

    With the hinge loss and a penalty on the weights this is a linear support vector machine for each class, against all others.
    The nodes that are kept have their names and parameters, so weights of the whole network fit.

    Source: wanglimin/Places205-VGGNet, README, of Places205-VGG on MIT67 and SUN397: features of fc6, divided by their norm.

    initialisation -- of W: "published", 0, as the loss is convex in it; or "he"
    """
    check_initialisation(initialisation)
    shapes = network.node_shapes()
    if layer not in {node.name for node in network.nodes}:
        raise UserError(f"there is no layer {layer!r} to take features from; choose from {', '.join(shapes)}.")
    weight = he if initialisation == "he" else constant(0)
    linear = Linear(math.prod(shapes[layer]), classes, weight=weight)
    flat: list[tuple[str, Layer]] = [("map", Flatten())] if len(shapes[layer]) > 1 else []
    top = [(f"head_top.{name}", part) for name, part in (*flat, ("unit", L2Normalize()), ("fc", linear))]
    nodes = [*_below(network, layer), *chain(layer, top)]
    return Network(nodes, [nodes[-1].name], network.input_shape)


def _below(network: Network, layer: str) -> list[Node]:
    """The nodes on which a node depends, and itself."""
    needed, nodes = {layer}, list[Node]()
    for node in reversed(network.nodes):
        if node.name in needed:
            needed.update(node.inputs)
            nodes.insert(0, node)
    return nodes
