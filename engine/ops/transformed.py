"""Chains whose first convolution is computed by a transform, Fourier's or Winograd's; the others are computed on rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.context import Context
from engine.memory import aligned
from engine.ops import fused_linear, winograd
from engine.ops.chain import Chain, FusedLayer, gradients, rows_of, values
from engine.ops.fft_convolution import FFTConvolution
from engine.ops.fused_linear import PIXEL, Arrays
from engine.parameters import Parameter
from engine.typing import Array, Shape


class Transformed(ABC):
    """What both have in common: the chain around the first convolution."""

    def forward(self, x: Array, chain: Chain, y: Array, ctx: Context) -> tuple[Arrays, Any]:
        """Every output, and what the first convolution's backward needs."""
        first, *others = chain
        h = ctx.empty((*y.shape[:3], first.weight.shape[3]), x.dtype) if others else y
        saved = self.convolve(x, first, h, ctx)
        if not others:
            return (rows_of(y),), saved
        return (rows_of(h), *fused_linear.forward(h, PIXEL, *values(others), rows_of(y), ctx)), saved

    def backward(
        self, x: Array, dy: Array, ys: Arrays, saved: Any, chain: Chain, dx: Array | None, ctx: Context
    ) -> None:
        """The chain in reverse order."""
        first, *others = chain
        shape = (*dy.shape[:3], first.weight.shape[3])
        h, dh = ys[0].reshape(shape), dy
        if others:
            (W, _, relu), (dW, db) = values(others), gradients(others, ctx)
            dh = ctx.empty(shape, dy.dtype)
            fused_linear.backward(h, PIXEL, W, relu, ys[1:], rows_of(dy), dh, dW, db, ctx)
        self.convolve_backward(x, dh, h if first.relu else None, saved, first, dx, ctx)

    @abstractmethod
    def convolve(self, x: Array, layer: FusedLayer, y: Array, ctx: Context) -> Any:
        """Write y; return what `convolve_backward` needs."""

    @abstractmethod
    def convolve_backward(
        self, x: Array, dy: Array, y: Array | None, saved: Any, layer: FusedLayer, dx: Array | None, ctx: Context
    ) -> None:
        """Add to the gradients and, unless dx is None, write dx; dy counts where y > 0, or everywhere if y is None."""


def _clip_min(layer: FusedLayer) -> float:
    return 0 if layer.relu else -np.inf


@dataclass(frozen=True)
class FFT(Transformed):
    """A product over the channels at every frequency, see engine.ops.fft_convolution."""

    plan: FFTConvolution
    groups: int = 1
    name: ClassVar[str] = "fft"

    def convolve(self, x: Array, layer: FusedLayer, y: Array, ctx: Context) -> Array:
        """y^_f = x^_f v_f; the spectrum X of x is kept."""
        X = ctx.empty(self.plan.image_shape(len(x), x.shape[3]), x.dtype)
        V = ctx.transformed_weight(WeightSpectrum(self.plan, layer.weight))
        self.plan.forward(x, V, layer.bias.value, _clip_min(layer), y, X, self.groups, ctx.empty)
        return X

    def convolve_backward(
        self, x: Array, dy: Array, y: Array | None, saved: Array, layer: FusedLayer, dx: Array | None, ctx: Context
    ) -> None:
        """dv_f = x^_f' e_f, which stays a spectrum until the pass ends, and conj(dx^)_f = e_f v_f', where e = conj(dy^)."""
        spectrum = WeightSpectrum(self.plan, layer.weight)
        V, (dV, is_first) = ctx.transformed_weight(spectrum), ctx.transformed_weight_gradient(spectrum)
        self.plan.backward(
            dy, y, saved, V, dx, dV, ctx.gradient(layer.bias), self.groups, ctx.empty, overwrite=is_first
        )


@dataclass(frozen=True)
class Winograd(Transformed):
    """A product over the channels at each of the 36 points of a tile, see engine.ops.winograd."""

    padding: int
    groups: int = 1
    name: ClassVar[str] = "winograd"

    def convolve(self, x: Array, layer: FusedLayer, y: Array, ctx: Context) -> None:
        """m = v u at every point."""
        U = ctx.transformed_weight(WeightTiles(layer.weight, self.groups))
        winograd.forward(x, U, layer.bias.value, _clip_min(layer), y, self.padding, self.groups, ctx)

    def convolve_backward(
        self, x: Array, dy: Array, y: Array | None, saved: None, layer: FusedLayer, dx: Array | None, ctx: Context
    ) -> None:
        """du = v' dm and dv = dm u' at every point.

        du is four times as large as dw, so it does not stay until the pass ends, as that of a small kernel's spectrum may.
        """
        tiles, exchanged = (WeightTiles(layer.weight, self.groups, way) for way in (False, True))
        dU = ctx.empty(tiles.shape, x.dtype)
        UT = None if dx is None else ctx.transformed_weight(exchanged)
        db = ctx.gradient(layer.bias)
        winograd.backward(dy, y, x, UT, dx, dU, db, self.padding, self.groups, ctx.empty, overwrite=True)
        tiles.adjoint(dU, ctx.gradient(layer.weight))


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


@dataclass(frozen=True)
class WeightTiles:
    """The weight transform of Winograd's convolution, or of its backward pass: then inputs and outputs are exchanged."""

    parameter: Parameter
    groups: int = 1
    exchanged: bool = False

    @property
    def shape(self) -> Shape:
        """Shape of the transformed weight."""
        C, D = self.parameter.shape[2:]
        sizes = (D // self.groups, C * self.groups) if self.exchanged else (C, D)
        return winograd.weight_shape(*sizes, self.groups)

    def empty(self) -> Array:
        """An array for the transformed weight."""
        return aligned(self.shape, self.parameter.dtype)

    def transform(self, value: Array, tiles: Array) -> None:
        """Write u of the weight."""
        winograd.transform_weight(
            winograd.exchanged(value, self.groups) if self.exchanged else value, tiles, self.groups
        )

    def adjoint(self, dtiles: Array, dvalue: Array) -> None:
        """Add the gradient of u, carried back to the weight, to dvalue."""
        winograd.transform_weight_adjoint(dtiles, dvalue, self.groups)
