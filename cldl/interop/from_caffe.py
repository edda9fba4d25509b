"""Caffe's `.caffemodel`: a protobuf message with the layers of a network and their blobs.

Source: BVLC/caffe, src/caffe/proto/caffe.proto. Only the fields that are needed are declared, and a field of packed numbers as
the bytes that it is on the wire, so that millions of floats are not made into Python's, and no declared length is believed.
Files have one of three generations of layers: `layer` (LayerParameter), `layers` (V1LayerParameter), or within the latter
`layer` (V0LayerParameter).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cldl.interop.files import RefusedError, parse_message, reading, require
from cldl.interop.stored import Stored, StoredLayer, Tensor, checked_shape, expect_bytes, from_bytes
from engine.errors import UserError
from engine.io.fields import shown

MESSAGES: dict[str, dict[str, tuple[int, str]]] = {  # message, field: number and type; "*" is repeated
    "BlobShape": {"dim": (1, "int64*")},
    "BlobProto": {
        "num": (1, "int64"),
        "channels": (2, "int64"),
        "height": (3, "int64"),
        "width": (4, "int64"),
        "data": (5, "bytes*"),
        "shape": (7, "BlobShape"),
        "double_data": (8, "bytes*"),
    },
    "V0LayerParameter": {"name": (1, "bytes"), "type": (2, "bytes"), "blobs": (50, "BlobProto*")},
    "V1LayerParameter": {
        "layer": (1, "V0LayerParameter"),
        "name": (4, "bytes"),
        "type": (5, "int64"),
        "blobs": (6, "BlobProto*"),
    },
    "LayerParameter": {"name": (1, "bytes"), "type": (2, "bytes"), "blobs": (7, "BlobProto*")},
    "NetParameter": {"layers": (2, "V1LayerParameter*"), "layer": (100, "LayerParameter*")},
}
LINEAR = ("InnerProduct", "innerproduct", "14")  # in the three generations
WEIGHTED = ("Convolution", "conv", "4", *LINEAR)
LEGACY = ("num", "channels", "height", "width")


def read_caffe(path: Path) -> Stored:
    """The layers of a `.caffemodel`; raises UserError where it is damaged, or has layers that are not known here."""
    with reading(path):
        net = parse_message(_message_types()["NetParameter"](), path)
        layers = [layer for found in (*net.layer, *net.layers) if (layer := _layer(found))]
        if not layers:
            raise UserError("is damaged, or no .caffemodel file (it has no layer with weights)")
    names = tuple(name for layer in layers for name in layer.names)
    return Stored("Caffe", tuple(layers), names=names, bgr=True, preprocessing="rgb_mean")


def _layer(found: Any) -> StoredLayer | None:
    """A layer with weights, or None for one without."""
    if "layer" in found.DESCRIPTOR.fields_by_name and found.HasField("layer"):
        found = found.layer
    if not found.blobs:
        return None
    name, kind = _text(found.name), _text(found.type)
    if kind not in WEIGHTED or len(found.blobs) > 2:
        raise RefusedError(
            f"has the layer {shown(name)} of type {shown(kind)} with weights, which the networks here do not have"
        )
    weight, *bias = (
        _tensor(f"{name}.{part}", blob) for part, blob in zip(("weight", "bias"), found.blobs, strict=False)
    )
    return StoredLayer(
        name, _without_ones(weight, 2 if kind in LINEAR else 4), _without_ones(bias[0], 1) if bias else None
    )


def _text(value: bytes | int) -> str:
    """A name, or what it is a number in the second generation."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _tensor(name: str, blob: Any) -> Tensor:
    """A blob, of whose numbers there are as many as its shape says."""
    dims = blob.shape.dim if blob.HasField("shape") else [getattr(blob, axis) for axis in LEGACY]
    shape = checked_shape(name, tuple(dims))
    field, dtype = ("double_data", "<f8") if blob.double_data else ("data", "<f4")
    expect_bytes(name, sum(map(len, getattr(blob, field))), dtype, shape)
    return Tensor(name, shape, lambda: from_bytes(name, b"".join(getattr(blob, field)), dtype, shape))


def _without_ones(tensor: Tensor, axes: int) -> Tensor:
    """A blob of the old form, which has four axes, with `axes` of them: those before are 1."""
    shape = tensor.shape
    if len(shape) > axes and set(shape[:-axes]) == {1}:
        return Tensor(tensor.name, shape[-axes:], lambda: tensor.read().reshape(shape[-axes:]))
    return tensor


def _message_types() -> dict[str, Any]:
    """The classes of `MESSAGES`."""
    descriptors = require("google.protobuf.descriptor_pb2")
    pool = require("google.protobuf.descriptor_pool").DescriptorPool()
    factory = require("google.protobuf.message_factory")
    file = descriptors.FileDescriptorProto(name="caffe.proto", package="caffe")
    field_type = descriptors.FieldDescriptorProto
    for message, fields in MESSAGES.items():
        added = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            plain = kind.rstrip("*")
            field = added.field.add(name=name, number=number)
            field.label = field_type.LABEL_OPTIONAL if plain == kind else field_type.LABEL_REPEATED
            if plain in MESSAGES:
                field.type, field.type_name = field_type.TYPE_MESSAGE, f".caffe.{plain}"
            else:
                field.type = {"int64": field_type.TYPE_INT64, "bytes": field_type.TYPE_BYTES}[plain]
    pool.AddSerializedFile(file.SerializeToString())
    return {name: factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in MESSAGES}
