"""Maxout: the largest of several linear pieces."""

from __future__ import annotations

import numpy as np

from engine.context import Context
from engine.device import dispatch
from engine.errors import UserError
from engine.kernels.cpu import maxout
from engine.typing import Array, Shape
from layers.border import check_gradient, check_input, expect_sizes
from layers.layer import Layer


class Maxout(Layer):
    """The largest of k neighbouring channels (pieces); after a linear layer or a convolution, a convex function of its input.

    Forward:   y_c = max over 0 <= j < k of x_(c k + j), at every pixel
    Backward:  y_c = x_(c k + j*) at the largest piece j*, so dx_(c k + j) = dy_c [j = j*]. Of equal pieces the first
               counts as the largest.
    Shapes:    x (N, ..., C k), y (N, ..., C).
    Source:    Goodfellow, Warde-Farley, Mirza, Courville and Bengio, "Maxout networks", ICML 2013, section 2.
    Numerics:  j* is kept as a byte; a NaN counts as larger than any number, so y is NaN if one of its pieces is.
    Raises:    UserError for fewer than 1 or more than 256 pieces, and if k does not divide the channels.

    >>> x, ctx = np.array([[3.0, 1.0, 2.0, 7.0]]), Context()
    >>> y, cache = Maxout(2).forward(x, ctx)
    >>> y.tolist(), Maxout(2).backward(np.array([[5.0, 6.0]]), cache, ctx).tolist()
    ([[3.0, 7.0]], [[5.0, 0.0, 0.0, 6.0]])
    """

    def __init__(self, pieces: int) -> None:
        expect_sizes("Maxout", pieces=pieces)
        if pieces > 256:
            raise UserError(f"Maxout was given {pieces} pieces; choose from 1 to 256.")
        self.pieces = pieces

    def forward(self, x: Array, ctx: Context) -> tuple[Array, tuple]:
        x, y_like = check_input(self, x)
        y, argmax = ctx.empty(y_like.shape, x.dtype), ctx.empty(y_like.shape, np.uint8)  # (N, ..., C)
        dispatch(maxout.forward, self._grouped(x), *(a.reshape(-1, a.shape[-1]) for a in (y, argmax)))
        return y, (x.shape, argmax, y_like)

    def backward(self, dy: Array, cache: tuple, ctx: Context, need_dx: bool = True) -> Array:
        shape, argmax, y_like = cache
        dy = check_gradient(self, dy, y_like)
        dx = ctx.empty(shape, dy.dtype)  # (N, ..., C k)
        rows = (-1, dy.shape[-1])
        dispatch(maxout.backward, dy.reshape(rows), argmax.reshape(rows), self._grouped(dx))
        return dx

    def reference(self, x: Array) -> tuple[Array, Array]:
        """`forward` in plain NumPy."""
        pieces = x.reshape(*x.shape[:-1], -1, self.pieces)  # (N, ..., C, k)
        y, argmax = pieces.max(axis=-1), pieces.argmax(axis=-1)  # (N, ..., C)
        return y, argmax

    def reference_backward(self, dy: Array, cache: Array) -> Array:
        """`backward` in plain NumPy: dx."""
        argmax = cache
        chosen = np.arange(self.pieces) == argmax[..., None]  # (N, ..., C, k): [j = j*]
        dx = (dy[..., None] * chosen).reshape(*dy.shape[:-1], -1)  # (N, ..., C k)
        return dx

    def output_shape(self, shape: Shape) -> Shape:
        if not shape or shape[-1] % self.pieces:
            raise UserError(
                f"{self} was given samples of shape {shape}; its pieces must divide the last axis: check the layer before it."
            )
        return *shape[:-1], shape[-1] // self.pieces

    def kink_distance(self, x: Array, ctx: Context) -> float:
        """Half the smallest gap between the largest and the second largest piece of a group."""
        if self.pieces == 1:
            return np.inf
        top = np.sort(self._grouped(x), axis=-1)[..., -2:]
        return float((top[..., 1] - top[..., 0]).min()) / 2

    def _grouped(self, x: Array) -> Array:
        """x as (rows, C, k)."""
        return x.reshape(-1, x.shape[-1] // self.pieces, self.pieces)

    def __repr__(self) -> str:
        return f"Maxout({self.pieces})"
