"""Layers with kinks or jumps, which the checker has to find clear inputs for by itself: no layer here says where they are."""

import numpy as np

from engine.initialisers import normal
from engine.parameters import Parameter
from layers import Layer
from tests.correct.gallery import IMAGE, VECTOR, Elementwise, passes


@passes(VECTOR)
class ELU(Elementwise):
    """Smooth at 0 in its first derivative alone."""

    def value(self, x):
        return np.where(x > 0, x, np.expm1(x))

    def slope(self, x):
        return np.where(x > 0, 1, np.exp(x))


@passes(VECTOR)
class SELU(Elementwise):
    scale, alpha = 1.0507009873554805, 1.6732632423543772

    def value(self, x):
        return self.scale * np.where(x > 0, x, self.alpha * np.expm1(x))

    def slope(self, x):
        return self.scale * np.where(x > 0, 1, self.alpha * np.exp(x))


@passes(VECTOR)
class LeakyReLU(Elementwise):
    def value(self, x):
        return np.where(x > 0, x, 0.01 * x)

    def slope(self, x):
        return np.where(x > 0, x.dtype.type(1), x.dtype.type(0.01))


@passes((2,))
class HardTanh(Elementwise):
    """Its kinks, -1 and 1, are numbers of the first grid of six."""

    def value(self, x):
        return np.clip(x, -1, 1)

    def slope(self, x):
        return np.abs(x) < 1


@passes((2,), domain=(-2.0, 14.0))
class ReLU6(Elementwise):
    def value(self, x):
        return np.clip(x, 0, 6)

    def slope(self, x):
        return (x > 0) & (x < 6)


@passes((2,), domain=(-9.0, 9.0))
class HardSigmoid(Elementwise):
    def value(self, x):
        return np.clip(x / 6 + 0.5, 0, 1)

    def slope(self, x):
        return (np.abs(x) < 3) / x.dtype.type(6)


@passes((2,), domain=(-9.0, 9.0))
class HardSwish(Elementwise):
    def value(self, x):
        return x * np.clip(x / 6 + 0.5, 0, 1)

    def slope(self, x):
        return np.where(x > 3, 1, np.where(x < -3, 0, x / 3 + 0.5)).astype(x.dtype)


@passes((2,))
class SoftShrink(Elementwise):
    def value(self, x):
        return np.sign(x) * np.maximum(np.abs(x) - 1, 0)

    def slope(self, x):
        return np.abs(x) > 1


@passes((2,))
class HardShrink(Elementwise):
    """It jumps at -1 and at 1."""

    def value(self, x):
        return x * (np.abs(x) > 1)

    def slope(self, x):
        return np.abs(x) > 1


@passes(IMAGE)
class PReLU(Layer):
    """y = max(x, 0) + a min(x, 0), an a for each channel."""

    def __init__(self):
        self.a = Parameter((2,), normal(0.5), name="a")

    def parameters(self):
        return [self.a]

    def forward(self, x, ctx):
        return np.maximum(x, 0) + self.a.value * np.minimum(x, 0), x

    def backward(self, dy, x, ctx, need_dx=True):
        ctx.gradient(self.a)[...] += (dy * np.minimum(x, 0)).sum((0, 1, 2))
        return dy * np.where(x > 0, 1, self.a.value)


@passes(IMAGE)
class GlobalMaxPool(Layer):
    """y = the largest pixel of each channel."""

    def output_shape(self, shape):
        return shape[-1:]

    def forward(self, x, ctx):
        flat = x.reshape(len(x), -1, x.shape[-1])  # (N, H W, C)
        first = flat.argmax(1, keepdims=True)
        return np.take_along_axis(flat, first, 1)[:, 0], (first, x.shape)

    def backward(self, dy, cache, ctx, need_dx=True):
        first, shape = cache
        dx = np.zeros((len(dy), shape[1] * shape[2], shape[3]), dy.dtype)
        np.put_along_axis(dx, first, dy[:, None], 1)
        return dx.reshape(shape)


@passes((4,))
class LargerPairSum(Layer):
    """y = max(x1 + x2, x3 + x4): on an evenly spaced grid the two sums are often equal."""

    def output_shape(self, shape):
        return (1,)

    def forward(self, x, ctx):
        sums = x.reshape(-1, 2, 2).sum(2)
        return sums.max(1, keepdims=True), sums[:, :1] >= sums[:, 1:]

    def backward(self, dy, first, ctx, need_dx=True):
        return np.concatenate([dy * first] * 2 + [dy * ~first] * 2, axis=1)


@passes([(3,), (3,)])
class Minimum(Layer):
    n_inputs = 2

    def output_shape(self, shapes):
        return shapes[0]

    def forward(self, x, ctx):
        return np.minimum(*x), x[0] < x[1]

    def backward(self, dy, first, ctx, need_dx=True):
        return dy * first, dy * ~first
