"""Normalisation: of a channel by its neighbours, and of a vector to length 1."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from engine.context import Context
from engine.device import dispatch
from engine.errors import UserError
from engine.kernels.cpu import normalise
from engine.typing import Array, Shape, is_real, is_whole
from layers.border import check_gradient, check_input
from layers.layer import Layer

COST = 100  # of a number, in multiply-adds of a matrix product


class LocalResponseNorm(Layer):
    """Each channel divided by a power of the energy of the channels beside it, pixel by pixel.

    Forward:   y_c = x_c s_c^-beta, s_c = k + (alpha / n) sum of x_j^2 over the n channels j from c - (n - 1) / 2 to
               c + (n - 1) / 2, as far as they exist
    Backward:  x_c is in y_c itself and in the s_j of all channels j near it, and "near" is mutual. With
               ds_j = -beta dy_j x_j s_j^(-beta - 1):  dx_c = dy_c s_c^-beta + (2 alpha / n) x_c sum of ds_j over the same j.
    Shapes:    any (N, ..., C); y, s as x.
    Source:    Krizhevsky, Sutskever and Hinton, NIPS 2012, section 3.3; parameters as in Caffe, lrn_layer.cpp (ACROSS_CHANNELS),
               where alpha is divided by n.
    Numerics:  s is kept for the backward pass. With beta = 3/4, as all published networks have it, the power is taken by two
               square roots.
    Raises:    UserError unless n is an odd whole number, k above 0, alpha 0 or more and beta finite, and for samples without
               channels.

    >>> x, ctx = np.array([[3.0, 4.0, 0.0]]), Context()
    >>> layer = LocalResponseNorm(3, alpha=3.0, beta=0.5, k=11.0)  # s = 11 + 9 + 16, twice, and 11 + 16
    >>> y, cache = layer.forward(x, ctx)
    >>> y.round(4).tolist(), layer.backward(np.ones((1, 3)), cache, ctx).round(4).tolist()
    ([[0.5, 0.6667, 0.0]], [[0.0694, 0.037, 0.1925]])
    """

    def __init__(self, size: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        if not is_whole(size) or size < 1 or size % 2 == 0:
            raise UserError(f"LocalResponseNorm was given size = {size!r}; an odd whole number is needed.")
        _expect_finite("alpha", alpha, " of 0 or more", lambda value: value >= 0)
        _expect_finite("beta", beta)
        _expect_finite("k", k, " above 0", lambda value: value > 0)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Array, ctx: Context) -> tuple[Array, tuple]:
        x, y_like = check_input(self, x)
        y, s = ctx.empty(x.shape, x.dtype), ctx.empty(x.shape, x.dtype) if ctx.needs_backward else None
        jobs = []
        for begin, end in ctx.shares(math.prod(x.shape[:-1]), COST * x.size):
            share = (None if array is None else _rows(array)[begin:end] for array in (x, y, s))
            jobs.append(partial(dispatch, normalise.lrn_forward, *share, *self._constants(x)))
        ctx.parallel_for(jobs)
        return y, (x, s, y_like)

    def backward(self, dy: Array, cache: tuple, ctx: Context, need_dx: bool = True) -> Array:
        x, s, y_like = cache
        dy = check_gradient(self, dy, y_like)
        dx = ctx.empty(x.shape, x.dtype)
        dispatch(normalise.lrn_backward, *map(_rows, (x, s, dy, dx)), *self._constants(x)[:3])
        return dx

    def reference(self, x: Array) -> tuple[Array, tuple]:
        """`forward` in plain NumPy."""
        s = self.k + self.alpha / self.size * self._near(x * x)
        y = x * s**-self.beta
        return y, (x, s)

    def reference_backward(self, dy: Array, cache: tuple) -> Array:
        """`backward` in plain NumPy: dx."""
        x, s = cache
        ds = -self.beta * dy * x * s ** (-self.beta - 1)
        dx = dy * s**-self.beta + 2 * self.alpha / self.size * x * self._near(ds)
        return dx

    def output_shape(self, shape: Shape) -> Shape:
        return _with_channels(self, shape)

    def _near(self, a: Array) -> Array:
        """The sum over the n channels around each one, in plain NumPy."""
        half, C = self.size // 2, a.shape[-1]
        return np.stack([a[..., max(0, c - half) : c + half + 1].sum(axis=-1) for c in range(C)], axis=-1)

    def _constants(self, x: Array) -> tuple[Any, ...]:
        """n, alpha / n, beta and k, in the precision of x."""
        real = x.dtype.type
        return self.size, real(self.alpha / self.size), real(self.beta), real(self.k)

    def __repr__(self) -> str:
        return f"LocalResponseNorm({self.size}, alpha {self.alpha:g}, beta {self.beta:g}, k {self.k:g})"


class L2Normalize(Layer):
    """A vector divided by its length; at every pixel of an image, the vector of its channels.

    Forward:   y = x / r, r = |x| = sqrt(sum over c of x_c^2)
    Backward:  ∂r/∂x_c = x_c / r = y_c, so dx = dy / r - (x / r^2) (y . dy) = (dy - y (y . dy)) / r: what of dy points along x
               is taken off. Where x = 0 there is no direction: y and dx are 0.
    Shapes:    any (N, ..., C), a vector of C numbers for each sample (and pixel); y as x.
    Source:    the features of a DAG-CNN: Yang and Ramanan, ICCV 2015, section 4.
    Numerics:  r and y . dy are summed in float64.
    Raises:    UserError for samples without channels.

    >>> x, ctx = np.array([[3.0, 4.0], [0.0, 0.0]]), Context()
    >>> y, cache = L2Normalize().forward(x, ctx)
    >>> y.tolist(), L2Normalize().backward(np.ones((2, 2)), cache, ctx).round(3).tolist()
    ([[0.6, 0.8], [0.0, 0.0]], [[0.032, -0.024], [0.0, 0.0]])
    """

    def forward(self, x: Array, ctx: Context) -> tuple[Array, tuple]:
        x, y_like = check_input(self, x)
        y, r = ctx.empty(x.shape, x.dtype), ctx.empty(x.shape[:-1], np.float64)
        dispatch(normalise.l2_forward, _rows(x), _rows(y), r.reshape(-1))
        return y, (y, r, y_like)

    def backward(self, dy: Array, cache: tuple, ctx: Context, need_dx: bool = True) -> Array:
        y, r, y_like = cache
        dy = check_gradient(self, dy, y_like)
        dx = ctx.empty(dy.shape, dy.dtype)
        dispatch(normalise.l2_backward, _rows(y), r.reshape(-1), _rows(dy), _rows(dx))
        return dx

    def reference(self, x: Array) -> tuple[Array, tuple]:
        """`forward` in plain NumPy."""
        r = np.sqrt((x * x).sum(axis=-1, keepdims=True))  # (N, ..., 1)
        y = np.divide(x, r, out=np.zeros_like(x), where=r != 0)
        return y, (y, r)

    def reference_backward(self, dy: Array, cache: tuple) -> Array:
        """`backward` in plain NumPy: dx."""
        y, r = cache
        across = dy - y * (y * dy).sum(axis=-1, keepdims=True)
        dx = np.divide(across, r, out=np.zeros_like(dy), where=r != 0)
        return dx

    def output_shape(self, shape: Shape) -> Shape:
        return _with_channels(self, shape)

    def kink_distance(self, x: Array, ctx: Context) -> float:
        """The largest element of the shortest vector: by so much it must change to be 0."""
        return float(np.abs(x).max(axis=-1).min())


def _expect_finite(name: str, value: Any, bound: str = "", fits: Callable[[float], bool] = lambda value: True) -> None:
    """Raise unless a constant of `LocalResponseNorm` is a finite number that fits."""
    if not (is_real(value) and math.isfinite(value) and fits(value)):
        raise UserError(f"LocalResponseNorm was given {name} = {value!r}; a finite number{bound} is needed.")


def _rows(x: Array) -> Array:
    """x as (rows, C)."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _with_channels(layer: Layer, shape: Shape) -> Shape:
    """The shape; raises UserError if samples have no axis."""
    if not shape:
        raise UserError(f"{layer} was given samples of shape (); it takes samples (..., C): check the layer before it.")
    return shape
