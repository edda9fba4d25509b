"""What a convolution's algorithm computes: a chain, forward and backward.

A chain is a convolution and, optionally, 1x1 convolutions after it, each with a ReLU or without: a small multilayer perceptron at
every pixel. Shapes: x (N, H, W, C), y (N, Ho, Wo, D); of the first convolution, weight (k, k, C / G, D1), bias (D1,).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from engine.context import Context
from engine.ops.fused_linear import Arrays
from engine.parameters import Parameter
from engine.typing import Array


class FusedLayer(NamedTuple):
    """A convolution, and whether a ReLU follows: one map of a chain."""

    weight: Parameter
    bias: Parameter
    relu: bool


Chain = Sequence[FusedLayer]


class ConvAlgorithm(Protocol):
    """How a chain is computed."""

    name: ClassVar[str]

    def forward(self, x: Array, chain: Chain, y: Array, ctx: Context) -> tuple[Arrays, Any]:
        """Write y; return the output of every convolution, as rows, and what else `backward` needs."""
        ...

    def backward(
        self, x: Array, dy: Array, ys: Arrays, saved: Any, chain: Chain, dx: Array | None, ctx: Context
    ) -> None:
        """Add to the gradients of weights and biases and, unless dx is None, write dx; ys and saved as of `forward`."""
        ...


def rows_of(array: Array) -> Array:
    """The array as a matrix: its last axis are the columns."""
    return array.reshape(-1, array.shape[-1])


def values(chain: Chain) -> tuple[Arrays, Arrays, tuple[bool, ...]]:
    """W, b and relu of every map, as engine.ops.fused_linear expects them."""
    W = tuple(rows_of(layer.weight.value) for layer in chain)
    b = tuple(layer.bias.value for layer in chain)
    return W, b, tuple(layer.relu for layer in chain)


def gradients(chain: Chain, ctx: Context) -> tuple[Arrays, Arrays]:
    """dW and db of every map."""
    dW = tuple(rows_of(ctx.gradient(layer.weight)) for layer in chain)
    db = tuple(ctx.gradient(layer.bias) for layer in chain)
    return dW, db
