"""Broken pooling and flattening: stride, padding, ceil mode, overlaps, areas, ties."""

import numpy as np

from layers.window import gather_windows, scatter_windows
from tests.broken.layers.gallery import IMAGE, TINY, rejected_by
from tests.reference import AvgPool2d, Flatten, GlobalAvgPool, MaxPool2d, ReLU


@rejected_by("gradient_of_input", IMAGE)
class PaddingOffByOne(AvgPool2d):
    """Every window is taken a row too low."""

    def dx(self, dx, dy):
        return np.roll(dx, 1, axis=1)


@rejected_by("gradient_of_input", IMAGE, 2, 2, 0)
class StrideOffByOne(AvgPool2d):
    def reference_backward(self, dy, cache):
        shape, A = cache
        dV = np.repeat((dy / A)[:, :, :, None], self.kernel**2, axis=3)
        return scatter_windows(dV, (self.kernel, self.stride - 1, self.padding), shape)


@rejected_by("gradient_of_input", IMAGE, 2, 2, 0)
class CeilModeForgotten(MaxPool2d):
    """The last windows, which floor mode does not have, give no gradient."""

    def reference_backward(self, dy, cache):
        Ho, Wo, _ = MaxPool2d(self.kernel, self.stride, self.padding, ceil=False).output_shape(cache[0][1:])
        dy = dy.copy()
        dy[:, Ho:], dy[:, :, Wo:] = 0, 0
        return super().reference_backward(dy, cache)


@rejected_by("gradient_of_input", IMAGE)
class OverlapsOverwritten(MaxPool2d):
    """A pixel that is the largest of several windows gets the gradient of the last one."""

    def reference_backward(self, dy, cache):
        shape, argmax = cache
        dx = np.zeros(shape, dy.dtype)
        for n, i, j, c in np.ndindex(dy.shape):
            a, b = divmod(argmax[n, i, j, c], self.kernel)
            dx[n, i * self.stride - self.padding + a, j * self.stride - self.padding + b, c] = dy[n, i, j, c]
        return dx


@rejected_by("gradient_of_input", IMAGE)
class EveryPixelChosen(MaxPool2d):
    def reference_backward(self, dy, cache):
        dV = np.repeat(dy[:, :, :, None], self.kernel**2, axis=3)
        return scatter_windows(dV, (self.kernel, self.stride, self.padding), cache[0])


@rejected_by("ties_go_to_the_first", TINY)
class TiesCountedTwice(MaxPool2d):
    def reference(self, x):
        y, _ = super().reference(x)
        V = gather_windows(x, (self.kernel, self.stride, self.padding), y.shape[1:], -np.inf)
        return y, (x.shape, y[:, :, :, None] == V)

    def reference_backward(self, dy, cache):
        shape, largest = cache
        return scatter_windows(dy[:, :, :, None] * largest, (self.kernel, self.stride, self.padding), shape)


@rejected_by("ties_go_to_the_first", TINY)
class TiesGoToTheLast(MaxPool2d):
    def reference(self, x):
        y, _ = super().reference(x)
        V = gather_windows(x, (self.kernel, self.stride, self.padding), y.shape[1:], -np.inf)
        return y, (x.shape, self.kernel**2 - 1 - V[:, :, :, ::-1].argmax(axis=3))


@rejected_by("flat_at_zero", TINY)
class DerivativeOneAtZero(ReLU):
    def reference_backward(self, dy, cache):
        return dy * (cache >= 0)


@rejected_by("gradient_of_input", IMAGE, 3, 2, 0)
class ClippedWindowsDividedByTheFullArea(AvgPool2d):
    def reference_backward(self, dy, cache):
        shape, _ = cache
        return super().reference_backward(dy, (shape, self.kernel**2))


@rejected_by("gradient_of_input", IMAGE)
class PaddingNotCounted(AvgPool2d):
    def reference_backward(self, dy, cache):
        shape, _ = cache
        image = np.ones((1, *shape[1:3], 1))
        area = gather_windows(image, (self.kernel, self.stride, self.padding), dy.shape[1:]).sum(axis=3)
        return super().reference_backward(dy, (shape, area))


@rejected_by("gradient_of_input", TINY)
class DividedByTheHeightOnly(GlobalAvgPool):
    def reference_backward(self, dy, cache):
        return super().reference_backward(dy, cache) * cache[2]


@rejected_by("gradient_of_input", TINY)
class ChannelsFirst(Flatten):
    def reference_backward(self, dy, cache):
        N, H, W, C = cache
        return dy.reshape(N, C, H, W).transpose(0, 2, 3, 1)
