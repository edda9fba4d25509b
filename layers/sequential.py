"""Layers one after another."""

from __future__ import annotations

import numpy as np

from engine.context import Context
from engine.parameters import Parameter
from layers.layer import Array, Layer, Shape


class Sequential(Layer):
    """y = f_n(... f_2(f_1(x))).

    Forward:   each layer takes the output of the one before it.
    Backward:  the chain rule, from the last layer to the first: each takes the gradient of its output, and gives that
               of its input, which is the output of the layer before it.
    """

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers

    def forward(self, x: Array, ctx: Context) -> tuple[Array, list]:
        caches = []
        for layer in self.layers:
            x, cache = layer.forward(x, ctx)
            caches.append(cache)
        return x, caches

    def backward(self, dy: Array, cache: list, ctx: Context, need_dx: bool = True) -> Array | None:
        gradient, given = dy, dy
        for depth, (layer, own) in reversed(list(enumerate(zip(self.layers, cache, strict=True)))):
            dx = layer.backward(gradient, own, ctx, need_dx or depth > 0)
            in_use = [given] if dx is None else [given, dx]  # by the caller, and by the layer below
            if not any(np.may_share_memory(gradient, array) for array in in_use):
                ctx.release(gradient)
            if dx is None:
                return None
            gradient = dx
        return gradient

    def parameters(self) -> list[Parameter]:
        return [parameter for layer in self.layers for parameter in layer.parameters()]

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
        return f"Sequential({', '.join(map(repr, self.layers))})"
