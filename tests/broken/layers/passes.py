"""Layers that write, keep or share what they must not, and those that get precision, shape or memory order wrong."""

import numpy as np

from tests.broken.layers.gallery import TINY, VECTOR, rejected_by
from tests.reference import Linear, ReLU


@rejected_by("untouched", VECTOR)
class WritesIntoDy(Linear):
    def backward(self, dy, cache, ctx, need_dx=True):
        dx = super().backward(dy, cache, ctx)
        dy *= 0.5
        return dx


@rejected_by("untouched", VECTOR)
class WritesIntoX(Linear):
    def forward(self, x, ctx):
        y, _ = super().forward(x, ctx)
        x -= 1
        return y, x + 1


@rejected_by("untouched", TINY)
class WritesIntoTheCache(ReLU):
    def backward(self, dy, cache, ctx, need_dx=True):
        np.multiply(cache > 0, dy, out=cache)
        return cache.copy()


@rejected_by("untouched", VECTOR)
class WritesIntoTheParameters(Linear):
    def backward(self, dy, cache, ctx, need_dx=True):
        dx = super().backward(dy, cache, ctx)
        self.weight.value -= 0.1 * ctx.gradient(self.weight)
        return dx


@rejected_by("reentrant", VECTOR)
class CacheOnTheLayer(Linear):
    def forward(self, x, ctx):
        self.x = x
        return super().forward(x, ctx)

    def backward(self, dy, cache, ctx, need_dx=True):
        return super().backward(dy, self.x, ctx)


@rejected_by("reentrant", VECTOR)
class OutputBufferOnTheLayer(Linear):
    buffer = None

    def forward(self, x, ctx):
        y, _ = super().forward(x, ctx)
        if self.buffer is None:
            self.buffer = np.empty((2, *x.shape))
        self.buffer[0] = x
        return y, self.buffer[0]


@rejected_by("no_aliasing", VECTOR)
class UpstreamGradientKeptAsItsOwn(Linear):
    def backward(self, dy, cache, ctx, need_dx=True):
        dx = super().backward(dy, cache, ctx)
        ctx.gradients()[self.bias] = dy[0]
        return dx


@rejected_by("no_aliasing", VECTOR)
class HandsOutItsWeights(Linear):
    def forward(self, x, ctx):
        y, cache = super().forward(x, ctx)
        return (self.bias.value[None] if len(x) == 1 else np.broadcast_to(self.bias.value, y.shape)), cache


@rejected_by("repeatable", VECTOR)
class DriftsFromCallToCall(Linear):
    calls = 0

    def forward(self, x, ctx):
        self.calls += 1
        return super().forward(x * (1 + 1e-9 * self.calls), ctx)


@rejected_by("without_dx", VECTOR)
class SkipsAllWithoutDx(Linear):
    def backward(self, dy, cache, ctx, need_dx=True):
        return super().backward(dy, cache, ctx) if need_dx else None


@rejected_by("dtype_kept", VECTOR)
class AlwaysDouble(Linear):
    def forward(self, x, ctx):
        return super().forward(x.astype(np.float64), ctx)


@rejected_by("linear_in_dy", VECTOR)
class SinglePrecisionInside(Linear):
    def dx(self, dx, dy):
        return (dy.astype(np.float32) @ self.weight.value.T.astype(np.float32)).astype(dy.dtype)


@rejected_by("single_precision", VECTOR)
class HalfPrecisionInside(Linear):
    def dx(self, dx, dy):
        return dx if dy.dtype == np.float64 else dx.astype(np.float16).astype(np.float32)


@rejected_by("shape_known", VECTOR)
class WrongOutputShape(Linear):
    def output_shape(self, shape):
        return (self.bias.shape[0] + 1,)


@rejected_by("memory_orders", TINY)
class TrustsTheMemoryOrder(ReLU):
    def backward(self, dy, cache, ctx, need_dx=True):
        return (dy.ravel(order="K") * (cache.ravel() > 0)).reshape(dy.shape)


@rejected_by("samples_apart", VECTOR)
class SamplesMeet(Linear):
    def forward(self, x, ctx):
        return super().forward(x - x.mean(axis=0), ctx)
