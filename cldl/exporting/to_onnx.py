"""A trained model as an ONNX file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cldl.exporting.graph import Graph
from cldl.exporting.onnx_inputs import add_preprocessing
from cldl.exporting.onnx_joint import add_label
from cldl.exporting.onnx_layers import add_layer
from cldl.exporting.unfold import unfold
from cldl.training.trained import TrainedModel
from engine.errors import UserError
from engine.io.files import atomic_write
from layers.node import INPUT, gather

MOST_BYTES = 2**31 - 1  # of a protobuf message
IMAGE, LABEL = "image", "label"


def save_onnx(model: TrainedModel, path: str | Path) -> None:
    """Write the model to an `.onnx` file.

        image            the images, uint8 (N, H, W, C), N of any size; floats (N, ...) where it was trained on floats
        probabilities_m  P^(m), (N, K) float32, m from 1, the bottom classifier, to M
        label            the joint prediction, (N,) int64, counted from 0; the classes' names are the metadata `classes`, in JSON

    Raises:    UserError for another suffix, a layer or a preprocessing of the user's, a file above 2 GiB, and where the package
               onnx is not installed.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise UserError(f"the model is written as .onnx, not as {path.name}: choose such a name.")
    written = to_onnx(model)
    if written.ByteSize() > MOST_BYTES:
        raise UserError(
            "the network has more than 2 GiB of weights, the most of an ONNX file: export it by --safetensors."
        )
    with atomic_write(path) as file:
        file.write(written.SerializeToString())


def to_onnx(model: TrainedModel):
    """The model as a ModelProto."""
    network, K = unfold(model.network), model.network.classes
    outputs = [f"probabilities_{m + 1}" for m in range(len(network.exits))]
    graph, shapes = Graph(), {INPUT: network.input_shape, **network.node_shapes()}
    graph.reserve(IMAGE, LABEL, *outputs)
    x, dtype = add_preprocessing(graph, model.preprocessing, IMAGE, network.input_shape)
    values = {INPUT: x}
    for node in network.nodes:
        inputs = tuple(values[name] for name in node.inputs)
        values[node.name] = add_layer(graph, node.name, node.layer, inputs, gather(shapes, node.inputs))
    logits = [values[name] for name in network.exits]
    for name, z in zip(outputs, logits, strict=True):
        graph.output(graph.add("Softmax", z, axis=1), name)
    graph.output(add_label(graph, model.objective, logits, K), LABEL)
    return graph.model(
        {IMAGE: (dtype, ("N", *network.input_shape))},
        {**dict.fromkeys(outputs, (np.float32, ("N", K))), LABEL: (np.int64, ("N",))},
        classes=json.dumps(model.class_names),
    )
