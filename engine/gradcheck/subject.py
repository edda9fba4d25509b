"""A layer under examination: its copies in both precisions, an input clear of kinks, and one pass as plain arrays."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from engine.context import Context
from engine.gradcheck.inputs import clear_input
from engine.parameters import cast
from engine.random import Key
from engine.typing import Array


class Pass(NamedTuple):
    """What one forward and backward pass gave, as copies."""

    y: Array
    dx: Array
    gradients: list[Array]


class Subject:
    """A layer, an input x (N, ...) and upstream gradients; all checks of one layer look at the same numbers."""

    def __init__(self, layer: Any, input_shape: tuple[int, ...], *, samples: int = 3, seed: int = 0) -> None:
        self.shape, self.samples, self.seed = (samples, *input_shape), samples, seed
        self.input_shape = input_shape
        self.key = Key(seed).fold(0x6AD)
        self.layer = self.copy(layer, np.float64)
        self.layer32 = self.copy(layer, np.float32)

    @staticmethod
    def copy(layer: Any, dtype: type) -> Any:
        """A copy of the layer whose parameters have this precision."""
        layer = copy.deepcopy(layer)
        cast(layer.parameters(), dtype)
        return layer

    @cached_property
    def x(self) -> Array:
        """The input, float64."""
        return clear_input(self.layer, self.shape, self.context, self.key.fold(1))

    @cached_property
    def y(self) -> Array:
        """The output for x in training."""
        return np.array(self.layer.forward(self.x.copy(), self.context())[0])

    def dy(self, n: int = 0) -> Array:
        """The n-th upstream gradient, random."""
        return self.key.fold(2 + n).normal(self.y.shape)

    def context(self, *, training: bool = True, key: Key | None = None, first: int = 0) -> Context:
        """A fresh pass; the same key, so the same dropout."""
        return Context(training=training, key=key or self.key, first_sample=first)

    def run(self, x: Array, dy: Array, *, layer: Any = None, training: bool = True, first: int = 0) -> Pass:
        """One pass in a fresh context."""
        layer = layer or self.layer
        ctx = self.context(training=training, first=first)
        y, cache = layer.forward(x, ctx)
        y = np.array(y)
        dx = layer.backward(dy, cache, ctx)
        return Pass(y, np.array(dx), self.gradients(ctx, layer))

    def gradients(self, ctx: Context, layer: Any = None) -> list[Array]:
        """Copies of the gradients that the pass accumulated, zero where a parameter was given none."""
        found = ctx.gradients()
        return [np.array(found.get(p, np.zeros_like(p.value))) for p in (layer or self.layer).parameters()]

    def names(self) -> list[str]:
        """Names for dx and the parameters' gradients."""
        return ["dx", *(f"d{p.name or f'parameter {i}'}" for i, p in enumerate(self.layer.parameters()))]

    def pair(self, training: bool = True) -> tuple:
        """(forward, backward, inputs, parameters) for `check_gradients`."""

        def forward(x: Array):
            ctx = self.context(training=training)
            y, cache = self.layer.forward(x, ctx)
            return y, (ctx, cache)

        def backward(dy: Array, cache: tuple):
            ctx, own = cache
            return [self.layer.backward(dy, own, ctx), *self.gradients(ctx)]

        return forward, backward, {"x": self.x}, self.layer.parameters()
