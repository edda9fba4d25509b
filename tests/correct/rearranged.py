"""Layers that move, repeat or average numbers, for images and sequences."""

import numpy as np

from layers import Layer
from tests.correct.gallery import IMAGE, SEQUENCE, passes


@passes(IMAGE)
class UpsampleByRepetition(Layer):
    def output_shape(self, shape):
        return 2 * shape[0], 2 * shape[1], shape[2]

    def forward(self, x, ctx):
        return x.repeat(2, 1).repeat(2, 2), None

    def backward(self, dy, cache, ctx, need_dx=True):
        N, H, W, C = dy.shape
        return dy.reshape(N, H // 2, 2, W // 2, 2, C).sum((2, 4))


@passes((2, 3, 8))
class PixelShuffle(Layer):
    """Four channels become 2 x 2 pixels."""

    def output_shape(self, shape):
        return 2 * shape[0], 2 * shape[1], shape[2] // 4

    def forward(self, x, ctx):
        N, H, W, C = x.shape
        y = x.reshape(N, H, W, 2, 2, C // 4).transpose(0, 1, 3, 2, 4, 5)
        return y.reshape(N, 2 * H, 2 * W, C // 4), None

    def backward(self, dy, cache, ctx, need_dx=True):
        N, H, W, C = dy.shape
        dx = dy.reshape(N, H // 2, 2, W // 2, 2, C).transpose(0, 1, 3, 2, 4, 5)
        return dx.reshape(N, H // 2, W // 2, 4 * C)


@passes((2, 2, 6))
class ChannelShuffle(Layer):
    def forward(self, x, ctx):
        return x.reshape(*x.shape[:3], 2, 3).swapaxes(3, 4).reshape(x.shape), None

    def backward(self, dy, cache, ctx, need_dx=True):
        return dy.reshape(*dy.shape[:3], 3, 2).swapaxes(3, 4).reshape(dy.shape)


@passes(SEQUENCE)
class Transpose(Layer):
    def output_shape(self, shape):
        return shape[::-1]

    def forward(self, x, ctx):
        return x.swapaxes(1, 2), None

    def backward(self, dy, cache, ctx, need_dx=True):
        return dy.swapaxes(1, 2)


@passes(IMAGE)
class ReflectionPad(Layer):
    """A pixel on each side, the border mirrored."""

    def output_shape(self, shape):
        return shape[0] + 2, shape[1] + 2, shape[2]

    def forward(self, x, ctx):
        return np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="reflect"), None

    def backward(self, dy, cache, ctx, need_dx=True):
        dx = dy.copy()
        dx[:, 2] += dx[:, 0]
        dx[:, -3] += dx[:, -1]
        dx[:, :, 2] += dx[:, :, 0]
        dx[:, :, -3] += dx[:, :, -1]
        return dx[:, 1:-1, 1:-1]


@passes(SEQUENCE)
class CumulativeSum(Layer):
    def forward(self, x, ctx):
        return x.cumsum(1), None

    def backward(self, dy, cache, ctx, need_dx=True):
        return dy[:, ::-1].cumsum(1)[:, ::-1]


@passes(SEQUENCE)
class MeanOverTime(Layer):
    def output_shape(self, shape):
        return shape[1:]

    def forward(self, x, ctx):
        return x.mean(1), x.shape

    def backward(self, dy, shape, ctx, need_dx=True):
        return np.broadcast_to(dy[:, None] / shape[1], shape)
