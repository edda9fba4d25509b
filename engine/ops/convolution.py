"""Two ways to compute the same convolutions, and the choice between them.

What is computed is a convolution and, it may be, 1x1 convolutions behind it, each with a ReLU or without (`Filters`): a small
multilayer perceptron at every pixel. A way has `forward(x, filters, y, ctx)`, which writes y and returns the output of every
convolution, as rows, and what else its backward needs; and `backward(x, dy, ys, kept, filters, dx, ctx)`, which adds to the
gradients of weights and biases and, unless dx is None, writes dx.
Shapes: x (N, H, W, C), y (N, Ho, Wo, D); of the first convolution, weight (k, k, C / G, D1), bias (D1,).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from engine.context import Context
from engine.device import contiguous, dispatch
from engine.memory import aligned
from engine.ops import fused_linear as affine
from engine.ops.fft_convolution import FourierConvolution
from engine.ops.fused_linear import PIXEL, Maps, Window
from engine.parameters import Parameter
from engine.typing import Array

ALGORITHMS = ("auto", "patches", "fourier")

# Multiply-adds of a product that take as long as a point's share of an FFT pass; measured with transforms that went through
# memory. They stay in registers now and are cheaper, so the choice leans towards patches.
TRANSFORM_COST = 35


class Filters(NamedTuple):
    """One convolution, and whether a ReLU follows."""

    weight: Parameter
    bias: Parameter
    relu: bool


class Way(Protocol):
    """See the module's docstring."""

    def forward(
        self, x: Array, filters: Sequence[Filters], y: Array, ctx: Context
    ) -> tuple[tuple[Array, ...], Any]: ...

    def backward(
        self,
        x: Array,
        dy: Array,
        ys: tuple[Array, ...],
        kept: Any,
        filters: Sequence[Filters],
        dx: Array | None,
        ctx: Context,
    ) -> None: ...


def choose(
    window: Window, groups: int, image: tuple[int, ...], output: tuple[int, ...], algorithm: str = "auto"
) -> Way:
    """The cheaper way for images (H, W, C) and outputs (Ho, Wo, D), in multiply-adds a sample, or the one asked for.

    patches: k^2 Ho Wo C D / G;  fourier: 3 F C D for the products and 35 L^2 log2(L) (C + D) for the transforms.
    """
    (H, W, C), (Ho, Wo, D) = image, output
    if window.stride != 1 or groups != 1 or algorithm == "patches":
        return Patches(window, groups)
    plan = _plan(H, W, window.kernel, window.padding)
    L = plan.size
    by_fourier = plan.products(2, C, D) / 2 + TRANSFORM_COST * L**2 * math.log2(L) * (C + D)
    if algorithm == "fourier" or by_fourier < window.kernel**2 * Ho * Wo * C * D:
        return Fourier(plan)
    return Patches(window, groups)


@dataclass(frozen=True)
class Patches:
    """Every window as a row of a matrix P (N Ho Wo, k k C): y = P W + b, group by group; see engine.ops.fused_linear."""

    window: Window
    groups: int

    def forward(self, x: Array, filters: Sequence[Filters], y: Array, ctx: Context) -> tuple[tuple[Array, ...], None]:
        """Return every output; y alone where there are groups."""
        maps, ys = _maps(filters), (_rows(y),)
        if self.groups == 1:
            return dispatch(affine.forward, x, self.window, maps, ys[0], ctx), None
        for channels, outputs in self._groups(filters[0]):
            part = contiguous(x[..., channels])
            dispatch(affine.forward, part, self.window, _columns(maps, outputs), ys[0][:, outputs], ctx)
        return ys, None

    def backward(
        self,
        x: Array,
        dy: Array,
        ys: tuple[Array, ...],
        kept: None,
        filters: Sequence[Filters],
        dx: Array | None,
        ctx: Context,
    ) -> None:
        """Group by group."""
        maps, into, dy = _maps(filters), _gradients(filters, ctx), _rows(dy)
        if self.groups == 1:
            dispatch(affine.backward, x, self.window, maps, ys, dy, dx, into, ctx)
            return
        for channels, outputs in self._groups(filters[0]):
            part = contiguous(x[..., channels])
            dpart = None if dx is None else ctx.empty(part.shape, x.dtype)
            y, d = (contiguous(array[:, outputs]) for array in (ys[0], dy))
            own, into_own = _columns(maps, outputs), _columns(into, outputs)
            dispatch(affine.backward, part, self.window, own, (y,), d, dpart, into_own, ctx)
            if dx is not None:
                dx[..., channels] = dpart
            del dpart

    def _groups(self, filters: Filters) -> list[tuple[slice, slice]]:
        """The channels and the outputs of each group."""
        C, D = filters.weight.shape[2], filters.weight.shape[3] // self.groups
        return [(slice(g * C, (g + 1) * C), slice(g * D, (g + 1) * D)) for g in range(self.groups)]


def _rows(array: Array) -> Array:
    return array.reshape(-1, array.shape[-1])


def _maps(filters: Sequence[Filters]) -> Maps:
    values = ((_rows(f.weight.value), f.bias.value, f.relu) for f in filters)
    return Maps(*zip(*values, strict=True))


def _gradients(filters: Sequence[Filters], ctx: Context) -> Maps:
    return Maps(*(tuple(_rows(ctx.gradient(f.weight)) for f in filters), tuple(ctx.gradient(f.bias) for f in filters)))


def _columns(maps: Maps, outputs: slice) -> Maps:
    """The part of one convolution that makes these outputs."""
    return Maps((maps.W[0][:, outputs],), (maps.b[0][outputs],), maps.relu)


@lru_cache(maxsize=64)
def _plan(height: int, width: int, kernel: int, padding: int) -> FourierConvolution:
    return FourierConvolution(height, width, kernel, padding)


@dataclass(frozen=True)
class Spectrum:
    """The weights' spectrum (see `Derived`)."""

    plan: FourierConvolution
    parameter: Parameter

    def empty(self) -> Array:
        """An array for the spectrum."""
        return aligned(self.plan.weight_shape(*self.parameter.shape[2:]), self.parameter.dtype)

    def transform(self, value: Array, image: Array) -> None:
        """Transform the weights."""
        self.plan.weight_spectrum(value, image)

    def adjoint(self, dimage: Array, dvalue: Array) -> None:
        """Add the gradient of the spectrum, transformed back."""
        self.plan.weight_gradient(dimage, dvalue)


@dataclass(frozen=True)
class Fourier:
    """The first convolution as a product over the channels for every frequency, see fft_convolution; the others by rows."""

    plan: FourierConvolution

    def forward(self, x: Array, filters: Sequence[Filters], y: Array, ctx: Context) -> tuple[tuple[Array, ...], Array]:
        """Return every output, and the spectrum of x."""
        first, *others = filters
        h = ctx.empty((*y.shape[:3], first.weight.shape[3]), x.dtype) if others else y
        X = ctx.empty(self.plan.image_shape(len(x), x.shape[3]), x.dtype)
        spectrum = ctx.transformed_weight(Spectrum(self.plan, first.weight))
        self.plan.forward(x, spectrum, first.bias.value, 0 if first.relu else -np.inf, h, X, ctx.empty)
        if not others:
            return (_rows(y),), X
        return (_rows(h), *affine.forward(h, PIXEL, _maps(others), _rows(y), ctx)), X

    def backward(
        self,
        x: Array,
        dy: Array,
        ys: tuple[Array, ...],
        kept: Array,
        filters: Sequence[Filters],
        dx: Array | None,
        ctx: Context,
    ) -> None:
        """In the frequencies, the weight's gradient stays there until the pass ends."""
        first, *others = filters
        spectrum = Spectrum(self.plan, first.weight)
        (dspectrum, is_first), db = ctx.transformed_weight_gradient(spectrum), ctx.gradient(first.bias)
        shape = (*dy.shape[:3], first.weight.shape[3])
        h, dh = ys[0].reshape(shape), dy
        if others:
            dh = ctx.empty(shape, dy.dtype)
            affine.backward(h, PIXEL, _maps(others), ys[1:], _rows(dy), dh, _gradients(others, ctx), ctx)
        y, v = h if first.relu else None, ctx.transformed_weight(spectrum)
        self.plan.backward(dh, y, kept, v, dx, dspectrum, not is_first, db, ctx.empty)
