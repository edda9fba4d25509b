"""Layers one after another."""

from __future__ import annotations

from typing import cast

import numpy as np

from engine.context import Context
from engine.parameters import Parameter
from layers.conv2d import Conv2d
from layers.layer import Array, Layer, Shape
from layers.relu import ReLU


class Sequential(Layer):
    """y = f_n(... f_2(f_1(x))).

    Forward:   each layer takes the output of the one before it.
    Backward:  the chain rule, from the last layer to the first: each takes the gradient of its output, and gives that
               of its input, which is the output of the layer before it.
    Numerics:  a convolution and the ReLU behind it go over memory together (see Conv2d); their numbers and their caches
               are those of the two layers one after the other.
    """

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers
        followers = (*layers[1:], None)
        self._fused = [isinstance(a, Conv2d) and isinstance(b, ReLU) for a, b in zip(layers, followers, strict=True)]

    def forward(self, x: Array, ctx: Context) -> tuple[Array, list]:
        caches: list = []
        for layer, fused, done in zip(self.layers, self._fused, (False, *self._fused), strict=False):
            if done:
                caches.append(x)  # what the ReLU keeps: its output
            elif fused:
                x, cache = cast(Conv2d, layer).forward(x, ctx, relu=True)
                caches.append(cache)
            else:
                x, cache = layer.forward(x, ctx)
                caches.append(cache)
        return x, caches

    def backward(self, dy: Array, cache: list, ctx: Context, need_dx: bool = True) -> Array | None:
        gradient = dy
        for depth in reversed(range(len(self.layers))):
            layer, wanted = self.layers[depth], need_dx or depth > 0
            if depth > 0 and self._fused[depth - 1]:
                continue  # this ReLU's backward is part of the convolution's
            if self._fused[depth]:
                dx = cast(Conv2d, layer).backward(gradient, cache[depth], ctx, wanted, relu=cache[depth + 1])
            else:
                dx = layer.backward(gradient, cache[depth], ctx, wanted)
            in_use = [dy] if dx is None else [dy, dx]  # by the caller, and by the layer below
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
