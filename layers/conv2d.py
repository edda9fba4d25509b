"""Convolution over images."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.context import Context
from engine.device import check_device_and_dtype, contiguous
from engine.errors import UserError
from engine.initialisers import Initialiser, constant, he
from engine.ops.convolution import ALGORITHMS, ConvAlgorithm, FusedLayer, choose
from engine.ops.fused_linear import Window
from engine.parameters import Parameter
from engine.typing import Array, Shape
from layers.layer import Layer, expect_channels, expect_rank
from layers.window import check_window, windows


class Conv2d(Layer):
    """Each output pixel is a weighted sum of a k x k window of input pixels, the same weights everywhere.

    Forward:   y_nijd = b_d + sum over a, b, c of x_n,(i s - p + a),(j s - p + b),c W_abcd, zeros outside the image.
               With the windows laid out as the rows of a matrix, P (N Ho Wo, k k C), it is one matrix product,
               y = P W + b; for k = 1 the image itself is P.
    Backward:  of the product: dW = P^T dy, db = the sum of the rows of dy, dP = dy W^T. A pixel stands in P once for
               every window that holds it, so dx is the sum of dP over these places.
    Groups:    channels and outputs are split into G equal groups, and each output sees only its own group's channels.
    Shapes:    x (N, H, W, C), W (k, k, C / G, D), b (D,), y (N, Ho, Wo, D), Ho = floor((H + 2 p - k) / s) + 1.
    Numerics:  large windows over many channels are computed by FFT (see engine.ops.convolution), the rest by patches;
               both agree to rounding. `algorithm` forces one of them (where it can be used).
    In a row:  `Sequential` runs a convolution, the 1x1 convolutions behind it and their ReLUs as one (`Mlpconv`).
    Source:    the patch matrix: Chellapilla, Puri and Simard, 2006; groups: Krizhevsky et al., NIPS 2012.
    Raises:    UserError for windows that are no windows, groups that do not divide the channels, other samples.

    >>> import numpy as np
    >>> layer, ctx = Conv2d(1, 1, 2, weight=constant(1)), Context()  # the sum over each 2 x 2 window
    >>> x = np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)
    >>> y, cache = layer.forward(x, ctx)
    >>> y.ravel().tolist(), layer.backward(np.ones_like(y), cache, ctx).ravel().tolist()
    ([8.0, 12.0], [1.0, 2.0, 1.0, 1.0, 2.0, 1.0])
    >>> ctx.gradient(layer.weight).ravel().tolist()
    [1.0, 3.0, 7.0, 9.0]
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        weight: Initialiser = he,
        bias: Initialiser | None = None,
        lr_mult: float = 1.0,
        max_norm: float = math.inf,
        algorithm: str = "auto",
    ) -> None:
        check_window(kernel, stride, padding)
        if groups < 1 or inputs % groups or outputs % groups:
            raise UserError(
                f"{groups} groups do not divide {inputs} input and {outputs} output channels: choose a common divisor."
            )
        if algorithm not in ALGORITHMS:
            raise UserError(f"the algorithm {algorithm!r} is unknown: choose one of {', '.join(ALGORITHMS)}.")
        self.inputs, self.outputs, self.algorithm = inputs, outputs, algorithm
        self.window, self.groups = Window(kernel, stride, padding), groups
        shape = (kernel, kernel, inputs // groups, outputs)
        self.weight = Parameter(shape, weight, lr_mult=lr_mult, max_norm=max_norm, name="weight")
        self.bias = Parameter((outputs,), bias or constant(0), lr_mult=lr_mult, decay_mult=0, name="bias")

    def forward(self, x: Array, ctx: Context) -> tuple[Array, tuple]:
        return forward([self], [False], x, ctx)

    def backward(self, dy: Array, cache: tuple, ctx: Context, need_dx: bool = True) -> Array | None:
        return backward([self], [False], dy, cache, ctx, need_dx)

    def conv_algorithm(self, shape: Shape, transforms: bool = True) -> ConvAlgorithm:
        """What convolves images (H, W, C), where transforms are available or not."""
        algorithm = self.algorithm if transforms else "patches"
        return choose(self.window, self.groups, shape, self.output_shape(shape), algorithm)

    def parameters(self) -> list[Parameter]:
        return [self.weight, self.bias]

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(self, shape, 3, "images (H, W, C)")
        expect_channels(self, shape, self.inputs)
        return windows(shape[0], *self.window), windows(shape[1], *self.window), self.outputs

    def multiply_adds(self, shape: Shape) -> int:
        Ho, Wo, _ = self.output_shape(shape)
        return Ho * Wo * self.weight.value.size

    def __repr__(self) -> str:
        w = self.window
        groups = f", groups {self.groups}" if self.groups > 1 else ""
        window = f"{w.kernel}x{w.kernel}, stride {w.stride}, padding {w.padding}"
        return f"Conv2d({self.inputs} to {self.outputs}, {window}{groups})"


def forward(convolutions: Sequence[Conv2d], relus: Sequence[bool], x: Array, ctx: Context) -> tuple[Array, tuple]:
    """The output of a convolution and of 1x1 convolutions behind it, each with a ReLU or not; and the cache for `backward`."""
    x, shape = contiguous(x), x.shape[1:]
    algorithm = convolutions[0].conv_algorithm(shape, ctx.transforms)
    for convolution in convolutions:
        check_device_and_dtype(x, convolution.weight.value)
        shape = convolution.output_shape(shape)
    y = ctx.empty((len(x), *shape), x.dtype)  # (N, Ho, Wo, D)
    ys, saved = algorithm.forward(x, _chain(convolutions, relus), y, ctx)
    return y, (x, algorithm, ys, saved)


def backward(
    convolutions: Sequence[Conv2d], relus: Sequence[bool], dy: Array, cache: tuple, ctx: Context, need_dx: bool
) -> Array | None:
    """dx; the gradients of all weights and biases are added to `ctx`."""
    x, algorithm, ys, saved = cache
    dx = ctx.empty(x.shape, dy.dtype) if need_dx else None  # (N, H, W, C)
    algorithm.backward(x, contiguous(dy), ys, saved, _chain(convolutions, relus), dx, ctx)
    return dx


def _chain(convolutions: Sequence[Conv2d], relus: Sequence[bool]) -> list[FusedLayer]:
    return [FusedLayer(c.weight, c.bias, relu) for c, relu in zip(convolutions, relus, strict=True)]
