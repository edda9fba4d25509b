"""A layer under test: its copies in both precisions, inputs clear of kinks, and one pass as plain arrays."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from engine.context import Context
from engine.errors import UserError
from engine.gradcheck.inputs import Shapes, clear_input, every_shape, is_shape
from engine.gradcheck.report import GradientError
from engine.parameters import cast
from engine.random import Key
from engine.typing import Array

Arrays = tuple[Array, ...]


class Pass(NamedTuple):
    """What one forward and backward pass gave, as copies; dx has one array for each input."""

    y: Array
    dx: Arrays
    gradients: list[Array]

    def astype(self, dtype: type) -> Pass:
        """The same numbers in this precision."""
        return Pass(self.y.astype(dtype), as_dtype(self.dx, dtype), list(as_dtype(self.gradients, dtype)))


class LayerUnderTest:
    """A layer, its inputs and upstream gradients; all checks of one layer use the same numbers.

    input_shapes -- of one sample of each input, without N
    xs           -- the inputs (N, ...), always a tuple; `pack` makes of it what the layer's forward takes
    """

    def __init__(self, layer: Any, input_shape: Shapes, *, samples: int = 3, seed: int = 0) -> None:
        self.several = not is_shape(input_shape)
        self.input_shapes = every_shape(input_shape)
        expected = getattr(layer, "n_inputs", len(self.input_shapes))
        if len(self.input_shapes) != expected:
            raise UserError(
                f"{layer!r} takes {expected} inputs and was given {len(self.input_shapes)} input shapes: "
                "give one shape for each input, such as [(4, 4, 3), (4, 4, 3)]."
            )
        self.samples, self.seed = samples, seed
        self.key = Key(seed).fold(0x6AD)
        self.x_key = self.key.fold(1)
        self.layer = self.copy(layer, np.float64)
        self.layer32 = self.copy(layer, np.float32)

    @staticmethod
    def copy(layer: Any, dtype: type) -> Any:
        """A copy of the layer whose parameters have this precision."""
        layer = copy.deepcopy(layer)
        cast(layer.parameters(), dtype)
        return layer

    @property
    def input_shape(self) -> Shapes:
        """A shape, or the tuple of the shapes of several inputs: what `output_shape` takes."""
        return self.pack(self.input_shapes)

    @property
    def batch_shape(self) -> Shapes:
        """The shape of the input with N, or those of several."""
        return self.pack([(self.samples, *shape) for shape in self.input_shapes])

    def pack(self, parts: Sequence) -> Any:
        """What the layer takes: the one input as it is, several as a tuple."""
        return tuple(parts) if self.several else parts[0]

    def unpack(self, dx: Any) -> Arrays:
        """The gradients that backward returned, one for each input."""
        if not self.several:
            return (np.asarray(dx),)
        if not isinstance(dx, tuple) or len(dx) != len(self.input_shapes):
            given = f"a tuple of {len(dx)}" if isinstance(dx, tuple) else type(dx).__name__
            raise GradientError(
                f"backward gave {given}; a tuple of {len(self.input_shapes)} gradients is needed, one for each input."
            )
        return tuple(map(np.asarray, dx))

    @cached_property
    def xs(self) -> Arrays:
        """The inputs, float64."""
        x = clear_input(self.layer, self.batch_shape, self.context, self.x_key)
        return x if self.several else (x,)

    @cached_property
    def y(self) -> Array:
        """The output for `xs` in training."""
        return np.array(self.layer.forward(self.pack(copies(self.xs)), self.context())[0])

    def dy(self, n: int = 0) -> Array:
        """The n-th upstream gradient, random."""
        return self.key.fold(2 + n).normal(self.y.shape)

    def context(self, *, training: bool = True, key: Key | None = None, first: int = 0) -> Context:
        """A fresh pass; the same key, so the same dropout."""
        return Context(training=training, key=key or self.key, first_sample=first)

    def run(
        self, xs: Arrays, dy: Array, *, layer: Any = None, training: bool = True, first: int = 0, ctx: Any = None
    ) -> Pass:
        """One pass in a fresh context, or in `ctx`."""
        layer = layer or self.layer
        ctx = ctx or self.context(training=training, first=first)
        y, cache = layer.forward(self.pack(xs), ctx)
        y = np.array(y)
        dx = copies(self.unpack(layer.backward(dy, cache, ctx)))
        return Pass(y, dx, self.gradients(ctx, layer))

    def gradients(self, ctx: Context, layer: Any = None) -> list[Array]:
        """Copies of the gradients that the pass accumulated, zero where a parameter was given none."""
        found = ctx.gradients()
        return [np.array(found.get(p, np.zeros_like(p.value))) for p in (layer or self.layer).parameters()]

    def x_names(self) -> list[str]:
        """x, or x1, x2, ..."""
        return [f"x{i}" for i in range(1, len(self.input_shapes) + 1)] if self.several else ["x"]

    def names(self) -> list[str]:
        """The names of all gradients: dx, or dx1, dx2, ..., then one for each parameter."""
        parameters = [p.name or f"parameter {i}" for i, p in enumerate(self.layer.parameters())]
        return [f"d{name}" for name in (*self.x_names(), *parameters)]

    def pair(self, training: bool = True) -> tuple:
        """(forward, backward, inputs, parameters) for `check_gradients`."""

        def forward(*xs: Array):
            ctx = self.context(training=training)
            y, cache = self.layer.forward(self.pack(xs), ctx)
            return y, (ctx, cache)

        def backward(dy: Array, cache: tuple):
            ctx, own = cache
            return [*self.unpack(self.layer.backward(dy, own, ctx)), *self.gradients(ctx)]

        return forward, backward, dict(zip(self.x_names(), self.xs, strict=True)), self.layer.parameters()


def as_dtype(xs: Iterable[Array], dtype: type) -> Arrays:
    """The arrays in this precision, copied."""
    return tuple(x.astype(dtype) for x in xs)


def copies(xs: Arrays) -> Arrays:
    """The arrays copied, for a layer that might write into them."""
    return tuple(x.copy() for x in xs)
