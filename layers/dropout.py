"""Dropout."""

from __future__ import annotations

import numpy as np

from engine.context import Context
from engine.device import dispatch
from engine.errors import UserError
from engine.kernels.cpu import elementwise
from engine.typing import Array
from layers.layer import Layer


class Dropout(Layer):
    """Each element is set to 0 with probability `rate` in training; in evaluation the layer does nothing.

    Forward:   y = s x b, with b = 0 with probability `rate` and 1 otherwise; s = 1 / (1 - rate), so that the mean of y is x
    Backward:  y is linear in x once b is drawn, so dx = s dy b with the same b.
    Shapes:    any; y, dx, b as x.
    Source:    Srivastava et al., JMLR 2014; scaled in training rather than in evaluation, as in Caffe. Goodfellow et al.,
               ICML 2013, drop pixels with `scale` 1: the others keep their size.
    Numerics:  b depends on the pass's key and on the element's index in the batch (see engine.random), not on how the batch
               is cut into chunks; it is kept as bytes. The rate is rounded to a multiple of 2^-16.
    Raises:    UserError if the rate is not in [0, 1).

    >>> x, ctx = np.ones((1, 8)), Context(training=True)
    >>> y, cache = Dropout(0.5).forward(x, ctx)
    >>> y.tolist() == Dropout(0.5).backward(x, cache, ctx).tolist(), sorted(set(y[0].tolist()))
    (True, [0.0, 2.0])
    """

    def __init__(self, rate: float = 0.5, scale: float | None = None) -> None:
        if not 0 <= rate < 1:
            raise UserError(f"the dropout rate is {rate}; it must be at least 0 and less than 1.")
        self.rate = rate
        self.scale = 1 / (1 - rate) if scale is None else scale

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Array | None]:
        if not ctx.training or self.rate == 0:
            return x, None
        y = ctx.empty(x.shape, x.dtype)
        mask = ctx.empty(x.shape, np.uint8)  # b
        rows = (len(x), -1)
        threshold = np.uint64(round(self.rate * 2**16))
        dispatch(
            elementwise.dropout_forward,
            x.reshape(rows),
            y.reshape(rows),
            mask.reshape(rows),
            threshold,
            self._scale(x),
            ctx.first_sample,
            *ctx.next_key().halves,
        )
        return y, mask

    def backward(self, dy: Array, cache: Array | None, ctx: Context, need_dx: bool = True) -> Array:
        if cache is None:
            return dy
        dx = ctx.empty(dy.shape, dy.dtype)
        dispatch(elementwise.dropout_backward, dy.reshape(-1), cache.reshape(-1), self._scale(dy), dx.reshape(-1))
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

    def _scale(self, x: Array) -> np.floating:
        """s, in the precision of x."""
        return x.dtype.type(self.scale)

    def __repr__(self) -> str:
        scale = "" if self.scale == 1 / (1 - self.rate) else f", scale {self.scale:g}"
        return f"Dropout({self.rate}{scale})"
