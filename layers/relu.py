"""The rectified linear unit."""

from __future__ import annotations

import numpy as np

from engine.context import Context
from engine.device import dispatch
from engine.kernels.cpu import elementwise
from engine.typing import Array
from layers.layer import Layer


class ReLU(Layer):
    r"""y = max(x, 0), element by element.

    Forward:   y = max(x, 0)
    Backward:  dx = dy [x > 0], because y does not depend on x where x < 0, and equals x where x > 0. At the kink
               itself, x = 0, the derivative is taken as 0 (any value in [0, 1] is a subgradient).
    Shapes:    any; y, dx as x.
    Source:    Nair and Hinton, ICML 2010.
    Numerics:  [x > 0] is read off y, which is 0 just where x <= 0; NaN passes through.

    >>> ctx = Context()
    >>> y, cache = ReLU().forward(np.array([[-1.0, 0.0, 2.0]]), ctx)
    >>> y.tolist(), ReLU().backward(np.ones((1, 3)), cache, ctx).tolist()
    ([[0.0, 0.0, 2.0]], [[0.0, 0.0, 1.0]])
    """

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Array]:
        y = ctx.empty(x.shape, x.dtype)
        dispatch(elementwise.relu_forward, x.reshape(-1), y.reshape(-1))
        return y, y

    def backward(self, dy: Array, cache: Array, ctx: Context, need_dx: bool = True) -> Array:
        y = cache
        dx = ctx.empty(dy.shape, dy.dtype)
        dispatch(elementwise.relu_backward, y.reshape(-1), dy.reshape(-1), dx.reshape(-1))
        return dx

    def kink_distance(self, x: Array, ctx: Context) -> float:
        return float(np.abs(x).min())
