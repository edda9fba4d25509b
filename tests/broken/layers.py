"""Broken layers: each a correct layer of tests/reference.py with one realistic bug, and the check that must reject it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from engine.parameters import initialise
from engine.random import Key
from layers.conv2d import Conv2d as RealConv2d
from layers.fuse import FusedConv
from layers.layer import Layer
from layers.linear import Linear as RealLinear
from layers.relu import ReLU as RealReLU
from layers.sequential import Sequential
from layers.window import gather_windows, scatter_windows
from tests.reference import (
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    Maxout,
    MaxPool2d,
    Product,
    ReLU,
    Skip,
    WeightedSum,
)

VECTOR, IMAGE, TINY, PIECES = (3,), (6, 5, 2), (3, 3, 2), (2, 2, 6)
TWO = [(4,), (4,)]


class Broken(NamedTuple):
    make: Callable[[], Any]
    shape: Any
    check: str


GALLERY: list[Broken] = []


def rejected_by(check: str, shape: Any, *arguments: Any, **options: Any):
    """Put the class into the gallery, built with these arguments, its parameters drawn."""

    def make(kind: type) -> Any:
        layer = kind(*arguments, **options)
        initialise(layer.parameters(), Key(1))
        return layer

    def add(kind: type) -> type:
        GALLERY.append(Broken(lambda: make(kind), shape, check))
        return kind

    return add


# Linear: signs, factors, transposes, sums


@rejected_by("gradient_of_input", VECTOR)
class SignOfDx(Linear):
    def dx(self, dx, dy):
        return -dx


@rejected_by("gradient_of_input", VECTOR)
class OnePerCentTooMuch(Linear):
    def dx(self, dx, dy):
        return 1.01 * dx


@rejected_by("adjoint", VECTOR)
class SignOfDxSeenByTheAdjoint(SignOfDx):
    pass


@rejected_by("gradients_of_parameters", VECTOR)
class OneElementOnePerCentTooMuch(Linear):
    def dweight(self, dW, x, dy):
        dW[1, 2] *= 1.01
        return dW


@rejected_by("gradient_of_input", VECTOR, 3, 3)
class TransposedWeight(Linear):
    def dx(self, dx, dy):
        return dy @ self.weight.value


@rejected_by("linear_in_dy", VECTOR)
class UpstreamGradientIgnored(Linear):
    def backward(self, dy, cache, ctx, need_dx=True):
        return super().backward(np.ones_like(dy), cache, ctx)


@rejected_by("accumulates", VECTOR)
class SetsInsteadOfAdds(Linear):
    def add(self, ctx, parameter, gradient):
        ctx.gradient(parameter)[...] = gradient


@rejected_by("gradients_of_parameters", VECTOR)
class BiasGradientIsAMean(Linear):
    def dbias(self, db, x, dy):
        return dy.mean(axis=0)


@rejected_by("samples_apart", VECTOR)
class WeightGradientDividedByTheBatch(Linear):
    def dweight(self, dW, x, dy):
        return dW / len(x)


@rejected_by("gradients_of_parameters", VECTOR)
class LastSampleForgotten(Linear):
    def dweight(self, dW, x, dy):
        return x[:-1].T @ dy[:-1]


@rejected_by("gradients_of_parameters", VECTOR)
class BiasGradientForgotten(Linear):
    def add(self, ctx, parameter, gradient):
        if parameter is self.weight:
            super().add(ctx, parameter, gradient)


@rejected_by("gradient_of_input", VECTOR)
class ReturnsZeros(Linear):
    def dx(self, dx, dy):
        return np.zeros_like(dx)


# What must not be written, kept or shared


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


# Precision, shape and memory


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


# ReLU and dropout


@rejected_by("gradient_of_input", TINY)
class PassesEverything(ReLU):
    def backward(self, dy, cache, ctx, need_dx=True):
        return dy.copy()


@rejected_by("linear_in_dy", TINY)
class MaskOfTheUpstreamGradient(ReLU):
    def backward(self, dy, cache, ctx, need_dx=True):
        return dy * (dy > 0)


@rejected_by("gradient_of_input", TINY)
class ScaledTwice(Dropout):
    def backward(self, dy, cache, ctx, need_dx=True):
        return self.scale * super().backward(dy, cache, ctx)


@rejected_by("gradient_of_input", TINY)
class ScaleForgottenInTheBackward(Dropout):
    def backward(self, dy, cache, ctx, need_dx=True):
        return dy.copy() if cache is None else dy * cache


@rejected_by("gradient_of_input", TINY)
class MaskDrawnAgain(Dropout):
    def backward(self, dy, cache, ctx, need_dx=True):
        return super().backward(dy, None if cache is None else self.mask(dy, ctx, ctx.next_key()), ctx)


@rejected_by("evaluation_mode", TINY)
class DropsInEvaluationToo(Dropout):
    def forward(self, x, ctx):
        return self.reference(x, self.mask(x, ctx, ctx.next_key()))


@rejected_by("samples_apart", TINY)
class MaskOfTheChunk(Dropout):
    def mask(self, x, ctx, key):
        return (key.uniform(x.shape) >= self.rate).astype(x.dtype)


@rejected_by("repeatable", TINY)
class MaskOfAGlobalState(Dropout):
    state = np.random.default_rng(0)

    def mask(self, x, ctx, key):
        return (MaskOfAGlobalState.state.random(x.shape) >= self.rate).astype(x.dtype)


@rejected_by("gradient_of_input", PIECES)
class EveryPieceTakesTheGradient(Maxout):
    def reference_backward(self, dy, cache):
        return np.repeat(dy, self.pieces, axis=-1)


@rejected_by("gradient_of_input", PIECES)
class BackwardTakesPiecesThatStandApart(Maxout):
    """Forward takes neighbouring channels, backward those that are C apart."""

    def reference_backward(self, dy, cache):
        chosen = np.arange(self.pieces)[:, None] == cache[..., None, :]  # (N, ..., k, C)
        return (dy[..., None, :] * chosen).reshape(*dy.shape[:-1], -1)


@rejected_by("gradient_of_input", PIECES)
class TheSmallestPieceTakesTheGradient(Maxout):
    def reference(self, x):
        (y, _), (_, argmin) = super().reference(x), super().reference(-x)
        return y, argmin


@rejected_by("samples_apart", PIECES)
class LargestOfTheBatch(Maxout):
    def reference(self, x):
        return super().reference(np.broadcast_to(x.max(axis=0), x.shape).copy())


@rejected_by("equal_pieces_go_to_the_first", PIECES)
class EqualPiecesShare(Maxout):
    def reference(self, x):
        y, _ = super().reference(x)
        return y, x == np.repeat(y, self.pieces, axis=-1)

    def reference_backward(self, dy, cache):
        return np.repeat(dy, self.pieces, axis=-1) * cache


@rejected_by("equal_pieces_go_to_the_first", PIECES)
class EqualPiecesGoToTheLast(Maxout):
    def reference(self, x):
        y, argmax_from_the_end = super().reference(x[..., ::-1])
        return y[..., ::-1], self.pieces - 1 - argmax_from_the_end[..., ::-1]


# Windows: stride, padding, ceil mode, overlaps, areas


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


# Convolution


@rejected_by("gradient_of_input", IMAGE)
class KernelFlipped(Conv2d):
    def reference_backward(self, dy, cache):
        return super().reference_backward(dy, [(shape, P, W[::-1, ::-1]) for shape, P, W in cache])


@rejected_by("gradients_of_parameters", IMAGE)
class WeightGradientFlipped(Conv2d):
    def dweight(self, dW, cache, dy):
        return dW[::-1]


@rejected_by("gradient_of_input", IMAGE, 2, 2)
class ChannelsTransposed(Conv2d):
    def reference_backward(self, dy, cache):
        return super().reference_backward(dy, [(shape, P, W.swapaxes(2, 3)) for shape, P, W in cache])


@rejected_by("gradient_of_input", IMAGE)
class CroppedOneTooFar(Conv2d):
    def dx(self, dx, dy):
        return np.roll(dx, -1, axis=(1, 2))


@rejected_by("gradients_of_parameters", IMAGE)
class LastColumnOfTheKernelForgotten(Conv2d):
    def dweight(self, dW, cache, dy):
        dW[:, -1] = 0
        return dW


@rejected_by("gradient_of_input", IMAGE, groups=2)
class GroupsExchangedInTheBackward(Conv2d):
    def dx(self, dx, dy):
        return np.concatenate(np.split(dx, 2, axis=-1)[::-1], axis=-1)


@rejected_by("gradients_of_parameters", IMAGE)
class BiasOfTheFirstImageOnly(Conv2d):
    def dbias(self, db, cache, dy):
        return dy[0].sum(axis=(0, 1))


# Two inputs


@rejected_by("gradient_of_input", TWO)
class SecondGradientNotScaled(WeightedSum):
    def reference_backward(self, dy, cache):
        return dy.copy(), dy.copy()


@rejected_by("adjoint", TWO)
class SecondInputForgotten(WeightedSum):
    def reference_backward(self, dy, cache):
        return dy.copy(), np.zeros_like(dy)


@rejected_by("gradient_of_input", TWO)
class GradientsExchanged(Product):
    def reference_backward(self, dy, cache):
        x1, x2 = cache
        return dy * x1, dy * x2


@rejected_by("gradient_of_input", TWO)
class OneGradientForTwoInputs(Product):
    def backward(self, dy, cache, ctx, need_dx=True):
        return super().backward(dy, cache, ctx)[0]


@rejected_by("untouched", TWO)
class WritesIntoTheSecondInput(WeightedSum):
    def reference(self, x1, x2):
        x2 *= self.scale
        return x1 + x2, None


@rejected_by("samples_apart", TWO)
class SecondInputOfAnotherSample(Product):
    def reference(self, x1, x2):
        return super().reference(x1, np.roll(x2, 1, axis=0))

    def reference_backward(self, dy, cache):
        dx1, dx2 = super().reference_backward(dy, cache)
        return dx1, np.roll(dx2, -1, axis=0)


@rejected_by("dtype_kept", TWO)
class SecondGradientAlwaysDouble(WeightedSum):
    def reference_backward(self, dy, cache):
        return dy.copy(), np.float64(self.scale) * dy


@rejected_by("shape_known", [(2,), (3,)])
class SecondGradientTransposed(Skip):
    def reference_backward(self, dy, cache):
        dx1, dx2, dW = super().reference_backward(dy, cache)
        return dx1, dx2[:, :-1], dW


# Layers of layers


@rejected_by("gradient_of_input", VECTOR, RealLinear(3, 3), RealReLU(), RealLinear(3, 3))
class BackwardInTheOrderOfForward(Sequential):
    def backward(self, dy, cache, ctx, need_dx=True):
        for layer, own in zip(self.layers, cache, strict=True):
            dy = layer.backward(dy, own, ctx)
        return dy


FUSED = RealConv2d(2, 3, 2), RealReLU(), RealConv2d(3, 4, 1), RealReLU()


@rejected_by("gradient_of_input", IMAGE, *FUSED)
class FusedConvPastItsInnerReLU(FusedConv):
    def backward(self, dy, cache, ctx, need_dx=True):
        self.relus[0] = False
        try:
            return super().backward(dy, cache, ctx, need_dx)
        finally:
            self.relus[0] = True


@rejected_by("gradients_of_parameters", IMAGE, *FUSED)
class FusedConvWithTheOutputsOfAnotherMap(FusedConv):
    """The second map's weight meets the first map's output, taken one pixel too late."""

    def backward(self, dy, cache, ctx, need_dx=True):
        x, way, (first, *others), kept = cache
        return super().backward(dy, (x, way, (np.roll(first, 1, axis=0), *others), kept), ctx, need_dx)


@rejected_by("samples_apart", IMAGE, *FUSED)
class FusedConvWhoseBlocksRunIntoTheNextImage(FusedConv):
    def forward(self, x, ctx):
        return super().forward(x + 0.1 * np.roll(x, 1, axis=0), ctx)


@rejected_by("gradient_of_input", VECTOR, Linear(3, 3))
class Residual(Layer):
    """y = x + f(x), where backward forgets the x."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x, ctx):
        y, cache = self.inner.forward(x, ctx)
        return x + y, cache

    def backward(self, dy, cache, ctx, need_dx=True):
        return self.inner.backward(dy, cache, ctx)

    def parameters(self):
        return self.inner.parameters()


@rejected_by("gradients_of_parameters", VECTOR, Linear(3, 3))
class SharedLayerCountedOnce(Residual):
    """y = f(f(x)), where f's parameters are given the gradient of its second use only."""

    def forward(self, x, ctx):
        h, first = self.inner.forward(x, ctx)
        y, second = self.inner.forward(h, ctx)
        return y, (first, second)

    def backward(self, dy, cache, ctx, need_dx=True):
        dh = self.inner.backward(dy, cache[1], ctx)
        kept = {p: ctx.gradient(p).copy() for p in self.parameters()}
        dx = self.inner.backward(dh, cache[0], ctx)
        for p, gradient in kept.items():
            ctx.gradient(p)[...] = gradient
        return dx
