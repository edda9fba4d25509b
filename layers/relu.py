"""The rectified linear unit."""

from __future__ import annotations

import numpy as np

from engine.context import Context
from engine.device import dispatch
from engine.kernels.cpu import elementwise
from engine.typing import Array
from layers.border import check_gradient, check_input, like
from layers.layer import Layer


class ReLU(Layer):
    """y = max(x, 0), element by element.

    Forward:   y = max(x, 0)
    Backward:  ∂y/∂x is 1 where x > 0 and 0 where x < 0, so dx = dy [x > 0]. At the kink itself, x = 0, the derivative
               is taken as 0 (any value in [0, 1] is a subgradient).
    Shapes:    any; y, dx as x.
    Source:    Nair and Hinton, ICML 2010.
    Numerics:  [x > 0] is computed as [y > 0], so that only y is kept; NaN stays NaN.

    >>> ctx = Context()
    >>> y, cache = ReLU().forward(np.array([[-1.0, 0.0, 2.0]]), ctx)
    >>> y.tolist(), ReLU().backward(np.ones((1, 3)), cache, ctx).tolist()
    ([[0.0, 0.0, 2.0]], [[0.0, 0.0, 1.0]])
    """

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Array]:
        x, _ = check_input(self, x)
        y = ctx.empty(x.shape, x.dtype)
        dispatch(elementwise.relu_forward, x.reshape(-1), y.reshape(-1))
        return y, y

    def backward(self, dy: Array, cache: Array, ctx: Context, need_dx: bool = True) -> Array:
        y = cache
        dy = check_gradient(self, dy, like(y))
        dx = ctx.empty(dy.shape, dy.dtype)
        dispatch(elementwise.relu_backward, y.reshape(-1), dy.reshape(-1), dx.reshape(-1))
        return dx

    def reference(self, x: Array) -> tuple[Array, Array]:
        """`forward` in plain NumPy."""
        y = np.maximum(x, 0)
        return y, x

    def reference_backward(self, dy: Array, cache: Array) -> Array:
        """`backward` in plain NumPy: dx."""
        x = cache
        dx = dy * (x > 0)
        return dx

    def kink_distance(self, x: Array, ctx: Context) -> float:
        return float(np.abs(x).min())
