"""Files of weights as Caffe writes them, from arrays (D, C, k, k) of convolutions and (D, C) of fully connected layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
