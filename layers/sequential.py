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

    Forward:   h_0 = x, h_i = f_i(h_{i-1}), y = h_n
    Backward:  h_{i-1} reaches y through h_i alone, so dh_{i-1} = (∂f_i/∂h_{i-1})^T dh_i, from dh_n = dy down to dx = dh_0.
    Names:     the parameters are called after their layer's position: 0.weight, and 1.0.weight of a Sequential inside.

    >>> from layers import Linear, ReLU
    >>> [p.name for p in Sequential(Linear(2, 3), Sequential(ReLU(), Linear(3, 1))).parameters()]
    ['0.weight', '0.bias', '1.1.weight', '1.1.bias']
    """

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers
        for name, parameter in reversed(self.named_parameters()):  # one that stands twice keeps its first name
            parameter.name = name

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Any]:
        caches = []
        for layer in self.layers:
            x, cache = layer.forward(x, ctx)
            caches.append(cache if ctx.needs_backward else None)
            del cache  # it may hold what no later layer reads
        return x, caches

    def backward(self, dy: Array, cache: Any, ctx: Context, need_dx: bool = True) -> Array | None:
        dh: Any = dy
        del dy  # a gradient is freed once the one below it exists
        for i in reversed(range(len(self.layers))):
            dh = self.layers[i].backward(dh, cache[i], ctx, need_dx or i > 0)
        return dh

    def parameters(self) -> list[Parameter]:
        return list(dict.fromkeys(parameter for _, parameter in self.named_parameters()))

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        return [
            (f"{i}.{name}", parameter)
            for i, layer in enumerate(self.layers)
            for name, parameter in layer.named_parameters()
        ]

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
        nearest: float = np.inf
        for layer in self.layers:
            nearest = min(nearest, layer.kink_distance(x, ctx))
            x, _ = layer.forward(x, ctx)
        return nearest

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.layers))})"
