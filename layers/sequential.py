"""Layers one after another, as one layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.context import Context
from engine.parameters import Parameter
from engine.typing import Array, Shape
from layers.layer import Layer


class Sequential(Layer):
    """y = f_n(... f_2(f_1(x))).

    Forward:   each layer takes the output of the one before it.
    Backward:  the chain rule, from the last layer to the first: each takes the gradient of its output, and returns that
               of its input, which is the output of the layer before it.
    Numerics:  a container and no more: it fuses nothing (a network's nodes are fused, see layers.fuse).

    >>> from layers import Flatten, ReLU
    >>> net, ctx = Sequential(ReLU(), Flatten()), Context()
    >>> y, cache = net.forward(np.array([[[-1.0, 2.0]]]), ctx)
    >>> y.tolist(), net.backward(np.ones((1, 2)), cache, ctx).tolist()
    ([[0.0, 2.0]], [[[0.0, 1.0]]])
    """

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Any]:
        caches = []
        for layer in self.layers:
            x, cache = layer.forward(x, ctx)
            caches.append(cache if ctx.needs_backward else None)
            del cache
        return x, caches

    def backward(self, dy: Array, cache: Any, ctx: Context, need_dx: bool = True) -> Array | None:
        gradient: Array | None = dy
        for depth in reversed(range(len(self.layers))):
            assert gradient is not None
            gradient = self.layers[depth].backward(gradient, cache[depth], ctx, need_dx or depth > 0)
        return gradient

    def parameters(self) -> list[Parameter]:
        return [parameter for layer in self.layers for parameter in layer.parameters()]

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """Each parameter with its layer's place and its name there: 0.weight."""
        return [(f"{i}.{name}", p) for i, layer in enumerate(self.layers) for name, p in layer.named_parameters()]

    def output_shape(self, shape: Shape) -> Shape:
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        total = 0
        for layer in self.layers:
            total += layer.multiply_adds(shape)
            shape = layer.output_shape(shape)
        return total

    def kink_distance(self, x: Array, ctx: Context) -> float:
        nearest = np.inf
        for layer in self.layers:
            nearest = min(nearest, layer.kink_distance(x, ctx))
            x, _ = layer.forward(x, ctx)
        return nearest

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.layers))})"
