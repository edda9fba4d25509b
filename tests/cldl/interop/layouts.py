"""Weights in the layout of Caffe, PyTorch and ONNX, and what a network must hold after it has taken them."""

import numpy as np

from layers.conv2d import Conv2d
from layers.linear import Linear


def arrays_of(network, seed=0, classes=None):
    """A weight and a bias for each layer of a network, by the name of its node: (D, C / groups, k, k), or (D, inputs).

    classes -- how many the classifiers tell apart; None: as many as the network
    """
    random, arrays = np.random.default_rng(seed), {}
    for node in network.nodes:
        if isinstance(node.layer, Conv2d | Linear):
            D, *others = node.layer.weight.shape[::-1]
            if node.name in network.exits:
                D = classes or D
            arrays[node.name] = tuple(random.normal(0, 0.1, shape).astype(np.float32) for shape in ((D, *others), (D,)))
    return arrays


def assert_holds(network, arrays, bgr=False):
    """The network has these weights: element by element, in its own layout."""
    for node in network.nodes:
        if node.name in arrays:
            w, b = arrays[node.name]
            np.testing.assert_array_equal(node.layer.bias.value, b)
            expected = converted(network, node, np.asarray(w), bgr)
            np.testing.assert_array_equal(node.layer.weight.value, expected, err_msg=node.name)


def converted(network, node, w, bgr):
    """A weight in the engine's layout, one element after another."""
    W = np.empty(node.layer.weight.shape, np.float32)
    if isinstance(node.layer, Conv2d):
        w = w[:, ::-1] if bgr and node.inputs == ("x",) else w
        for d in range(W.shape[3]):
            for c in range(W.shape[2]):
                W[:, :, c, d] = w[d, c]
        return W
    H, width, C = map_below(network, node) or (1, 1, W.shape[0])
    for i in range(H):
        for j in range(width):
            for c in range(C):
                W[(i * width + j) * C + c] = w[:, (c * H + i) * width + j]
    return W


def map_below(network, node):
    """(H, W, C) where a node reads a flattened map."""
    below = {n.name: n for n in network.nodes}.get(node.inputs[0])
    if below is None or type(below.layer).__name__ != "Flatten":
        return None
    return network.node_shapes()[below.inputs[0]]
