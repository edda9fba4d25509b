"""Layers with several inputs: their channels side by side, and their sum."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from engine.context import Context
from engine.errors import UserError
from engine.typing import Array, Shape, is_whole
from layers.border import check_gradient, check_input
from layers.layer import Layer


class _Merge(Layer):
    """A layer with `inputs` inputs, two or more."""

    def __init__(self, inputs: int = 2) -> None:
        if not is_whole(inputs) or inputs < 2:
            raise UserError(
                f"{type(self).__name__} was given {inputs!r} inputs; a whole number of 2 or more is needed."
            )
        self.n_inputs = inputs

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.n_inputs})"


class Concat(_Merge):
    """The channels of several maps, or the elements of several vectors, side by side.

    Forward:   y_(c + o_i) = x^(i)_c at every pixel, o_i = C_1 + ... + C_(i-1)
    Backward:  each element of an input is exactly one of y, so dx^(i)_c = dy_(c + o_i).
    Shapes:    x^(i) (N, ..., C_i), alike but for C_i; y (N, ..., C_1 + ... + C_n).
    Source:    the branches of an inception: Szegedy et al., CVPR 2015, section 4; Caffe, concat_layer.cpp.
    Numerics:  exact.
    Raises:    UserError for fewer than 2 inputs, and if samples differ in more than their last axis.

    >>> x, ctx = (np.array([[1.0, 2.0]]), np.array([[3.0]])), Context()
    >>> y, cache = Concat(2).forward(x, ctx)
    >>> y.tolist(), [dx.tolist() for dx in Concat(2).backward(10 * y, cache, ctx)]
    ([[1.0, 2.0, 3.0]], [[[10.0, 20.0]], [[30.0]]])
    """

    def forward(self, x: Any, ctx: Context) -> tuple[Array, tuple]:
        x, y_like = check_input(self, x)
        y = ctx.empty(y_like.shape, y_like.dtype)  # (N, ..., C_1 + ... + C_n)
        channels = [part.shape[-1] for part in x]
        for part, columns in zip(x, _columns(channels), strict=True):
            y[..., columns] = part
        return y, (channels, y_like)

    def backward(self, dy: Array, cache: Any, ctx: Context, need_dx: bool = True) -> Any:
        channels, y_like = cache
        dy = check_gradient(self, dy, y_like)
        dx = tuple(ctx.empty((*dy.shape[:-1], C), dy.dtype) for C in channels)  # (N, ..., C_i)
        for part, columns in zip(dx, _columns(channels), strict=True):
            part[...] = dy[..., columns]
        return dx

    def reference(self, *x: Array) -> tuple[Array, list[int]]:
        """`forward` in plain NumPy."""
        y = np.concatenate(x, axis=-1)  # (N, ..., C_1 + ... + C_n)
        return y, [part.shape[-1] for part in x]

    def reference_backward(self, dy: Array, cache: list[int]) -> tuple[Array, ...]:
        """`backward` in plain NumPy: dx^(1), ..., dx^(n)."""
        dx = np.split(dy, np.cumsum(cache)[:-1], axis=-1)  # (N, ..., C_i)
        return tuple(dx)

    def output_shape(self, shape: Any) -> Shape:
        if not all(shape) or len({part[:-1] for part in shape}) > 1:
            raise UserError(
                f"{self} was given samples of shapes {_several(shape)}; they may differ in their last axis alone: check the "
                "layers before it."
            )
        return *shape[0][:-1], sum(part[-1] for part in shape)


class Add(_Merge):
    """The sum of several arrays of one shape, element by element.

    Forward:   y = x^(1) + ... + x^(n)
    Backward:  y is linear in every input with factor 1, so dx^(i) = dy.
    Shapes:    x^(i), y alike.
    Source:    Caffe, eltwise_layer.cpp (SUM); the scores of a DAG-CNN: Yang and Ramanan, ICCV 2015, section 4.
    Numerics:  added from the first input to the last; all dx are dy itself, nothing is copied.
    Raises:    UserError for fewer than 2 inputs, and if their samples differ in shape.

    >>> x, ctx = (np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]])), Context()
    >>> y, cache = Add(2).forward(x, ctx)
    >>> y.tolist(), [dx.tolist() for dx in Add(2).backward(10 * y, cache, ctx)]
    ([[4.0, 7.0]], [[[40.0, 70.0]], [[40.0, 70.0]]])
    """

    def forward(self, x: Any, ctx: Context) -> tuple[Array, tuple]:
        (first, second, *others), y_like = check_input(self, x)
        y = np.add(first, second, out=ctx.empty(y_like.shape, y_like.dtype))
        for other in others:
            np.add(y, other, out=y)
        return y, y_like

    def backward(self, dy: Array, cache: Any, ctx: Context, need_dx: bool = True) -> Any:
        dy = check_gradient(self, dy, cache)
        return (dy,) * self.n_inputs

    def reference(self, *x: Array) -> tuple[Array, None]:
        """`forward` in plain NumPy."""
        y = sum(x[1:], start=x[0])
        return y, None

    def reference_backward(self, dy: Array, cache: None) -> tuple[Array, ...]:
        """`backward` in plain NumPy: dx^(1), ..., dx^(n)."""
        return tuple(dy.copy() for _ in range(self.n_inputs))

    def output_shape(self, shape: Any) -> Shape:
        if len(set(shape)) > 1:
            raise UserError(
                f"{self} was given samples of shapes {_several(shape)}; they must be equal: check the layers before it."
            )
        return shape[0]


def _columns(channels: list[int]) -> list[slice]:
    """Where each input's channels are in the output."""
    return [slice(*pair) for pair in pairwise(accumulate(channels, initial=0))]


def _several(shapes: tuple[Shape, ...]) -> str:
    return " and ".join(map(str, shapes))
