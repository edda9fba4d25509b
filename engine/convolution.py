"""Two ways to compute the same convolution, and the choice between them.

A way has `forward(x, weight, bias, relu, y, ctx)`, which writes y, through a ReLU if `relu`, and returns what its backward
needs, and `backward(dy, y, kept, weight, bias, dx, ctx)`, which adds to the gradients of weight and bias and, unless dx is None,
writes dx; y is the output if a ReLU made it, else None.
Shapes: x (N, H, W, C), weight (k, k, C / G, D), bias (D,), y (N, Ho, Wo, D).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Protocol

import numpy as np

from engine import affine
from engine.context import Context, Empty
from engine.device import contiguous, launch
from engine.fourier import FourierConvolution
from engine.kernels import patches
from engine.parameters import Parameter

Array = np.ndarray
ALGORITHMS = ("auto", "patches", "fourier")

# Multiply-adds of a product that take as long as a point's share of an FFT pass; measured with transforms that went through
# memory. They stay in registers now and are cheaper, so the choice leans towards patches.
TRANSFORM_COST = 35


@dataclass(frozen=True)
class Window:
    """What a convolution looks like, but for its channels: k x k pixels, a stride, a padding, G groups."""

    kernel: int
    stride: int
    padding: int
    groups: int


class Way(Protocol):
    """See the module's docstring; `wants_many` says that many samples at a time are faster than few."""

    wants_many: ClassVar[bool]

    def forward(self, x: Array, weight: Parameter, bias: Parameter, relu: bool, y: Array, ctx: Context) -> Any: ...

    def backward(
        self, dy: Array, y: Array | None, kept: Any, weight: Parameter, bias: Parameter, dx: Array | None, ctx: Context
    ) -> None: ...


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
    """Every window as a row of a matrix P (N Ho Wo, k k C): y = P W + b, group by group; see engine.affine.

    For k = 1 the image is P already.
    """

    wants_many: ClassVar[bool] = False
    window: Window

    def forward(self, x: Array, weight: Parameter, bias: Parameter, relu: bool, y: Array, ctx: Context) -> list[Array]:
        """Return P of each group."""
        P = [self._patches(part, y.shape, ctx) for part in _split(x, self.window.groups)]
        for Pg, Wg, bg, yg in zip(P, *map(self._columns, (weight.value, bias.value, y)), strict=True):
            launch(affine.forward, Pg, Wg, bg[0], yg, relu)
        return P

    def backward(
        self,
        dy: Array,
        y: Array | None,
        kept: list[Array],
        weight: Parameter,
        bias: Parameter,
        dx: Array | None,
        ctx: Context,
    ) -> None:
        """Group by group; dx is the sum of dP over the places in P where a pixel stands."""
        groups = self.window.groups
        arrays = (dy, weight.value, ctx.gradient(weight), ctx.gradient(bias))
        outputs = [None] * groups if y is None else map(contiguous, self._columns(y))
        inputs = [None] * groups if dx is None else _split(dx, groups)
        for Pg, dyg, Wg, dWg, dbg, yg, dxg in zip(kept, *map(self._columns, arrays), outputs, inputs, strict=True):
            with ctx.scratch() as empty:
                dyg = contiguous(dyg)
                dP: Array | None = None
                if dxg is not None:
                    dP = dxg.reshape(Pg.shape) if self._pointwise else empty(Pg.shape, dy.dtype)
                launch(affine.backward, Pg, yg, dyg, Wg, dP, dWg, dbg[0], ctx)
                if dP is not None and not self._pointwise:
                    self._gather(dP.reshape(*dy.shape[:3], -1), dxg, empty)

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
        launch(patches.patches_forward, contiguous(x), P, k, stride, padding)
        return P.reshape(-1, k * k * C)

    def _gather(self, dP: Array, dx: Array, empty: Empty) -> None:
        """Write dx (N, H, W, C / G) from dP (N, Ho, Wo, k k C / G)."""
        whole = dx if self.window.groups == 1 else empty(dx.shape, dx.dtype)
        launch(patches.patches_backward, dP, whole, self.window.kernel, self.window.stride, self.window.padding)
        if whole is not dx:
            dx[...] = whole


def _split(array: Array, groups: int) -> list[Array]:
    """Views of `groups` equal parts of the last axis."""
    if groups == 1:
        return [array]
    width = array.shape[-1] // groups
    return [array[..., g * width : (g + 1) * width] for g in range(groups)]


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
        return np.empty(self.plan.weight_shape(*self.parameter.shape[2:]), self.parameter.dtype)

    def push(self, value: Array, image: Array) -> None:
        """Transform the weights."""
        self.plan.weight_spectrum(value, image)

    def pull(self, dimage: Array, dvalue: Array) -> None:
        """Add the gradient of the spectrum, transformed back."""
        self.plan.weight_gradient(dimage, dvalue)


@dataclass(frozen=True)
class Fourier:
    """A product over the channels for every frequency; see engine.fourier."""

    wants_many: ClassVar[bool] = True  # the weights' spectrum is larger than the images'
    plan: FourierConvolution

    def forward(self, x: Array, weight: Parameter, bias: Parameter, relu: bool, y: Array, ctx: Context) -> Array:
        """Return the spectrum of x."""
        X = ctx.empty(self.plan.image_shape(len(x), x.shape[-1]), x.dtype)
        spectrum = ctx.image(Spectrum(self.plan, weight))
        with ctx.scratch() as empty:
            self.plan.forward(x, spectrum, bias.value, 0 if relu else -np.inf, y, X, empty)
        return X

    def backward(
        self,
        dy: Array,
        y: Array | None,
        kept: Array,
        weight: Parameter,
        bias: Parameter,
        dx: Array | None,
        ctx: Context,
    ) -> None:
        """In the frequencies, the weight's gradient stays there until the pass ends."""
        spectrum = Spectrum(self.plan, weight)
        (dspectrum, begun), db = ctx.image_gradient(spectrum), ctx.gradient(bias)
        with ctx.scratch() as empty:
            self.plan.backward(dy, y, kept, ctx.image(spectrum), dx, dspectrum, begun, db, empty)
