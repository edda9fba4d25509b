"""Pooling: the largest or the mean of each window, and the mean of a whole image."""

from __future__ import annotations

import numpy as np

from engine.context import Context
from engine.device import dispatch
from engine.errors import UserError
from engine.kernels.cpu import pooling
from engine.typing import Array, Shape
from layers.border import check_gradient, check_input
from layers.layer import Layer, expect_rank
from layers.window import check_window, gather_windows, scatter_windows, windows


class _Pool2d(Layer):
    """A window of k x k pixels, s apart, over an image padded by p."""

    def __init__(self, kernel: int, stride: int | None = None, padding: int = 0, *, ceil: bool = False) -> None:
        self.kernel, self.stride, self.padding, self.ceil = kernel, kernel if stride is None else stride, padding, ceil
        check_window(self.kernel, self.stride, padding, pooling=True)
        if kernel > 16:
            raise UserError(f"the pooling kernel is {kernel}; the largest is 16: use GlobalAvgPool for a whole image.")

    @property
    def _window(self) -> tuple[int, int, int]:
        return self.kernel, self.stride, self.padding

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(self, shape, 3, "images (H, W, C)")
        H, W, C = shape
        return windows(H, *self._window, self.ceil), windows(W, *self._window, self.ceil), C

    def __repr__(self) -> str:
        ceil = ", ceil" if self.ceil else ""
        return f"{type(self).__name__}({self.kernel}, stride {self.stride}, padding {self.padding}{ceil})"


class MaxPool2d(_Pool2d):
    """The largest value of each window of k x k pixels.

    Forward:   y_nijc = max over 0 <= a, b < k of x_n,(i s - p + a),(j s - p + b),c; pixels outside the image do not count
    Backward:  y is the largest pixel of its window, so a pixel's dx is the sum of dy over the windows in which it is the
               largest. Of equal pixels the first in reading order counts as the largest.
    Shapes:    x (N, H, W, C), y (N, Ho, Wo, C); see layers.window for Ho, Wo in floor and ceil mode.
    Source:    Caffe, pooling_layer.cpp (MAX).
    Numerics:  the largest pixel is kept as a byte, a k + b; dx is summed in a fixed order. NaN counts as larger than any
               number.
    Raises:    UserError for a kernel, stride and padding that make no window or a kernel above 16, and if a sample is no image
               or no window fits it.

    >>> x, ctx = np.array([[3.0, 1.0, 2.0, 2.0]]).reshape(1, 2, 2, 1), Context()
    >>> y, cache = MaxPool2d(2).forward(x, ctx)
    >>> y.item(), MaxPool2d(2).backward(np.full((1, 1, 1, 1), 5.0), cache, ctx).ravel().tolist()
    (3.0, [5.0, 0.0, 0.0, 0.0])
    """

    def forward(self, x: Array, ctx: Context) -> tuple[Array, tuple]:
        x, y_like = check_input(self, x)
        y = ctx.empty(y_like.shape, x.dtype)  # (N, Ho, Wo, C)
        argmax = ctx.empty(y_like.shape, np.uint8) if ctx.needs_backward else None
        dispatch(pooling.max_forward, x, y, argmax, *self._window)
        return y, (x.shape, argmax, y_like)

    def backward(self, dy: Array, cache: tuple, ctx: Context, need_dx: bool = True) -> Array:
        shape, argmax, y_like = cache
        dy = check_gradient(self, dy, y_like)
        dx = ctx.empty(shape, dy.dtype)  # (N, H, W, C)
        dispatch(pooling.max_backward, dy, argmax, dx, *self._window)
        return dx

    def reference(self, x: Array) -> tuple[Array, tuple]:
        """`forward` in plain NumPy."""
        V = gather_windows(x, self._window, self.output_shape(x.shape[1:]), -np.inf)  # (N, Ho, Wo, k k, C)
        y, argmax = V.max(axis=3), V.argmax(axis=3)  # (N, Ho, Wo, C)
        return y, (x.shape, argmax)

    def reference_backward(self, dy: Array, cache: tuple) -> Array:
        """`backward` in plain NumPy: dx."""
        shape, argmax = cache
        taps = np.arange(self.kernel**2)[:, None]  # (k k, 1)
        dV = dy[:, :, :, None] * (taps == argmax[:, :, :, None])  # (N, Ho, Wo, k k, C)
        dx = scatter_windows(dV, self._window, shape)  # (N, H, W, C)
        return dx

    def kink_distance(self, x: Array, ctx: Context) -> float:
        """Half the smallest gap between the largest and the second largest value of a window.

        Windows whose two largest values are both 0 do not count: they come from a ReLU, which counts its own kinks.
        """
        if self.kernel == 1:
            return np.inf
        V = gather_windows(x, self._window, self.output_shape(x.shape[1:]), -np.inf)  # (N, Ho, Wo, k k, C)
        second, first = np.moveaxis(np.sort(V, axis=3)[:, :, :, -2:], 3, 0)
        gaps = np.where((first == 0) & (second == 0), np.inf, first - second)
        return float(gaps.min()) / 2


class AvgPool2d(_Pool2d):
    """The mean of each window of k x k pixels.

    Forward:   y_nijc = (1 / A_ij) sum over a, b of x_n,(i s - p + a),(j s - p + b),c, padding counted as zeros; A_ij is
               the number of the window's pixels inside the padded image: k^2, less in the last windows of ceil mode
    Backward:  each pixel of a window has weight 1 / A_ij in its mean, so a pixel's dx is the sum of dy_ij / A_ij over the
               windows that hold it.
    Shapes:    x (N, H, W, C), y (N, Ho, Wo, C); see layers.window for Ho, Wo in floor and ceil mode.
    Source:    Caffe, pooling_layer.cpp (AVE).
    Raises:    as MaxPool2d.

    >>> x, ctx = np.array([[3.0, 1.0, 2.0, 2.0]]).reshape(1, 2, 2, 1), Context()
    >>> y, cache = AvgPool2d(2).forward(x, ctx)
    >>> y.item(), AvgPool2d(2).backward(np.full((1, 1, 1, 1), 4.0), cache, ctx).ravel().tolist()
    (2.0, [1.0, 1.0, 1.0, 1.0])
    """

    def forward(self, x: Array, ctx: Context) -> tuple[Array, tuple]:
        x, y_like = check_input(self, x)
        y = ctx.empty(y_like.shape, x.dtype)  # (N, Ho, Wo, C)
        dispatch(pooling.average_forward, x, y, *self._window)
        return y, (x.shape, y_like)

    def backward(self, dy: Array, cache: tuple, ctx: Context, need_dx: bool = True) -> Array:
        shape, y_like = cache
        dy = check_gradient(self, dy, y_like)
        dx = ctx.empty(shape, dy.dtype)  # (N, H, W, C)
        dispatch(pooling.average_backward, dy, dx, *self._window)
        return dx

    def reference(self, x: Array) -> tuple[Array, tuple]:
        """`forward` in plain NumPy."""
        k, s, p = self._window
        _, H, W, _ = x.shape
        shape = self.output_shape(x.shape[1:])  # (Ho, Wo, C)
        inside = np.ones((1, H + 2 * p, W + 2 * p, 1), x.dtype)  # the padded image
        A = gather_windows(inside, (k, s, 0), shape).sum(axis=3)  # (1, Ho, Wo, 1)
        y = gather_windows(x, self._window, shape).sum(axis=3) / A  # (N, Ho, Wo, C)
        return y, (x.shape, A)

    def reference_backward(self, dy: Array, cache: tuple) -> Array:
        """`backward` in plain NumPy: dx."""
        shape, A = cache
        dV = np.repeat((dy / A)[:, :, :, None], self.kernel**2, axis=3)  # (N, Ho, Wo, k k, C)
        dx = scatter_windows(dV, self._window, shape)  # (N, H, W, C)
        return dx


class GlobalAvgPool(Layer):
    """The mean of each channel over the whole image.

    Forward:   y_nc = (1 / HW) sum over i, j of x_nijc
    Backward:  ∂y_nc/∂x_nijc = 1 / HW, so dx_nijc = dy_nc / HW, the same for every pixel.
    Shapes:    x (N, H, W, C), y (N, C).
    Source:    Lin, Chen and Yan, "Network in network", ICLR 2014, section 3.2.

    >>> x, ctx = np.array([[3.0, 1.0, 2.0, 2.0]]).reshape(1, 2, 2, 1), Context()
    >>> y, cache = GlobalAvgPool().forward(x, ctx)
    >>> y.item(), GlobalAvgPool().backward(np.full((1, 1), 4.0), cache, ctx).ravel().tolist()
    (2.0, [1.0, 1.0, 1.0, 1.0])
    """

    def forward(self, x: Array, ctx: Context) -> tuple[Array, tuple]:
        x, y_like = check_input(self, x)
        N, H, W, C = x.shape
        y = ctx.empty(y_like.shape, x.dtype)  # (N, C)
        dispatch(pooling.mean_forward, x.reshape(N, H * W, C), y)
        return y, (x.shape, y_like)

    def backward(self, dy: Array, cache: tuple, ctx: Context, need_dx: bool = True) -> Array:
        (N, H, W, C), y_like = cache
        dy = check_gradient(self, dy, y_like)
        dx = ctx.empty((N, H, W, C), dy.dtype)
        dispatch(pooling.mean_backward, dy, dx.reshape(N, H * W, C))
        return dx

    def reference(self, x: Array) -> tuple[Array, Shape]:
        """`forward` in plain NumPy."""
        y = x.mean(axis=(1, 2))  # (N, C)
        return y, x.shape

    def reference_backward(self, dy: Array, cache: Shape) -> Array:
        """`backward` in plain NumPy: dx."""
        _, H, W, _ = cache
        dx = np.broadcast_to(dy[:, None, None] / (H * W), cache)  # (N, H, W, C)
        return dx

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(self, shape, 3, "images (H, W, C)")
        return shape[-1:]
