"""Layers one after another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from math import prod

import numpy as np

from engine.context import Context
from engine.parameters import Parameter
from layers.chain import Chain, fusible
from layers.layer import Array, Layer, Shape

PIECE = 2**18  # numbers in the largest array between two layers that go over the samples piece by piece


class Sequential(Layer):
    """y = f_n(... f_2(f_1(x))).

    Forward:   each layer takes the output of the one before it.
    Backward:  the chain rule, from the last layer to the first: each takes the gradient of its output, and gives that
               of its input, which is the output of the layer before it.
    Numerics:  a few samples at a time go through all layers of a stretch, so that what one layer writes is still in the
               cache when the next one reads it. A stretch ends at a layer that is faster with many samples
               (`Layer.wants_many`), which gets them all. Samples do not meet in a layer, so the numbers are the same,
               but for the order in which the samples' gradients of a parameter are added up.
    """

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers
        self._plans: dict[Shape, list[_Stretch]] = {}

    def forward(self, x: Array, ctx: Context) -> tuple[Array, list]:
        caches = []
        before = ctx.lent()
        for stretch in self._stretches(x.shape[1:]):
            x, cache = stretch.forward(x, ctx)
            caches.append((stretch, cache))
            if not ctx.keeping:
                ctx.forget(before, x)
        return x, caches

    def backward(self, dy: Array, cache: list, ctx: Context, need_dx: bool = True) -> Array | None:
        gradient: Array | None = dy
        for depth in reversed(range(len(cache))):
            stretch, kept = cache[depth]
            assert gradient is not None
            above, gradient = gradient, stretch.backward(gradient, kept, ctx, need_dx or depth > 0)
            if above is not dy and (gradient is None or not np.may_share_memory(above, gradient)):
                ctx.release(above)
        return gradient

    def caches(self, cache: list) -> list[tuple[Layer, object]]:
        """Each layer with what its forward left for its backward, layer by layer and piece by piece."""
        return [
            (layer, piece[depth])
            for stretch, pieces in cache
            for depth, layer in enumerate(stretch.chain.layers)
            for piece in pieces
        ]

    def wants_many(self, shape: Shape) -> bool:
        return any(stretch.piece is None for stretch in self._stretches(shape))

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

    def _stretches(self, shape: Shape) -> list[_Stretch]:
        if shape not in self._plans:
            self._plans[shape] = _plan(self.layers, shape)
        return self._plans[shape]


@dataclass(frozen=True)
class _Stretch:
    """Layers that a piece of the samples goes through together; all samples at once where `piece` is None."""

    chain: Chain
    piece: int | None

    def forward(self, x: Array, ctx: Context) -> tuple[Array, list]:
        outputs, caches = [], []
        for part in ctx.pieces(len(x), self.piece):
            before = ctx.lent()
            y, cache = self.chain.forward(x[part], ctx)
            if not ctx.keeping:
                ctx.forget(before, y)
            outputs.append(y)
            caches.append(cache)
        return _joined(outputs, ctx), caches

    def backward(self, dy: Array, caches: list, ctx: Context, need_dx: bool) -> Array | None:
        parts = []
        for part, cache in zip(ctx.pieces(len(dy), self.piece), caches, strict=True):
            parts.append(self.chain.backward(dy[part], cache, ctx, need_dx))
        if not need_dx:
            return None
        dx = _joined(parts, ctx)
        ctx.release(*(p for p in parts if p is not None and p is not dx and not np.may_share_memory(p, dy)))
        return dx


def _joined(parts: list, ctx: Context) -> Array:
    """The pieces' samples in one array."""
    if len(parts) == 1:
        return parts[0]
    whole = ctx.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    return np.concatenate(parts, out=whole)


def _plan(layers: tuple[Layer, ...], shape: Shape) -> list[_Stretch]:
    """Cut the layers into stretches for samples of this shape; what goes over memory together stays together."""
    many: list[bool] = []
    sizes = []
    for before, layer in zip((None, *layers), layers, strict=False):
        many.append(many[-1] if fusible(before, layer) else layer.wants_many(shape))
        shape = layer.output_shape(shape)
        sizes.append(prod(shape))
    stretches = []
    for wanting, depths in groupby(range(len(layers)), many.__getitem__):
        run = list(depths)
        piece = None if wanting else max(1, PIECE // max(sizes[depth] for depth in run))
        stretches.append(_Stretch(Chain([layers[depth] for depth in run]), piece))
    return stretches
