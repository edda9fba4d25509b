"""Each layer in ONNX's operators, the channels first: a map is (N, C, H, W) there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cldl.exporting.graph import Graph
from engine.device import to_host
from engine.errors import UserError
from engine.typing import Array, Shape
from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.flatten import Flatten
from layers.layer import Layer
from layers.linear import Linear
from layers.maxout import Maxout
from layers.merge import Add, Concat
from layers.normalise import L2Normalize, LocalResponseNorm
from layers.pooling import AvgPool2d, GlobalAvgPool, MaxPool2d
from layers.relu import ReLU

TINY = np.array(np.finfo(np.float32).tiny)
Inputs = tuple[str, ...]
Shapes = Any  # of one sample: a shape, or a tuple of them where a layer has several inputs


def add_layer(graph: Graph, name: str, layer: Layer, inputs: Inputs, shape: Shapes) -> str:
    """The layer's output in evaluation; shapes are (H, W, C) or (C,).

    Raises:    UserError for a layer that is not known here, such as one of the user's.
    """
    write = LAYERS.get(type(layer))
    if write is None:
        raise UserError(
            f"the layer {name}, {layer!r}, cannot be exported: export a network of the layers in `layers` alone."
        )
    return write(graph, name, layer, inputs, shape)


def _conv(graph: Graph, name: str, layer: Conv2d, inputs: Inputs, shape: Shape) -> str:
    k, s, p = layer.window
    weight = to_host(layer.weight.value).transpose(3, 2, 0, 1)  # (D, C / G, k, k)
    constants = _named(graph, name, weight, to_host(layer.bias.value))
    return graph.add(
        "Conv", *inputs, *constants, name=name, kernel_shape=[k, k], strides=[s, s], pads=[p] * 4, group=layer.groups
    )


def _linear(graph: Graph, name: str, layer: Linear, inputs: Inputs, shape: Shape) -> str:
    constants = _named(graph, name, to_host(layer.weight.value).T, to_host(layer.bias.value))  # (D, C)
    return graph.add("Gemm", *inputs, *constants, name=name, transB=1)


def _max_pool(graph: Graph, name: str, layer: MaxPool2d, inputs: Inputs, shape: Shape) -> str:
    return graph.add("MaxPool", *inputs, name=name, **_window(layer, shape))


def _avg_pool(graph: Graph, name: str, layer: AvgPool2d, inputs: Inputs, shape: Shape) -> str:
    """The mean over k^2 pixels, and where the last windows of ceil mode have fewer, A_ij, times k^2 / A_ij."""
    mean = graph.add("AveragePool", *inputs, name=name, count_include_pad=1, **_window(layer, shape))
    (H, W, _), (Ho, Wo, _) = shape, layer.output_shape(shape)
    A = np.outer(_pixels(layer, H, Ho), _pixels(layer, W, Wo))
    if A.min() == layer.kernel**2:
        return mean
    return graph.add("Mul", mean, (layer.kernel**2 / A).astype(np.float32)[None, None], name=f"{name}.ceil")


def _window(layer: MaxPool2d | AvgPool2d, shape: Shape) -> dict[str, list[int]]:
    """A pooling's attributes, padded behind the image as far as the last window reaches: no runtime has to count windows."""
    k, s, p = layer.kernel, layer.stride, layer.padding
    Ho, Wo, _ = layer.output_shape(shape)
    ends = [max(0, (count - 1) * s + k - p - extent) for count, extent in ((Ho, shape[0]), (Wo, shape[1]))]
    return {"kernel_shape": [k, k], "strides": [s, s], "pads": [p, p, *ends]}


def _pixels(layer: AvgPool2d, extent: int, count: int) -> Array:
    """How many pixels of each window are inside the padded image, along one axis."""
    starts = layer.stride * np.arange(count)
    return np.minimum(starts + layer.kernel, extent + 2 * layer.padding) - starts


def _global_avg_pool(graph: Graph, name: str, layer: GlobalAvgPool, inputs: Inputs, shape: Shape) -> str:
    return graph.add("ReduceMean", *inputs, name=name, axes=[2, 3], keepdims=0)


def _flatten(graph: Graph, name: str, layer: Flatten, inputs: Inputs, shape: Shape) -> str:
    """The elements in the order of (H, W, C)."""
    if len(shape) == 3 and math.prod(shape[:2]) > 1:
        inputs = (graph.add("Transpose", *inputs, name=f"{name}.rows", perm=[0, 2, 3, 1]),)
    return graph.add("Flatten", *inputs, name=name)


def _relu(graph: Graph, name: str, layer: ReLU, inputs: Inputs, shape: Shape) -> str:
    return graph.add("Relu", *inputs, name=name)


def _lrn(graph: Graph, name: str, layer: LocalResponseNorm, inputs: Inputs, shape: Shape) -> str:
    constants = {"size": layer.size, "alpha": float(layer.alpha), "beta": float(layer.beta), "bias": float(layer.k)}
    if len(shape) == 3:
        return graph.add("LRN", *inputs, name=name, **constants)
    pixel = graph.add("Unsqueeze", *inputs, np.array([2, 3], np.int64), name=f"{name}.pixel")  # as it takes maps alone
    return graph.add("Flatten", graph.add("LRN", pixel, name=name, **constants), name=f"{name}.vector")


def _l2_normalize(graph: Graph, name: str, layer: L2Normalize, inputs: Inputs, shape: Shape) -> str:
    length = graph.add("ReduceL2", *inputs, name=f"{name}.length", axes=[1])
    return graph.add("Div", *inputs, graph.add("Max", length, TINY, name=f"{name}.above_0"), name=name)


def _maxout(graph: Graph, name: str, layer: Maxout, inputs: Inputs, shape: Shape) -> str:
    *size, channels = shape
    pieces = np.array([0, channels // layer.pieces, layer.pieces, *size], np.int64)
    grouped = graph.add("Reshape", *inputs, pieces, name=f"{name}.pieces")
    return graph.add("ReduceMax", grouped, name=name, axes=[2], keepdims=0)


def _concat(graph: Graph, name: str, layer: Concat, inputs: Inputs, shape: Shapes) -> str:
    return graph.add("Concat", *inputs, name=name, axis=1)


def _add(graph: Graph, name: str, layer: Add, inputs: Inputs, shape: Shapes) -> str:
    return graph.add("Sum", *inputs, name=name)


def _dropout(graph: Graph, name: str, layer: Dropout, inputs: Inputs, shape: Shape) -> str:
    return inputs[0]


def _named(graph: Graph, name: str, weight: Array, bias: Array) -> tuple[str, str]:
    return graph.constant(weight, f"{name}.weight"), graph.constant(bias, f"{name}.bias")


LAYERS: dict[type, Callable[..., str]] = {
    Conv2d: _conv, Linear: _linear, MaxPool2d: _max_pool, AvgPool2d: _avg_pool, GlobalAvgPool: _global_avg_pool,
    Flatten: _flatten, ReLU: _relu, LocalResponseNorm: _lrn, L2Normalize: _l2_normalize, Maxout: _maxout,
    Concat: _concat, Add: _add, Dropout: _dropout,
}  # fmt: skip
