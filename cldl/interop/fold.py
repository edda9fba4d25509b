"""Batch normalisation folded into the convolution before it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cldl.interop.stored import StoredLayer, Tensor
from engine.errors import UserError
from engine.io.fields import shown
from engine.typing import Array


class BatchNorm(NamedTuple):
    """Batch normalisation as it is used after training: y = gamma (x - mean) / sqrt(var + epsilon) + beta, channel by channel."""

    gamma: Tensor
    beta: Tensor
    mean: Tensor
    var: Tensor
    epsilon: float


def fold(layer: StoredLayer, norm: BatchNorm) -> StoredLayer:
    """The layer that does both: w' = s w, b' = beta + s (b - mean), s = gamma / sqrt(var + epsilon), in float64.

    Source:    Ioffe and Szegedy, ICML 2015, algorithm 2 (the network for inference).
    Raises:    UserError, a predicate, where the normalisation has another number of channels.
    """
    D = layer.weight.shape[0]
    for tensor in (*norm[:4], *([layer.bias] if layer.bias else [])):
        if tensor.shape != (D,):
            raise UserError(
                f"has {shown(tensor.name)} of shape {tensor.shape} behind {D:,} outputs of {shown(layer.name)}"
            )

    def scale() -> Array:
        return norm.gamma.read() / np.sqrt(norm.var.read().astype(np.float64) + norm.epsilon)

    def weight() -> Array:
        s = scale().reshape(D, *(1 for _ in layer.weight.shape[1:]))  # (D, 1, 1, 1)
        return s * layer.weight.read()

    def bias() -> Array:
        b = layer.bias.read() if layer.bias else 0.0
        return norm.beta.read() + scale() * (b - norm.mean.read())

    name = (layer.bias or norm.beta).name
    folded = (tensor.name for tensor in norm[:4] if tensor.name != name)
    return StoredLayer(
        layer.name, layer.weight._replace(read=weight), Tensor(name, (D,), bias), (*layer.folded, *folded)
    )
