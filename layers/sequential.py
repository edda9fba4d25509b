"""Layers one after another, and a convolution with the 1x1 convolutions behind it, which run as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.codegen.simd import LANES
from engine.context import Context
from engine.errors import UserError
from engine.ops.fused_linear import PIXEL
from engine.parameters import Parameter
from engine.typing import Array, Shape
from layers import conv2d
from layers.conv2d import Conv2d
from layers.layer import Layer
from layers.relu import ReLU


class Sequential(Layer):
    """y = f_n(... f_2(f_1(x))).

    Forward:   each layer takes the output of the one before it.
    Backward:  the chain rule, from the last layer to the first: each takes the gradient of its output, and gives that
               of its input, which is the output of the layer before it.
    Numerics:  convolutions that can run as one do so, with their ReLUs (`Mlpconv`); the numbers are the same.
    """

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers
        self._steps = [run[0] if len(run) == 1 else Mlpconv(*run) for run in together(layers)]

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Any]:
        """The last layer's output; where the pass keeps nothing, what lies before it is given back to it at once."""
        caches = []
        before = ctx.lent()
        for step in self._steps:
            x, cache = step.forward(x, ctx)
            caches.append(cache)
            if not ctx.keeping:
                ctx.forget(before, x)
        return x, caches

    def backward(self, dy: Array, cache: Any, ctx: Context, need_dx: bool = True) -> Array | None:
        """dx, or None where it is not needed; each gradient is given back to the pass as soon as nobody reads it."""
        gradient: Array | None = dy
        for depth in reversed(range(len(self._steps))):
            assert gradient is not None
            dx = self._steps[depth].backward(gradient, cache[depth], ctx, need_dx or depth > 0)
            in_use = [array for array in (dy, dx) if array is not None]  # by the caller, and by the layer below
            if not any(np.may_share_memory(gradient, array) for array in in_use):
                ctx.release(gradient)
            gradient = dx
        return gradient

    def caches(self, cache: Any) -> list[tuple[Layer, object]]:
        """Each layer with what its forward left for its backward."""
        rows: list[tuple[Layer, object]] = []
        for step, kept in zip(self._steps, cache, strict=True):
            rows += step.caches(kept) if isinstance(step, Mlpconv) else [(step, kept)]
        return rows

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
        return f"{type(self).__name__}({', '.join(map(repr, self.layers))})"


class Mlpconv(Sequential):
    """A multilayer perceptron slid over the image: a convolution, 1x1 convolutions, and a ReLU behind each or not.

    Forward, backward: those of its layers, one after the other. A block of pixels passes through all of them while it is in
               the cache (see engine.ops.fused_linear); nobody can tell but by the clock.
    Shapes:    x (N, H, W, C), y (N, Ho, Wo, D).
    Source:    Lin, Chen and Yan, "Network in network", ICLR 2014, section 3.1, eq. 2.
    Raises:    UserError for other layers.
    """

    def __init__(self, *layers: Layer) -> None:
        if not layers or not _is_mlpconv(layers):
            raise UserError(
                f"{', '.join(map(repr, layers)) or 'nothing'} is no Mlpconv: give it a convolution, then 1x1 convolutions, all "
                "without groups, each with a ReLU behind it or without; other layers stand one after another in a Sequential."
            )
        self.layers = layers
        self._convolutions = [layer for layer in layers if isinstance(layer, Conv2d)]
        after = [*layers[1:], None]
        self._relus = [isinstance(b, ReLU) for a, b in zip(layers, after, strict=True) if isinstance(a, Conv2d)]

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Any]:
        return conv2d.forward(self._convolutions, self._relus, x, ctx)

    def backward(self, dy: Array, cache: Any, ctx: Context, need_dx: bool = True) -> Array | None:
        return conv2d.backward(self._convolutions, self._relus, dy, cache, ctx, need_dx)

    def caches(self, cache: Any) -> list[tuple[Layer, object]]:
        """Each layer with what its forward left: a ReLU its output, as rows; a convolution the cache of all."""
        _, _, outputs, _ = cache
        rows: list[tuple[Layer, object]] = []
        for convolution, relu, y in zip(self._convolutions, self._relus, outputs, strict=True):
            rows.append((convolution, cache))
            if relu:
                rows.append((self.layers[len(rows)], y))
        return rows


def together(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Cut layers into runs: a convolution with what runs as one with it, where all of it fills vectors; or a layer by itself."""
    runs: list[list[Layer]] = []
    for layer in layers:
        joined = [*runs[-1], layer] if runs else [layer]
        widths = [part.outputs for part in joined if isinstance(part, Conv2d)]
        if len(joined) > 1 and _is_mlpconv(joined) and (len(widths) == 1 or not any(D % LANES for D in widths)):
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return runs


def _is_mlpconv(layers: Sequence[Layer]) -> bool:
    """Whether these are a convolution, then 1x1 convolutions, all without groups, and no ReLU but behind a convolution."""
    first, *others = layers
    if type(first) is not Conv2d:
        return False
    convolutions = [layer for layer in others if type(layer) is not ReLU]
    return (
        all(type(b) is not ReLU or type(a) is Conv2d for a, b in zip(layers, others, strict=False))
        and all(type(c) is Conv2d and c.window == PIXEL and c.algorithm != "fft" for c in convolutions)
        and (not convolutions or {c.groups for c in (first, *convolutions) if isinstance(c, Conv2d)} == {1})
    )
