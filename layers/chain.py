"""The chain rule over a list of layers, for samples that go through all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from engine.context import Context
from layers.conv2d import Conv2d
from layers.layer import Array, Layer
from layers.relu import ReLU


class Chain:
    """Layers one after another; a convolution and the ReLU behind it go over memory together (see Conv2d)."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self._fused = [fusible(a, b) for a, b in zip(layers, (*layers[1:], None), strict=True)]

    def forward(self, x: Array, ctx: Context) -> tuple[Array, list]:
        """The last layer's output, and a cache for every layer."""
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

    def backward(self, dy: Array, cache: list, ctx: Context, need_dx: bool) -> Array | None:
        """dx, or None where it is not needed; each gradient is given back to the pass as soon as nobody reads it."""
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


def fusible(layer: Layer | None, following: Layer | None) -> bool:
    """Whether the two go over memory together."""
    return isinstance(layer, Conv2d) and isinstance(following, ReLU)
