"""A layer under test: its copies in both precisions, inputs clear of kinks, and one pass as plain arrays."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from engine.context import Context
from engine.errors import UserError
from engine.gradcheck.function import as_pair
from engine.gradcheck.inputs import DOMAIN, Domain, Shapes, clear_input, every_shape, is_shape
from engine.gradcheck.report import GradientError
from engine.parameters import cast
from engine.random import Key
from engine.typing import Array, is_real, is_whole

Arrays = tuple[Array, ...]
EPS32 = float(np.finfo(np.float32).eps)
ROUNDINGS = 4  # of x and dy, by which sizes are measured: by one alone a number could happen not to move


class Pass(NamedTuple):
    """What one forward and backward pass gave, as copies; dx has one array for each input."""

    y: Array
    dx: Arrays
    gradients: list[Array]

    def flat(self) -> list[Array]:
        """y, dx and the gradients in one list."""
        return [self.y, *self.dx, *self.gradients]

    def astype(self, dtype: type) -> Pass:
        """The same numbers in this precision."""
        return Pass(self.y.astype(dtype), as_dtype(self.dx, dtype), list(as_dtype(self.gradients, dtype)))


class LayerUnderTest:
    """A layer, its inputs and upstream gradients; all checks of one layer use the same numbers.

    input_shapes -- of one sample of each input, without N
    xs           -- the inputs (N, ...), always a tuple; `pack` makes of it what the layer's forward takes
    not_promised -- of the layer's: the names of checks that do not hold for it, with the reasons
    """

    def __init__(
        self, layer: Any, input_shape: Shapes, *, samples: int = 3, seed: int = 0, domain: Domain = DOMAIN
    ) -> None:
        _expect_layer(layer)
        self.several = not is_shape(input_shape)
        self.input_shapes = every_shape(input_shape)
        if not is_whole(samples) or samples < 1:
            raise UserError(f"samples is {samples!r}; a whole number of 1 or more is needed.")
        if not is_whole(seed):
            raise UserError(f"the seed is {seed!r}; a whole number is needed.")
        expected = getattr(layer, "n_inputs", len(self.input_shapes))
        if len(self.input_shapes) != expected:
            raise UserError(
                f"{layer!r} takes {expected} inputs and was given {len(self.input_shapes)} input shapes: "
                "give one shape for each input, such as [(4, 4, 3), (4, 4, 3)]."
            )
        if not (_is_pair(domain) and -np.inf < domain[0] < domain[1] < np.inf):
            raise UserError(
                f"the domain is {domain!r}; (low, high) is needed, two finite numbers, the lower one first."
            )
        self.samples, self.seed, self.domain = samples, seed, domain
        self.not_promised: Mapping[str, str] = getattr(layer, "not_promised", {})
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
        x = clear_input(self.layer, self.batch_shape, self.context, self.x_key, self.domain)
        xs = x if self.several else (x,)
        for training in (True, False):
            y, _ = as_pair(self.layer.forward(self.pack(copies(xs)), self.context(training=training)))
            if not np.isfinite(y).all():
                raise GradientError(
                    f"y is not finite for inputs between {self.domain[0]:g} and {self.domain[1]:g}: where the layer is not "
                    "defined for all of these, give the numbers that it is defined for, as in domain=(0.1, 3.0)."
                )
        return xs

    @cached_property
    def y(self) -> Array:
        """The output for `xs` in training."""
        return np.array(self.layer.forward(self.pack(copies(self.xs)), self.context())[0])

    def dy(self, n: int = 0) -> Array:
        """The n-th upstream gradient, random."""
        return self.key.fold(2 + n).normal(self.y.shape)

    @cached_property
    def sizes(self) -> list[float]:
        """Of what is added up to y, to each dx and to each gradient, which may cancel: rounding is in proportion to it.

        Seen from outside: by how much rounding x and dy moves them, over eps; for dx, where terms may cancel whatever the numbers
        are (as in the normalisation of two), no less than |dy| times the range of y over that of x, of a sample or of all.
        """
        plain = self.run(copies(self.xs), self.dy())
        moved = [self.run(*self._rounded(i)).flat() for i in range(ROUNDINGS)]
        sizes = [_largest(a - b for b in each) / EPS32 for a, *each in zip(plain.flat(), *moved, strict=True)]
        for i, x in enumerate(self.xs):
            sizes[1 + i] = max(sizes[1 + i], _largest([self.dy()]) * _steepest(plain.y, x))
        return sizes

    def _rounded(self, n: int) -> tuple[Arrays, Array]:
        """x and dy, every number moved as if by rounding to float32, for the n-th time."""
        key = self.key.fold(0x517E).fold(n)
        *xs, dy = (a * (1 + EPS32 * key.fold(i).normal(a.shape)) for i, a in enumerate([*self.xs, self.dy()]))
        return tuple(xs), dy

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

    def call(self, training: bool | None = None) -> str:
        """How a line of Python begins that repeats a check."""
        options = f"samples={self.samples}, seed={self.seed}"
        options += "" if self.domain == DOMAIN else f", domain={self.domain}"
        options += "" if training is None else f", training={training}"
        return f"check_gradients(*layer_pair(layer, {self.input_shape}, {options})"

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


def _is_pair(domain: Any) -> bool:
    """Whether these are two real numbers."""
    return isinstance(domain, tuple | list) and len(domain) == 2 and all(map(is_real, domain))


def _expect_layer(layer: Any) -> None:
    """Raise UserError unless this is an object with a layer's methods."""
    if isinstance(layer, type):
        raise UserError(f"{layer.__name__} is a class: give an object of it, such as {layer.__name__}().")
    if missing := [name for name in ("forward", "backward", "parameters") if not callable(getattr(layer, name, None))]:
        raise UserError(f"{layer!r} is no layer, as it has no {', '.join(missing)}: see layers.layer.")


def as_dtype(xs: Iterable[Array], dtype: type) -> Arrays:
    """The arrays in this precision, copied."""
    return tuple(x.astype(dtype) for x in xs)


def _largest(parts: Iterable[Array]) -> float:
    return max(float(np.abs(part).max(initial=0)) for part in parts)


def _steepest(y: Array, x: Array) -> float:
    """The range of y over that of x: the largest of a sample, or of the whole batch."""
    pairs = [(y, x), *zip(y, x, strict=False)] if x.size and y.size else []
    return max((float(np.ptp(b) / (np.ptp(a) or np.inf)) for b, a in pairs), default=0.0)


def copies(xs: Arrays) -> Arrays:
    """The arrays copied, for a layer that might write into them."""
    return tuple(x.copy() for x in xs)
