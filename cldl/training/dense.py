"""A network that was built for crops, on whole images of any size: fully convolutional evaluation.

A linear layer behind a map of h x w pixels is a convolution with a window of h x w; on a larger map it gives a map of outputs,
one for each place at which the crop's map fits. What follows works at each of its pixels, and each classifier's map of scores
is averaged (Simonyan and Zisserman, ICLR 2015, section 3.2; Sermanet et al., "OverFeat", ICLR 2014). The weights are the
network's own.
"""

from __future__ import annotations

import threading

import numpy as np

from data.dataset import VariedSplit
from data.transforms.preprocessing import Preprocessing
from engine.context import Context
from engine.errors import UserError
from engine.runtime.backend import Backend
from engine.typing import Array, Shape
from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.flatten import Flatten
from layers.linear import Linear
from layers.merge import Add, Concat
from layers.network import Network
from layers.node import INPUT, Node
from layers.normalise import L2Normalize
from layers.pooling import GlobalAvgPool
from layers.relu import ReLU

PIXELWISE = (Dropout, ReLU)  # they do the same to a number of a vector, and of a map
PIXEL = 1, 1  # the window of a vector
CROPS_AT_ONCE = 8  # as many pixels as these are computed by a thread at a time


def dense_network(network: Network, image: Shape) -> Network:
    """The network for images (H, W, C) that are larger than those it was built for; its weights are shared, not copied.

    Raises:    UserError for images that are smaller, and for a network with layers on vectors that are none on maps.
    """
    if min(image[:2]) < min(network.input_shape[:2]):
        raise UserError(
            f"whole images of {image[0]} x {image[1]} pixels are smaller than the crops of {network.input_shape[0]} x "
            f"{network.input_shape[1]} that the network was trained on: give larger scales."
        )
    shapes, nodes = {INPUT: network.input_shape, **network.node_shapes()}, list[Node]()
    flattened: dict[str, str] = {}  # by the name of a Flatten, which is left out, the node whose map it flattens
    # By the name of a node that gives a vector in the given network and a map here: the size of the map that the vector was.
    windows: dict[str, tuple[int, int]] = {}
    for node in network.nodes:
        inputs, layer = tuple(flattened.get(name, name) for name in node.inputs), node.layer
        window = next((windows[name] for name in node.inputs if name in windows), None)
        if isinstance(layer, Flatten) and window is None:
            flattened[node.name], windows[node.name] = inputs[0], (shapes[inputs[0]][0], shapes[inputs[0]][1])
            continue
        if window is None:
            pass
        elif isinstance(layer, Linear):
            layer, window = _convolution(layer, *window), PIXEL
        elif isinstance(layer, Add | Concat):
            inputs, window = tuple(_mean(name, nodes) if name in windows else name for name in inputs), None
        elif not (isinstance(layer, PIXELWISE) or (isinstance(layer, L2Normalize) and window == PIXEL)):
            raise UserError(f"the network's {node.name}, {layer!r}, takes vectors: evaluate on crops instead.")
        nodes.append(Node(node.name, layer, inputs))
        if window is not None:
            windows[node.name] = window
    exits = [_mean(name, nodes) if name in windows else name for name in network.exits]
    return Network(nodes, exits, image)


def dense_logits(
    network: Network,
    split: VariedSplit,
    mirrored: bool,
    preprocessing: Preprocessing,
    backend: Backend,
) -> list[Array]:
    """The logits of the M classifiers on the whole images of a split, M arrays (N, K) float32."""
    logits = [np.empty((len(split), network.classes), np.float32) for _ in network.exits]
    sizes = split.whole_sizes()
    order = np.lexsort(sizes.T)  # images of one size together
    networks, lock = dict[tuple[int, int], Network](), threading.Lock()

    def work(ctx: Context, start: int, stop: int) -> None:
        for rows in _groups(order[start:stop], sizes, network.input_shape):
            height, width = map(int, sizes[rows[0]])
            with lock:
                if (height, width) not in networks:
                    networks[height, width] = dense_network(network, (height, width, network.input_shape[2]))
            images = np.stack([split.whole(int(i)) for i in rows])
            images = np.ascontiguousarray(images[:, :, ::-1]) if mirrored else images
            ctx.needs_backward = False
            z, _ = networks[height, width].forward(preprocessing(ctx.to_device(images), ctx), ctx)
            for whole, part in zip(logits, z, strict=True):
                whole[rows] = ctx.to_host(part)

    backend.run(len(split), work)
    return logits


def _groups(rows: Array, sizes: Array, crop: Shape) -> list[Array]:
    """The rows, in groups of one size that are computed at once."""
    groups = []
    for group in np.split(rows, np.flatnonzero(np.any(np.diff(sizes[rows], axis=0), axis=1)) + 1):
        most = max(1, CROPS_AT_ONCE * crop[0] * crop[1] // int(sizes[group[0]].prod()))
        groups += [group[i : i + most] for i in range(0, len(group), most)]
    return groups


def _convolution(linear: Linear, h: int, w: int) -> Conv2d:
    """A linear layer on maps of h x w pixels as a convolution, with the same weights."""
    inputs, outputs = linear.weight.shape
    if h != w:
        raise UserError(f"the network has a linear layer on a map of {h} x {w} pixels: whole images take square ones.")
    conv = Conv2d(inputs // (h * w), outputs, h, algorithm="patches")  # not drawn: it has the layer's weights
    conv.weight.value = linear.weight.value.reshape(conv.weight.shape)
    conv.bias.value = linear.bias.value
    return conv


def _mean(name: str, nodes: list[Node]) -> str:
    """The name of a node that averages the map of another, which is made if need be."""
    own = f"{name}.mean"
    if all(node.name != own for node in nodes):
        nodes.append(Node(own, GlobalAvgPool(), (name,)))
    return own
