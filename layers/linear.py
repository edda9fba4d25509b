"""The fully connected layer."""

from __future__ import annotations

import math

from engine.context import Context
from engine.device import dispatch
from engine.initialisers import Initialiser, constant, he
from engine.ops import fused_linear, large_linear
from engine.ops.fused_linear import PIXEL
from engine.parameters import Parameter
from engine.typing import Array, Shape
from layers.border import check_gradient, check_input, expect_sizes
from layers.layer import Layer, expect_channels, expect_rank


class Linear(Layer):
    """y = x W + b: every output is a weighted sum of every input.

    Forward:   y_nd = sum_c x_nc W_cd + b_d, that is y = x W + b
    Backward:  ∂y_nd/∂W_cd = x_nc, so dW_cd = sum_n x_nc dy_nd, that is dW = x^T dy; likewise db = sum_n dy_n and
               dx = dy W^T.
    Shapes:    x (N, C), W (C, D), b (D,), y (N, D).
    Raises:    UserError for sizes that are no whole numbers of 1 or more, and if a sample is not a vector of C numbers.

    >>> import numpy as np
    >>> layer, ctx = Linear(2, 1, weight=constant(3), bias=constant(1)), Context()
    >>> x = np.array([[1, 2], [0, 5]], np.float32)
    >>> y, cache = layer.forward(x, ctx)
    >>> y.tolist(), layer.backward(np.ones_like(y), cache, ctx).tolist()
    ([[10.0], [16.0]], [[3.0, 3.0], [3.0, 3.0]])
    >>> ctx.gradient(layer.weight).tolist(), ctx.gradient(layer.bias).tolist()
    ([[1.0], [7.0]], [2.0])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        weight: Initialiser = he,
        bias: Initialiser | None = None,
        lr_mult: float = 1.0,
        max_norm: float = math.inf,
    ) -> None:
        expect_sizes("Linear", inputs=inputs, outputs=outputs)
        self.weight = Parameter((inputs, outputs), weight, lr_mult=lr_mult, max_norm=max_norm, name="weight")
        self.bias = Parameter((outputs,), bias or constant(0), lr_mult=lr_mult, decay_mult=0, name="bias")

    def forward(self, x: Array, ctx: Context) -> tuple[Array, tuple]:
        x, y_like = check_input(self, x)
        y = ctx.empty(y_like.shape, x.dtype)  # (N, D)
        if large_linear.is_large(x, self.weight.value):
            large_linear.forward(x, self.weight.value, self.bias.value, y, ctx)
            return y, (x, y_like)
        W, b, relu = (self.weight.value,), (self.bias.value,), (False,)
        dispatch(fused_linear.forward, _pixels(x), PIXEL, W, b, relu, y, ctx)
        return y, (x, y_like)

    def backward(self, dy: Array, cache: tuple, ctx: Context, need_dx: bool = True) -> Array | None:
        x, y_like = cache
        dy = check_gradient(self, dy, y_like)
        dx = ctx.empty(x.shape, x.dtype) if need_dx else None  # (N, C)
        if large_linear.is_large(x, self.weight.value):
            large_linear.backward(x, self.weight, self.bias, dy, dx, ctx)
            return dx
        dx_pixels = None if dx is None else _pixels(dx)
        W, dW, db = (self.weight.value,), (ctx.gradient(self.weight),), (ctx.gradient(self.bias),)
        dispatch(fused_linear.backward, _pixels(x), PIXEL, W, (False,), (dy,), dy, dx_pixels, dW, db, ctx)
        return dx

    def reference(self, x: Array) -> tuple[Array, Array]:
        """`forward` in plain NumPy."""
        W, b = self.weight.value, self.bias.value
        y = x @ W + b  # (N, D)
        return y, x

    def reference_backward(self, dy: Array, cache: Array) -> tuple[Array, Array, Array]:
        """`backward` in plain NumPy: dx, dW, db."""
        x, W = cache, self.weight.value
        dW = x.T @ dy  # (C, D)
        db = dy.sum(axis=0)  # (D,)
        dx = dy @ W.T  # (N, C)
        return dx, dW, db

    def parameters(self) -> list[Parameter]:
        return [self.weight, self.bias]

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(self, shape, 1, "vectors (C,)")
        expect_channels(self, shape, self.weight.shape[0])
        return self.bias.shape

    def multiply_adds(self, shape: Shape) -> int:
        return self.weight.size

    def __repr__(self) -> str:
        return f"Linear({self.weight.shape[0]}, {self.weight.shape[1]})"


def _pixels(x: Array) -> Array:
    """Vectors (N, C) as images of one pixel."""
    return x[:, None, None]
