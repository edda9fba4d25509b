"""Normalisations: of features, of the batch, of an image, of neighbours; and the softmax."""

from typing import ClassVar

import numpy as np

from engine.initialisers import normal
from engine.parameters import Parameter
from layers import Layer
from tests.correct.gallery import IMAGE, VECTOR, passes


class _Normalised(Layer):
    """y = (x - mean) / sqrt(var + eps) over `axes`;  dx = (dy - mean dy - y mean(dy y)) / sqrt(var + eps)."""

    axes: tuple[int, ...] = (-1,)

    def __init__(self, eps=0.0):
        self.eps = eps

    def forward(self, x, ctx):
        r = 1 / np.sqrt(x.var(self.axes, keepdims=True) + self.eps)
        y = (x - x.mean(self.axes, keepdims=True)) * r
        return y, (y, r)

    def backward(self, dy, cache, ctx, need_dx=True):
        y, r = cache
        return r * (dy - dy.mean(self.axes, keepdims=True) - y * (dy * y).mean(self.axes, keepdims=True))


@passes(VECTOR, 1e-5)
class LayerNorm(_Normalised):
    pass


@passes((2,))
class LayerNormOfTwo(_Normalised):
    """y is -1 and 1 whatever x is, so dx is 0, and what is computed is rounding."""


@passes((2,), 1e-5)
class LayerNormOfTwoWithEps(_Normalised):
    """dx is nearly 0."""


@passes(IMAGE, 1e-5)
class InstanceNorm(_Normalised):
    axes = (1, 2)


@passes((3, 2, 4), 1e-5)
class GroupNorm(_Normalised):
    """Two groups of two channels."""

    axes = (1, 2, 4)

    def forward(self, x, ctx):
        y, cache = super().forward(x.reshape(*x.shape[:3], 2, 2), ctx)
        return y.reshape(x.shape), cache

    def backward(self, dy, cache, ctx, need_dx=True):
        return super().backward(dy.reshape(*dy.shape[:3], 2, 2), cache, ctx).reshape(dy.shape)


@passes(IMAGE, 1e-5)
class BatchNorm(_Normalised):
    """In training by the batch; in evaluation by statistics that were kept: here mean 0.25 and variance 4."""

    not_promised: ClassVar = {"samples_apart": "the statistics are those of the batch"}
    axes = (0, 1, 2)

    def forward(self, x, ctx):
        return super().forward(x, ctx) if ctx.training else ((x - 0.25) / 2, None)

    def backward(self, dy, cache, ctx, need_dx=True):
        return dy / 2 if cache is None else super().backward(dy, cache, ctx)


@passes(VECTOR)
class RMSNorm(Layer):
    """y = g x / sqrt(mean x^2)."""

    def __init__(self):
        self.g = Parameter((4,), normal(1.0), name="g")

    def parameters(self):
        return [self.g]

    def forward(self, x, ctx):
        r = 1 / np.sqrt((x * x).mean(-1, keepdims=True))
        return self.g.value * x * r, (x * r, r)

    def backward(self, dy, cache, ctx, need_dx=True):
        n, r = cache
        ctx.gradient(self.g)[...] += (dy * n).sum(0)
        dn = dy * self.g.value
        return r * (dn - n * (dn * n).mean(-1, keepdims=True))


@passes(VECTOR)
class L2Normalise(Layer):
    def forward(self, x, ctx):
        r = 1 / np.sqrt((x * x).sum(-1, keepdims=True))
        return x * r, (x * r, r)

    def backward(self, dy, cache, ctx, need_dx=True):
        y, r = cache
        return r * (dy - y * (dy * y).sum(-1, keepdims=True))


@passes((2, 2, 5))
class LocalResponse(Layer):
    """y_c = x_c s_c^-3/4, s_c = 1 + 0.1 (sum of x_k^2 over the channels k next to c and c itself)."""

    def near(self, x):
        padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(1, 1)])
        return padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]

    def forward(self, x, ctx):
        s = 1 + 0.1 * self.near(x * x)
        return x * s**-0.75, (x, s)

    def backward(self, dy, cache, ctx, need_dx=True):
        x, s = cache
        return dy * s**-0.75 - 0.15 * x * self.near(dy * x * s**-1.75)


@passes(VECTOR)
class Softmax(Layer):
    def forward(self, x, ctx):
        e = np.exp(x - x.max(-1, keepdims=True))
        y = e / e.sum(-1, keepdims=True)
        return y, y

    def backward(self, dy, y, ctx, need_dx=True):
        return y * (dy - (dy * y).sum(-1, keepdims=True))


@passes(VECTOR)
class LogSoftmax(Layer):
    def forward(self, x, ctx):
        z = x - x.max(-1, keepdims=True)
        y = z - np.log(np.exp(z).sum(-1, keepdims=True))
        return y, y

    def backward(self, dy, y, ctx, need_dx=True):
        return dy - np.exp(y) * dy.sum(-1, keepdims=True)
