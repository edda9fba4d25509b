"""Two algorithms for the same convolutions, and the choice between them.

What is computed is a chain: a convolution and, optionally, 1x1 convolutions after it, each with a ReLU or without
(`FusedLayer`): a small multilayer perceptron at every pixel. Shapes: x (N, H, W, C), y (N, Ho, Wo, D); of the first convolution,
weight (k, k, C / G, D1), bias (D1,).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from engine.context import Context
from engine.device import contiguous, dispatch
from engine.memory import aligned
from engine.ops import fused_linear
from engine.ops.fft_convolution import FFTConvolution
from engine.ops.fused_linear import PIXEL, Arrays, Window
from engine.parameters import Parameter
from engine.typing import Array

ALGORITHMS = ("auto", "patches", "fft")

# Multiply-adds of a product that take as long as a point's share of an FFT pass; measured with transforms that went through
# memory. They stay in registers now and are cheaper, so the choice leans towards patches.
TRANSFORM_COST = 35


class FusedLayer(NamedTuple):
    """A convolution, and whether a ReLU follows: one map of a chain."""

    weight: Parameter
    bias: Parameter
    relu: bool


Chain = Sequence[FusedLayer]


class ConvAlgorithm(Protocol):
    """How a chain is computed."""

    name: ClassVar[str]

    def forward(self, x: Array, chain: Chain, y: Array, ctx: Context) -> tuple[Arrays, Any]:
        """Write y; return the output of every convolution, as rows, and what else `backward` needs."""
        ...

    def backward(
        self, x: Array, dy: Array, ys: Arrays, saved: Any, chain: Chain, dx: Array | None, ctx: Context
    ) -> None:
        """Add to the gradients of weights and biases and, unless dx is None, write dx; ys and saved as of `forward`."""
        ...


def choose(
    window: Window, groups: int, image: tuple[int, ...], output: tuple[int, ...], algorithm: str = "auto"
) -> ConvAlgorithm:
    """The algorithm named, or the cheaper one for images (H, W, C) and outputs (Ho, Wo, D), in multiply-adds a sample.

    patches: k^2 Ho Wo C D / G;  fft: 3 F C D for the products and 35 L^2 log2(L) (C + D) for the transforms.
    """
    (H, W, C), (Ho, Wo, D) = image, output
    if window.stride != 1 or groups != 1 or algorithm == "patches":
        return Patches(window, groups)
    plan = _plan(H, W, window.kernel, window.padding)
    L = plan.size
    fft_cost = plan.products(2, C, D) / 2 + TRANSFORM_COST * L**2 * math.log2(L) * (C + D)
    if algorithm == "fft" or fft_cost < window.kernel**2 * Ho * Wo * C * D:
        return FFT(plan)
    return Patches(window, groups)


@dataclass(frozen=True)
class Patches:
    """Every window as a row of a matrix P (N Ho Wo, k k C): y = P W + b, group by group; see engine.ops.fused_linear."""

    window: Window
    groups: int
    name: ClassVar[str] = "patches"

    def forward(self, x: Array, chain: Chain, y: Array, ctx: Context) -> tuple[Arrays, None]:
        """Every output; y alone where there are groups."""
        (W, b, relu), y_rows = _values(chain), _rows(y)
        if self.groups == 1:
            return dispatch(fused_linear.forward, x, self.window, W, b, relu, y_rows, ctx), None
        for c, d in self._groups(chain[0]):
            x_g = contiguous(x[..., c])
            dispatch(fused_linear.forward, x_g, self.window, (W[0][:, d],), (b[0][d],), relu, y_rows[:, d], ctx)
        return (y_rows,), None

    def backward(
        self, x: Array, dy: Array, ys: Arrays, saved: None, chain: Chain, dx: Array | None, ctx: Context
    ) -> None:
        """Group by group: dW = P^T dy, db = the sum of dy's rows, dP = dy W^T; see `fused_linear.backward_reference`."""
        (W, _, relu), (dW, db), dy = _values(chain), _gradients(chain, ctx), _rows(dy)
        if self.groups == 1:
            dispatch(fused_linear.backward, x, self.window, W, relu, ys, dy, dx, dW, db, ctx)
            return
        for c, d in self._groups(chain[0]):
            x_g, y_g, dy_g = (contiguous(array) for array in (x[..., c], ys[0][:, d], dy[:, d]))
            dx_g = None if dx is None else ctx.empty(x_g.shape, x.dtype)
            W_g, dW_g, db_g = (W[0][:, d],), (dW[0][:, d],), (db[0][d],)
            dispatch(fused_linear.backward, x_g, self.window, W_g, relu, (y_g,), dy_g, dx_g, dW_g, db_g, ctx)
            if dx is not None:
                dx[..., c] = dx_g
            del dx_g  # or it would live on until that of the next group exists

    def _groups(self, layer: FusedLayer) -> list[tuple[slice, slice]]:
        """The input and the output channels of each group."""
        C, D = layer.weight.shape[2], layer.weight.shape[3] // self.groups
        return [(slice(g * C, (g + 1) * C), slice(g * D, (g + 1) * D)) for g in range(self.groups)]


@dataclass(frozen=True)
class FFT:
    """The first convolution as a product over the channels at every frequency, see fft_convolution; the others on rows."""

    plan: FFTConvolution
    name: ClassVar[str] = "fft"

    def forward(self, x: Array, chain: Chain, y: Array, ctx: Context) -> tuple[Arrays, Array]:
        """Every output, and the spectrum X of x: y^_f = x^_f v_f."""
        first, *others = chain
        h = ctx.empty((*y.shape[:3], first.weight.shape[3]), x.dtype) if others else y
        X = ctx.empty(self.plan.image_shape(len(x), x.shape[3]), x.dtype)
        V = ctx.transformed_weight(WeightSpectrum(self.plan, first.weight))
        self.plan.forward(x, V, first.bias.value, 0 if first.relu else -np.inf, h, X, ctx.empty)
        if not others:
            return (_rows(y),), X
        return (_rows(h), *fused_linear.forward(h, PIXEL, *_values(others), _rows(y), ctx)), X

    def backward(
        self, x: Array, dy: Array, ys: Arrays, saved: Array, chain: Chain, dx: Array | None, ctx: Context
    ) -> None:
        """dv_f = x^_f' e_f, which stays a spectrum until the pass ends, and conj(dx^)_f = e_f v_f', where e = conj(dy^)."""
        first, *others = chain
        spectrum = WeightSpectrum(self.plan, first.weight)
        V, (dV, is_first) = ctx.transformed_weight(spectrum), ctx.transformed_weight_gradient(spectrum)
        shape = (*dy.shape[:3], first.weight.shape[3])
        h, dh = ys[0].reshape(shape), dy
        if others:
            (W, _, relu), (dW, db) = _values(others), _gradients(others, ctx)
            dh = ctx.empty(shape, dy.dtype)
            fused_linear.backward(h, PIXEL, W, relu, ys[1:], _rows(dy), dh, dW, db, ctx)
        y, db_first = h if first.relu else None, ctx.gradient(first.bias)
        self.plan.backward(dh, y, saved, V, dx, dV, db_first, ctx.empty, overwrite=is_first)


@dataclass(frozen=True)
class WeightSpectrum:
    """The weight transform (see engine.parameters) of a convolution by FFT: the spectrum of the weight."""

    plan: FFTConvolution
    parameter: Parameter

    def empty(self) -> Array:
        """An array for the spectrum."""
        return aligned(self.plan.weight_shape(*self.parameter.shape[2:]), self.parameter.dtype)

    def transform(self, value: Array, spectrum: Array) -> None:
        """Write the spectrum of the weight."""
        self.plan.weight_spectrum(value, spectrum)

    def adjoint(self, dspectrum: Array, dvalue: Array) -> None:
        """Add the gradient of the spectrum, carried back to the weight, to dvalue."""
        self.plan.weight_gradient(dspectrum, dvalue)


@lru_cache(maxsize=64)
def _plan(height: int, width: int, kernel: int, padding: int) -> FFTConvolution:
    return FFTConvolution(height, width, kernel, padding)


def _rows(array: Array) -> Array:
    return array.reshape(-1, array.shape[-1])


def _values(chain: Chain) -> tuple[Arrays, Arrays, tuple[bool, ...]]:
    """W, b and relu of every map, as engine.ops.fused_linear expects them."""
    W = tuple(_rows(layer.weight.value) for layer in chain)
    b = tuple(layer.bias.value for layer in chain)
    return W, b, tuple(layer.relu for layer in chain)


def _gradients(chain: Chain, ctx: Context) -> tuple[Arrays, Arrays]:
    """dW and db of every map."""
    dW = tuple(_rows(ctx.gradient(layer.weight)) for layer in chain)
    db = tuple(ctx.gradient(layer.bias) for layer in chain)
    return dW, db
