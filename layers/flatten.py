"""An image as a vector."""

from __future__ import annotations

import math

import numpy as np

from engine.context import Context
from engine.typing import Array, Shape
from layers.border import check_gradient, check_input
from layers.layer import Layer


class Flatten(Layer):
    """Each image (H, W, C) as a vector, row by row, the channels of a pixel side by side.

    Forward:   y_n,((i W + j) C + c) = x_nijc
    Backward:  each element of x is exactly one of y, so dx_nijc = dy_n,((i W + j) C + c).
    Shapes:    x (N, ...), y (N, the product of x's other axes).
    Numerics:  exact; y and dx are views, nothing is copied.

    >>> y, cache = Flatten().forward(np.ones((2, 3, 3, 4)), Context())
    >>> y.shape, Flatten().backward(y, cache, Context()).shape
    ((2, 36), (2, 3, 3, 4))
    """

    def forward(self, x: Array, ctx: Context) -> tuple[Array, tuple]:
        x, y_like = check_input(self, x)
        return x.reshape(y_like.shape), (x.shape, y_like)

    def backward(self, dy: Array, cache: tuple, ctx: Context, need_dx: bool = True) -> Array:
        shape, y_like = cache
        return check_gradient(self, dy, y_like).reshape(shape)

    def reference(self, x: Array) -> tuple[Array, Shape]:
        """`forward` in plain NumPy, an image at a time."""
        y = np.stack([image.ravel() for image in x])  # (N, H W C)
        return y, x.shape

    def reference_backward(self, dy: Array, cache: Shape) -> Array:
        """`backward` in plain NumPy: dx."""
        _, *image = cache
        dx = np.stack([row.reshape(image) for row in dy])  # (N, H, W, C)
        return dx

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)
