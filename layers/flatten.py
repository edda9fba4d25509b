"""An image as a vector."""

from __future__ import annotations

import math

from engine.context import Context
from engine.typing import Array, Shape
from layers.layer import Layer


class Flatten(Layer):
    """y = x with the axes of a sample laid out as one, channels fastest.

    Forward:   y (N, H W C) = x (N, H, W, C)
    Backward:  dx = dy in x's shape: every element is copied once, so its gradient comes back once.
    Numerics:  exact; both directions are views, no element moves.

    >>> import numpy as np
    >>> y, cache = Flatten().forward(np.ones((2, 3, 3, 4)), Context())
    >>> y.shape, Flatten().backward(y, cache, Context()).shape
    ((2, 36), (2, 3, 3, 4))
    """

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Shape]:
        return x.reshape(len(x), -1), x.shape

    def backward(self, dy: Array, cache: Shape, ctx: Context, need_dx: bool = True) -> Array:
        return dy.reshape(cache)

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)
