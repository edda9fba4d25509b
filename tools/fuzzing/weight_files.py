"""Files of weights as other tools write them, from arrays (D, C, k, k) of convolutions and (D, C) of fully connected layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

Layers = Mapping[str, Sequence[np.ndarray]]  # a layer's weight and bias, by its name
GENERATIONS = ("layer", "layers", "V0")  # LayerParameter, V1LayerParameter, V0LayerParameter


def caffemodel(layers: Layers, generation: str = "layer", *, legacy: bool = False, double: bool = False) -> bytes:
    """A `.caffemodel`, byte by byte as BVLC/caffe's caffe.proto has it.

    generation -- of the message of a layer
    legacy     -- shapes as num, channels, height and width, as before 2014-10
    double     -- numbers as double_data
    """
    net = field(1, b"net")
    for name, arrays in layers.items():
        is_linear = arrays[0].ndim == 2
        blobs = [blob(array, legacy, double) for array in arrays]
        if generation == "layer":
            kind = b"InnerProduct" if is_linear else b"Convolution"
            message = field(1, name.encode()) + field(2, kind) + b"".join(field(7, b) for b in blobs)
            net += field(100, message)
        elif generation == "layers":
            message = field(2, b"data") + field(4, name.encode()) + varint_field(5, 14 if is_linear else 4)
            net += field(2, message + b"".join(field(6, b) for b in blobs))
        else:
            kind = b"innerproduct" if is_linear else b"conv"
            message = field(1, name.encode()) + field(2, kind) + b"".join(field(50, b) for b in blobs)
            net += field(2, field(1, message))
    return net


def blob(array: np.ndarray, legacy: bool, double: bool) -> bytes:
    """A BlobProto."""
    if legacy:
        shape = b"".join(varint_field(i, n) for i, n in enumerate((1,) * (4 - array.ndim) + array.shape, 1))
    else:
        shape = field(7, field(1, b"".join(map(varint, array.shape))))
    data = array.astype("<f8" if double else "<f4").tobytes()
    return shape + field(8 if double else 5, data)


def field(number: int, data: bytes) -> bytes:
    """A field of bytes, of a text, of a message or of packed numbers."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint_field(number: int, value: int) -> bytes:
    """A field of a whole number."""
    return varint(number << 3) + varint(value)


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the highest bit set."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def arrays() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weights and biases of the three layers of `tools.fuzzing.kinds.network_of_weights`."""
    random = np.random.default_rng(0)
    shapes = {"conv": (5, 3, 3, 3), "hidden": (6, 20), "top": (4, 6)}
    return {name: (random.normal(size=shape).astype("f4"), np.ones(shape[0], "f4")) for name, shape in shapes.items()}


def caffemodels(folder: Path) -> list[bytes]:
    """One of each generation."""
    return [caffemodel(arrays(), form, legacy=form != "layer", double=form == "layers") for form in GENERATIONS]


def safetensors_files(folder: Path) -> list[bytes]:
    """In both layouts of cldl's names, and with the names of torchvision."""
    from safetensors.numpy import save

    parts = [
        (name, part, a) for name, pair in arrays().items() for part, a in zip(("weight", "bias"), pair, strict=True)
    ]
    own = {f"{name}.{part}": np.ascontiguousarray(a.T) for name, part, a in parts}
    called = {"conv": "features.0", "hidden": "classifier.0", "top": "classifier.3"}
    norm = {f"features.1.{part}": np.ones(5, "f4") for part in ("weight", "bias", "running_mean", "running_var")}
    theirs = {f"{called[name]}.{part}": a for name, part, a in parts} | norm
    named = {f"{name}.{part}": a for name, part, a in parts}
    return [save(own, {"format": "cldl"}), save(named, {"format": "pt"}), save(theirs)]


def onnx_files(folder: Path) -> list[bytes]:
    """With the numbers inside as bytes and as a list, and in a file beside it."""
    from onnx import TensorProto, helper, numpy_helper

    (conv_w, conv_b), (hidden_w, hidden_b), (top_w, top_b) = arrays().values()
    nodes = [
        helper.make_node("Conv", ["x", "conv_w", "conv_b"], ["conv"], pads=[0] * 4),
        helper.make_node("BatchNormalization", ["conv", *["one"] * 4], ["norm"], epsilon=0.5),
        helper.make_node("Flatten", ["norm"], ["map"]),
        helper.make_node("Gemm", ["map", "hidden_w", "hidden_b"], ["hidden"], transB=1),
        helper.make_node("MatMul", ["hidden", "top_w"], ["product"]),
        helper.make_node("Add", ["product", "top_b"], ["top"]),
    ]
    named = {"conv_w": conv_w, "conv_b": conv_b, "one": np.ones(5, "f4"), "hidden_w": hidden_w, "hidden_b": hidden_b}
    named |= {"top_w": top_w.T.copy(), "top_b": top_b}
    (folder / "numbers").write_bytes(hidden_w.tobytes())
    models = []
    for form in ("bytes", "list", "external"):
        tensors = [numpy_helper.from_array(array, name) for name, array in named.items()]
        if form == "list":
            tensors = [helper.make_tensor(name, TensorProto.FLOAT, a.shape, a.ravel()) for name, a in named.items()]
        for tensor in tensors:
            if form == "external" and tensor.name == "hidden_w":
                tensor.ClearField("raw_data")
                tensor.data_location = TensorProto.EXTERNAL
                for key, value in (("location", "numbers"), ("offset", "0"), ("length", "480")):
                    tensor.external_data.add(key=key, value=value)
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in ("x", "top"))
        models.append(helper.make_model(helper.make_graph(nodes, form, [x], [y], tensors)).SerializeToString())
    return models
