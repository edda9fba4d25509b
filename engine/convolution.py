"""Two ways to compute the same convolution, and the choice between them.

A way has `forward(x, weight, y, ctx)`, which writes y and returns what its backward needs, and
`backward(dy, kept, weight, dx, ctx)`, which adds to the weight's gradient and, unless dx is None, writes dx.
Shapes: x (N, H, W, C), weight (k, k, C / G, D), y (N, Ho, Wo, D).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from engine.context import Context
from engine.fourier import FourierConvolution
from engine.kernels import patches
from engine.parameters import Parameter

Array = np.ndarray
ALGORITHMS = ("auto", "patches", "fourier")
TRANSFORM_COST = 35  # multiply-adds of a matrix product that take as long as a point's share of one FFT pass; measured


@dataclass(frozen=True)
class Window:
    """What a convolution looks like, but for its channels: k x k pixels, a stride, a padding, G groups."""

    kernel: int
    stride: int
    padding: int
    groups: int


class Way(Protocol):
    """See the module's docstring."""

    def forward(self, x: Array, weight: Parameter, y: Array, ctx: Context) -> Any: ...

    def backward(self, dy: Array, kept: Any, weight: Parameter, dx: Array | None, ctx: Context) -> None: ...


def choose(window: Window, image: tuple[int, ...], output: tuple[int, ...], algorithm: str = "auto") -> Way:
    """The cheaper way for images (H, W, C) and outputs (Ho, Wo, D), in multiply-adds a sample, or the one asked for.

    patches: k^2 Ho Wo C D / G;  fourier: 3 F C D for the products and 35 L^2 log2(L) (C + D) for the transforms.
    """
    (H, W, C), (Ho, Wo, D) = image, output
    if window.stride != 1 or window.groups != 1 or algorithm == "patches":
        return Patches(window)
    plan = _plan(H, W, window.kernel, window.padding)
    L = plan.size
    by_fourier = plan.products(2, C, D) / 2 + TRANSFORM_COST * L**2 * math.log2(L) * (C + D)
    if algorithm == "fourier" or by_fourier < window.kernel**2 * Ho * Wo * C * D:
        return Fourier(plan)
    return Patches(window)


@dataclass(frozen=True)
class Patches:
    """Every window as a row of a matrix P (N Ho Wo, k k C): y = P W, dW = P^T dy, dP = dy W^T, group by group.

    For k = 1 the image is P already.
    """

    window: Window

    def forward(self, x: Array, weight: Parameter, y: Array, ctx: Context) -> list[Array]:
        """Return P of each group."""
        P = [self._patches(part, y.shape, ctx) for part in _split(x, self.window.groups)]
        for Pg, Wg, yg in zip(P, self._columns(weight.value), self._columns(y), strict=True):
            np.matmul(Pg, Wg, out=yg)
        return P

    def backward(self, dy: Array, kept: list[Array], weight: Parameter, dx: Array | None, ctx: Context) -> None:
        """Product by product; dx is the sum of dP over the places in P where a pixel stands."""
        dW = self._columns(ctx.gradient(weight))
        with ctx.scratch() as empty:
            product = empty(dW[0].shape, dy.dtype)
            for Pg, dWg, dyg in zip(kept, dW, self._columns(dy), strict=True):
                dWg += np.matmul(Pg.T, dyg, out=product)
        if dx is not None:
            parts = zip(self._columns(weight.value), self._columns(dy), _split(dx, self.window.groups), strict=True)
            for Wg, dyg, dxg in parts:
                self._patches_backward(dyg, Wg, dxg, dy.shape, ctx)

    def _columns(self, array: Array) -> list[Array]:
        """Views (rows, D / G) of each group's outputs."""
        return _split(array.reshape(-1, array.shape[-1]), self.window.groups)

    @property
    def _pointwise(self) -> bool:
        return self.window == Window(1, 1, 0, 1)

    def _patches(self, x: Array, output: tuple[int, ...], ctx: Context) -> Array:
        """P of x (N, H, W, C / G)."""
        k, stride, padding = self.window.kernel, self.window.stride, self.window.padding
        C = x.shape[-1]
        if self._pointwise:
            return x.reshape(-1, C)
        P = ctx.empty((*output[:3], k * k * C), x.dtype)
        patches.patches_forward(np.ascontiguousarray(x), P, k, stride, padding)
        return P.reshape(-1, k * k * C)

    def _patches_backward(self, dy: Array, W: Array, dx: Array, output: tuple[int, ...], ctx: Context) -> None:
        """Write dx (N, H, W, C / G) from dy (N Ho Wo, D / G)."""
        if self._pointwise:
            np.matmul(dy, W.T, out=dx.reshape(len(dy), -1))
            return
        with ctx.scratch() as empty:
            dP = empty((*output[:3], len(W)), dy.dtype)
            np.matmul(dy, W.T, out=dP.reshape(len(dy), -1))
            whole = dx if self.window.groups == 1 else empty(dx.shape, dx.dtype)
            patches.patches_backward(dP, whole, self.window.kernel, self.window.stride, self.window.padding)
            if whole is not dx:
                dx[...] = whole


def _split(array: Array, groups: int) -> list[Array]:
    """Views of `groups` equal parts of the last axis."""
    width = array.shape[-1] // groups
    return [array[..., g * width : (g + 1) * width] for g in range(groups)]


@lru_cache(maxsize=64)
def _plan(height: int, width: int, kernel: int, padding: int) -> FourierConvolution:
    return FourierConvolution(height, width, kernel, padding)


@dataclass(frozen=True)
class Spectrum:
    """The weights' spectrum (see `Derived`), or that with inputs and outputs exchanged, which dx needs."""

    plan: FourierConvolution
    parameter: Parameter
    transposed: bool = False

    def empty(self) -> Array:
        """An array for the spectrum."""
        C, D = self.parameter.shape[2:]
        return np.empty(self.plan.weight_shape(*((D, C) if self.transposed else (C, D))), self.parameter.dtype)

    def push(self, value: Array, image: Array) -> None:
        """Transform the weights."""
        self.plan.weight_spectrum(value.swapaxes(2, 3) if self.transposed else value, image)

    def pull(self, dimage: Array, dvalue: Array) -> None:
        """Add the gradient of the spectrum, transformed back."""
        self.plan.weight_gradient(dimage, dvalue)


@dataclass(frozen=True)
class Fourier:
    """A product over the channels for every frequency; see engine.fourier."""

    plan: FourierConvolution

    def forward(self, x: Array, weight: Parameter, y: Array, ctx: Context) -> Array:
        """Return the spectrum of x."""
        X = ctx.empty(self.plan.image_shape(len(x), x.shape[-1]), x.dtype)
        with ctx.scratch() as empty:
            self.plan.forward(x, ctx.image(Spectrum(self.plan, weight)), y, X, empty)
        return X

    def backward(self, dy: Array, kept: Array, weight: Parameter, dx: Array | None, ctx: Context) -> None:
        """In the frequencies, the weight's gradient stays there until the pass ends."""
        transposed = ctx.image(Spectrum(self.plan, weight, True)) if dx is not None else None
        with ctx.scratch() as empty:
            self.plan.backward(dy, kept, transposed, dx, ctx.image_gradient(Spectrum(self.plan, weight)), empty)
