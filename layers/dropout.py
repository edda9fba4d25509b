"""Dropout."""

from __future__ import annotations

import math

import numpy as np

from engine.context import Context
from engine.device import dispatch
from engine.errors import UserError
from engine.kernels.cpu import elementwise
from engine.typing import Array, is_real
from layers.border import check_gradient, check_input
from layers.layer import Layer

DRAWN = 2**16  # numbers that a draw can give


class Dropout(Layer):
    """Each element is set to 0 with probability `rate` in training; in evaluation the layer does nothing.

    Forward:   y = s x b, with b = 0 with probability r and 1 otherwise; s = 1 / (1 - r), so that the mean of y is x
    Backward:  y is linear in x once b is drawn, so dx = s dy b with the same b.
    Shapes:    any; y, dx, b as x.
    Source:    Srivastava et al., JMLR 2014; scaled in training rather than in evaluation, as in Caffe. Goodfellow et al.,
               ICML 2013, drop pixels with `scale` 1: the others keep their size.
    Numerics:  b depends on the pass's key and on the element's index in the batch (see engine.random), not on how the batch
               is cut into chunks; it is kept as bytes. r is `rate` rounded to a multiple of 2^-16, at most 1 - 2^-16: what is
               drawn and what s makes up for are one rate.
    Raises:    UserError if the rate is not in [0, 1), and for a scale that is not finite and above 0.

    >>> x, ctx = np.ones((1, 8)), Context(training=True)
    >>> y, cache = Dropout(0.5).forward(x, ctx)
    >>> y.tolist() == Dropout(0.5).backward(x, cache, ctx).tolist(), sorted(set(y[0].tolist()))
    (True, [0.0, 2.0])
    """

    def __init__(self, rate: float = 0.5, scale: float | None = None) -> None:
        if not (is_real(rate) and 0 <= rate < 1):
            raise UserError(f"the dropout rate is {rate}; it must be at least 0 and less than 1.")
        if scale is not None and not (is_real(scale) and 0 < scale < math.inf):
            raise UserError(f"the dropout's scale is {scale}; it must be a finite number above 0.")
        self.rate = rate
        self._threshold = min(round(rate * DRAWN), DRAWN - 1)  # r, in units of 2^-16
        self.scale = self._inverted() if scale is None else scale

    def forward(self, x: Array, ctx: Context) -> tuple[Array, tuple]:
        x, y_like = check_input(self, x)
        if not ctx.training or self.rate == 0:
            return x, (None, y_like)
        y = ctx.empty(x.shape, x.dtype)
        mask = ctx.empty(x.shape, np.uint8)  # b
        rows = (len(x), math.prod(x.shape[1:]))
        dispatch(
            elementwise.dropout_forward,
            x.reshape(rows),
            y.reshape(rows),
            mask.reshape(rows),
            np.uint64(self._threshold),
            self._scale(x),
            ctx.first_sample,
            *ctx.next_key().halves,
        )
        return y, (mask, y_like)

    def backward(self, dy: Array, cache: tuple, ctx: Context, need_dx: bool = True) -> Array:
        mask, y_like = cache
        dy = check_gradient(self, dy, y_like)
        if mask is None:
            return dy
        dx = ctx.empty(dy.shape, dy.dtype)
        dispatch(elementwise.dropout_backward, dy.reshape(-1), mask.reshape(-1), self._scale(dy), dx.reshape(-1))
        return dx

    def reference(self, x: Array, b: Array) -> tuple[Array, Array]:
        """`forward` in training, in plain NumPy; b, of x's shape, is 1 where an element stays and 0 where it is dropped."""
        y = self._scale(x) * x * b
        return y, b

    def reference_backward(self, dy: Array, cache: Array) -> Array:
        """`backward` in plain NumPy: dx."""
        b = cache
        dx = self._scale(dy) * dy * b
        return dx

    def _inverted(self) -> float:
        """1 / (1 - r)."""
        return DRAWN / (DRAWN - self._threshold)

    def _scale(self, x: Array) -> np.floating:
        """s, in the precision of x."""
        return x.dtype.type(self.scale)

    def __repr__(self) -> str:
        scale = "" if self.scale == self._inverted() else f", scale {self.scale:g}"
        return f"Dropout({self.rate}{scale})"
