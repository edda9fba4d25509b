"""ONNX files: the layers are found by walking the graph from its output, and told by their order.

Names differ from exporter to exporter; the order of a network's convolutions and fully connected layers does not. Nothing is
run: only operations that leave the meaning of a weight alone may stand between layers, and any other is refused. Files that
were made from Caffe's by Caffe2, as the Model Zoo's bvlcalexnet, googlenet and vgg19-caffe2, take blue, green, red.

Source: onnx/onnx, docs/Operators.md (Conv, Gemm, MatMul, BatchNormalization), docs/ExternalData.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cldl.interop.files import RefusedError, parse_message, reading, require
from cldl.interop.fold import BatchNorm, fold
from cldl.interop.onnx_tensors import TensorFile
from cldl.interop.order import in_order
from cldl.interop.stored import Stored, StoredLayer, Tensor
from engine.errors import UserError
from engine.io.fields import shown

FROM_CAFFE = "onnx-caffe2"  # the producer
PASSING = {"Relu", "LRN", "Softmax", "LogSoftmax", "MaxPool", "AveragePool", "GlobalAveragePool", "Dropout", "Identity"}
PASSING |= {"Reshape", "Flatten", "Squeeze"}  # all that changes no weight and no order of channels
MERGING = {"Concat", "Add", "Sum"}


def read_onnx(path: Path) -> tuple[Stored, list[Path]]:
    """The layers of an ONNX file, and the files that hold its numbers besides.

    Raises:    UserError where it is damaged, or its graph is of another kind of network.
    """
    with reading(path):
        model = parse_message(require("onnx").ModelProto(), path)
        if not model.graph.node:
            raise UserError("is damaged, or no .onnx file (it has no graph)")
        file = TensorFile(path)
        graph = _Graph(model.graph, file)
        layers = max((graph.layers(output.name) for output in model.graph.output), key=len, default=[])
        if not layers:
            raise RefusedError("has no convolution and no fully connected layer with weights of its own")
        bgr = model.producer_name == FROM_CAFFE
        kind = "ONNX from Caffe" if bgr else "ONNX"
        stored = Stored(kind, tuple(layers), (), tuple(graph.tensors), True, bgr, "rgb_mean" if bgr else None)
    return stored, file.others


class _Graph:
    """A graph's nodes by the names of their outputs, and its constant arrays."""

    def __init__(self, graph: Any, file: TensorFile) -> None:
        self.nodes = {name: node for node in graph.node for name in node.output if name}
        constants = [
            (node.output[0], a.t)
            for node in graph.node
            if node.op_type == "Constant" and node.output
            for a in node.attribute
            if a.name == "value"
        ]
        named = [*((t.name, t) for t in graph.initializer), *constants]
        self.tensors: dict[str, Tensor] = {name: found for name, t in named if (found := file.tensor(name, t))}
        self.constant = {name for name, _ in named}

    def layers(self, output: str) -> list[StoredLayer]:
        """The layers from which an output is computed, in their order."""
        layers = list[StoredLayer]()
        made_by = dict[str, int]()  # by which layer, with nothing behind it, an output is made
        for name in in_order(output, self._data):
            if name not in self.nodes:
                continue
            node = self.nodes[name]
            last = made_by.get(node.input[0]) if node.input else None
            if node.op_type in ("Conv", "Gemm", "MatMul"):
                made_by[name] = len(layers)
                layers.append(self._layer(node))
            elif node.op_type == "BatchNormalization":
                if last is None:
                    raise RefusedError(f"has a BatchNormalization {shown(node.name)} that follows no convolution")
                made_by[name], layers[last] = last, fold(layers[last], self._norm(node))
            elif node.op_type == "Add" and self.constant & set(node.input):
                made_by[name] = self._add_bias(node, layers, made_by)
        return layers

    def _data(self, name: str) -> list[str]:
        """The inputs of a node that are computed, or the graph's own."""
        node = self.nodes.get(name)
        if node is None:
            return []
        if node.op_type in ("Conv", "Gemm", "BatchNormalization", *PASSING):
            return list(node.input[:1])
        if node.op_type == "MatMul" or node.op_type in MERGING:
            return [below for below in node.input if below not in self.constant]
        raise RefusedError(
            f"has a {shown(node.op_type)}, which the networks here do not have, so that its weights may mean something else"
        )

    def _layer(self, node: Any) -> StoredLayer:
        """A Conv, Gemm or MatMul, its weight as PyTorch lays it out."""
        attributes = {a.name: a for a in node.attribute}
        weight = self._tensor(node, 1)
        rank = 4 if node.op_type == "Conv" else 2
        if len(weight.shape) != rank:
            raise UserError(f"has {shown(weight.name)} of shape {weight.shape} as the weight of a {node.op_type}")
        if node.op_type == "Conv" and any(d != 1 for d in _ints(attributes, "dilations")):
            raise RefusedError(f"has a dilated Conv {shown(node.name)}, which the networks here do not have")
        if node.op_type != "Conv" and not (node.op_type == "Gemm" and _int(attributes, "transB")):
            weight = Tensor(weight.name, weight.shape[::-1], _mapped(weight, np.transpose))
        factors = {name: attributes[name].f for name in ("alpha", "beta") if name in attributes}
        if node.op_type == "Gemm" and (_int(attributes, "transA") or any(f != 1 for f in factors.values())):
            raise RefusedError(
                f"has a Gemm {shown(node.name)} with transA, alpha or beta, which the networks here do not have"
            )
        bias = self._tensor(node, 2) if len(node.input) > 2 and node.input[2] else None
        return StoredLayer(node.name or weight.name, weight, bias)

    def _norm(self, node: Any) -> BatchNorm:
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        gamma, beta, mean, var = (self._tensor(node, i) for i in range(1, 5))
        return BatchNorm(gamma, beta, mean, var, epsilon)

    def _add_bias(self, node: Any, layers: list[StoredLayer], made_by: Mapping[str, int]) -> int:
        """Give the layer that an Add stands behind its constant as the bias; which layer that is."""
        bias = next((self.tensors[name] for name in node.input if name in self.tensors), None)
        i = next((made_by[name] for name in node.input if name in made_by), None)
        outputs = () if i is None else layers[i].weight.shape[:-1]  # (D,) of a fully connected layer
        if bias is None or i is None or layers[i].bias or bias.shape != outputs:
            raise RefusedError(f"has an Add {shown(node.name)} of a constant that is the bias of no layer")
        layers[i] = layers[i]._replace(bias=bias)
        return i

    def _tensor(self, node: Any, i: int) -> Tensor:
        """The i-th input of a node, which must be a constant."""
        name = node.input[i] if i < len(node.input) else ""
        if name not in self.tensors:
            raise RefusedError(f"has a {node.op_type} {shown(node.name)} whose weights are not floats in the file")
        return self.tensors[name]


def _mapped(tensor: Tensor, function: Any) -> Any:
    return lambda: function(tensor.read())


def _int(attributes: Mapping[str, Any], name: str) -> int:
    return attributes[name].i if name in attributes else 0


def _ints(attributes: Mapping[str, Any], name: str) -> Iterator[int]:
    yield from attributes[name].ints if name in attributes else ()
