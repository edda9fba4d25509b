"""Convolution over images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from engine.context import Context
from engine.errors import UserError
from engine.initialisers import Initialiser, constant, he
from engine.ops.chain import ConvAlgorithm, FusedLayer
from engine.ops.convolution import ALGORITHMS, choose
from engine.ops.cost import INFERENCE, STEP
from engine.ops.fused_linear import Window
from engine.parameters import Parameter
from engine.typing import Array, Shape
from layers.border import check_gradient, check_input, expect_sizes
from layers.layer import Layer, expect_channels, expect_rank
from layers.window import check_window, gather_windows, scatter_windows, windows


class Conv2d(Layer):
    """Each output pixel is a weighted sum of a k x k window of input pixels, the same weights everywhere.

    Forward:   y_nijd = b_d + sum over a, b, c of x_n,(i s - p + a),(j s - p + b),c W_abcd, zeros outside the image.
               With the windows as the rows of a matrix P (N Ho Wo, k k C) this is one matrix product, y = P W + b.
    Backward:  y_rd = sum_q P_rq W_qd + b_d, so dW_qd = sum_r P_rq dy_rd, that is dW = P^T dy; likewise
               db = sum_r dy_r and dP = dy W^T. A pixel stands in P once for every window that holds it, so dx is the
               sum of dP over these windows.
    Groups:    channels and outputs are split into G equal groups; each group is a convolution of its own.
    Shapes:    x (N, H, W, C), W (k, k, C / G, D), b (D,), y (N, Ho, Wo, D), Ho = floor((H + 2 p - k) / s) + 1.
    Source:    the matrix of windows: Chellapilla, Puri and Simard, 2006; groups: Krizhevsky et al., NIPS 2012.
    Numerics:  what is cheapest computes it (see engine.ops.cost): blocks of P, the FFT, or Winograd's tiles (3 x 3 windows at
               stride 1), whose rounding errors are two to five times those of P: 2e-6 of y at 512 channels (see
               engine.ops.winograd). `algorithm` forces one of them, where it can be used.
    Raises:    UserError for sizes that are no whole numbers, a kernel, stride and padding that make no window, groups that do
               not divide the channels, and if a sample is no image of C channels or smaller than a window.

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
        expect_sizes("Conv2d", inputs=inputs, outputs=outputs, groups=groups)
        if inputs % groups or outputs % groups:
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
        return forward_chain(self, [self], [False], x, ctx)

    def backward(self, dy: Array, cache: tuple, ctx: Context, need_dx: bool = True) -> Array | None:
        return backward_chain(self, [self], [False], dy, cache, ctx, need_dx)

    def reference(self, x: Array) -> tuple[Array, list[tuple]]:
        """`forward` in plain NumPy: each group is a convolution of its own."""
        shape = self.output_shape(x.shape[1:])  # (Ho, Wo, D)
        groups = zip(*map(self._split, (x, self.weight.value, self.bias.value)), strict=True)
        parts = [self._group(x_g, W_g, b_g, self.window, shape) for x_g, W_g, b_g in groups]
        return np.concatenate([y for y, _ in parts], axis=-1), [cache for _, cache in parts]

    def reference_backward(self, dy: Array, cache: list[tuple]) -> tuple[Array, ...]:
        """`backward` in plain NumPy: dx, dW, db."""
        parts = [self._group_backward(*group, self.window) for group in zip(self._split(dy), cache, strict=True)]
        return tuple(np.concatenate(gradients, axis=-1) for gradients in zip(*parts, strict=True))

    @staticmethod
    def _group(x: Array, W: Array, b: Array, window: Window, shape: Shape) -> tuple[Array, tuple]:
        D = len(b)
        P = gather_windows(x, window, shape).reshape(-1, W.size // D)  # (N Ho Wo, k k C)
        y = P @ W.reshape(-1, D) + b  # (N Ho Wo, D)
        return y.reshape(len(x), *shape[:2], D), (x.shape, P, W)

    @staticmethod
    def _group_backward(dy: Array, cache: tuple, window: Window) -> tuple[Array, Array, Array]:
        (x_shape, P, W), (N, Ho, Wo, D) = cache, dy.shape
        dy = dy.reshape(-1, D)  # (N Ho Wo, D)
        dW = P.T @ dy  # (k k C, D)
        db = dy.sum(axis=0)  # (D,)
        dP = dy @ W.reshape(-1, D).T  # (N Ho Wo, k k C)
        dx = scatter_windows(dP.reshape(N, Ho, Wo, window.kernel**2, -1), window, x_shape)  # (N, H, W, C)
        return dx, dW.reshape(W.shape), db

    def _split(self, array: Array) -> list[Array]:
        """The G groups of the last axis."""
        return np.split(array, self.groups, axis=-1)

    def conv_algorithm(self, shape: Shape, transforms: bool = True, inference: bool = False) -> ConvAlgorithm:
        """The algorithm for images of shape (N, H, W, C), in a training step or in inference; without `transforms` (on a GPU) it
        is that of patches.
        """
        algorithm = self.algorithm if transforms else "patches"
        return choose(self.window, self.groups, shape, self.outputs, algorithm, INFERENCE if inference else STEP)

    def parameters(self) -> list[Parameter]:
        return [self.weight, self.bias]

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(self, shape, 3, "images (H, W, C)")
        expect_channels(self, shape, self.inputs)
        return windows(shape[0], *self.window), windows(shape[1], *self.window), self.outputs

    def multiply_adds(self, shape: Shape) -> int:
        Ho, Wo, _ = self.output_shape(shape)
        return Ho * Wo * self.weight.size

    def __repr__(self) -> str:
        w = self.window
        groups = f", groups {self.groups}" if self.groups > 1 else ""
        window = f"{w.kernel}x{w.kernel}, stride {w.stride}, padding {w.padding}"
        return f"Conv2d({self.inputs} to {self.outputs}, {window}{groups})"


def forward_chain(
    layer: Layer, convolutions: Sequence[Conv2d], relus: Sequence[bool], x: Array, ctx: Context
) -> tuple[Array, tuple]:
    """y and the cache of a chain: a convolution, then 1x1 convolutions, each followed by a ReLU or not.

    `layer` is the `Conv2d` itself, a chain of one, or the `FusedConv` that stands for several (see layers.fuse).
    """
    x, y_like = check_input(layer, x)
    algorithm = convolutions[0].conv_algorithm(x.shape, ctx.transforms, not ctx.needs_backward)
    y = ctx.empty(y_like.shape, x.dtype)  # (N, Ho, Wo, D)
    ys, saved = algorithm.forward(x, _chain(convolutions, relus), y, ctx)
    return y, (x, algorithm, ys, saved, y_like)


def backward_chain(
    layer: Layer,
    convolutions: Sequence[Conv2d],
    relus: Sequence[bool],
    dy: Array,
    cache: tuple,
    ctx: Context,
    need_dx: bool,
) -> Array | None:
    """dx of the chain; the gradients of all weights and biases are added to `ctx`."""
    x, algorithm, ys, saved, y_like = cache
    dy = check_gradient(layer, dy, y_like)
    dx = ctx.empty(x.shape, dy.dtype) if need_dx else None  # (N, H, W, C)
    algorithm.backward(x, dy, ys, saved, _chain(convolutions, relus), dx, ctx)
    return dx


def _chain(convolutions: Sequence[Conv2d], relus: Sequence[bool]) -> list[FusedLayer]:
    return [FusedLayer(c.weight, c.bias, relu) for c, relu in zip(convolutions, relus, strict=True)]
