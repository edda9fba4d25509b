"""From bytes (N, H, W, C) to what the network sees, in ONNX's operators (see `data.transforms.preprocessing`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cldl.exporting.graph import Graph
from data.floats import Standardise
from data.transforms.preprocessing import NORM, Contrast, Preprocessing, Scale, Whitening
from engine.errors import UserError
from engine.typing import Shape


def add_preprocessing(graph: Graph, preprocessing: Preprocessing, image: str, shape: Shape) -> tuple[str, type]:
    """The network's input, a map with its channels first; and the type of what the graph is given, uint8 or float32.

    Raises:    UserError for a preprocessing that is not known here.
    """
    x, dtype = _preprocessed(graph, preprocessing, image, shape)
    if len(shape) == 3:
        x = graph.add("Transpose", x, name="x", perm=[0, 3, 1, 2])
    return x, dtype


def _preprocessed(graph: Graph, preprocessing: Any, image: str, shape: Shape) -> tuple[str, type]:
    if isinstance(preprocessing, Scale):
        x = graph.add("Mul", graph.cast(image, np.float32, "pixels"), preprocessing.factor, name="scaled")
        return graph.add("Sub", x, preprocessing.shift, name="centred"), np.uint8
    if isinstance(preprocessing, Standardise):
        x = graph.add("Sub", graph.cast(image, np.float64, "numbers"), preprocessing.mean, name="centred")
        return graph.cast(graph.add("Div", x, preprocessing.std, name="scaled"), np.float32, "standardised"), np.float32
    if not isinstance(preprocessing, Contrast | Whitening):
        raise UserError(f"the preprocessing {type(preprocessing).__name__} cannot be exported: use one of cldl's.")
    rows = graph.add("Reshape", image, np.array([0, math.prod(shape)], np.int64), name="rows")  # (N, D)
    x = _contrast(graph, graph.cast(rows, np.float64, "pixels"))
    if isinstance(preprocessing, Whitening):
        centred = graph.add("Sub", x, preprocessing.mean, name="centred")
        x = graph.add("MatMul", centred, preprocessing.matrix, name="whitened")
    return graph.add("Reshape", x, np.array([0, *shape], np.int64), name="image_again"), np.uint8


def _contrast(graph: Graph, p: str) -> str:
    """55 (p - mean p) / ||p - mean p||: in float64, where the mean of equal bytes is that byte, so that their image becomes 0."""
    centred = graph.add("Sub", p, graph.add("ReduceMean", p, name="mean", axes=[1]), name="without_mean")
    length = graph.add("ReduceL2", centred, name="length", axes=[1])
    above = graph.add("Max", length, np.array(np.finfo(np.float64).tiny), name="length_above_0")
    return graph.cast(graph.add("Mul", graph.add("Div", centred, above), np.array(NORM)), np.float32, "contrast")
