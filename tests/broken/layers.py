"""Broken layers: each is a blackboard layer with one realistic slip, and names the check that must reject it."""

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
from tests.reference import AvgPool2d, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, Maxout, MaxPool2d, ReLU

VECTOR, IMAGE, TINY, PIECES = (3,), (6, 5, 2), (3, 3, 2), (2, 2, 6)


class Broken(NamedTuple):
    make: Callable[[], Any]
    shape: tuple[int, ...]
    check: str


GALLERY: list[Broken] = []


def rejected_by(check: str, shape: tuple[int, ...], *arguments: Any, **options: Any):
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
    def dx(self, x, dy):
        return -super().dx(x, dy)


@rejected_by("gradient_of_input", VECTOR)
class OnePerCentTooMuch(Linear):
    def dx(self, x, dy):
        return 1.01 * super().dx(x, dy)


@rejected_by("adjoint", VECTOR)
class SignOfDxSeenByTheAdjoint(SignOfDx):
    pass


@rejected_by("gradients_of_parameters", VECTOR)
class OneElementOnePerCentTooMuch(Linear):
    def dweight(self, x, dy):
        dW = super().dweight(x, dy)
        dW[1, 2] *= 1.01
        return dW


@rejected_by("gradient_of_input", VECTOR, 3, 3)
class TransposedWeight(Linear):
    def dx(self, x, dy):
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
    def dbias(self, x, dy):
        return dy.mean(axis=0)


@rejected_by("samples_apart", VECTOR)
class WeightGradientDividedByTheBatch(Linear):
    def dweight(self, x, dy):
        return super().dweight(x, dy) / len(x)


@rejected_by("gradients_of_parameters", VECTOR)
class LastSampleForgotten(Linear):
    def dweight(self, x, dy):
        return x[:-1].T @ dy[:-1]


@rejected_by("gradients_of_parameters", VECTOR)
class BiasGradientForgotten(Linear):
    def add(self, ctx, parameter, gradient):
        if parameter is self.weight:
            super().add(ctx, parameter, gradient)


@rejected_by("gradient_of_input", VECTOR)
class ReturnsZeros(Linear):
    def dx(self, x, dy):
        return np.zeros_like(x)


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
    def dx(self, x, dy):
        return (dy.astype(np.float32) @ self.weight.value.T.astype(np.float32)).astype(x.dtype)


@rejected_by("single_precision", VECTOR)
class HalfPrecisionInside(Linear):
    def dx(self, x, dy):
        return super().dx(x, dy if dy.dtype == np.float64 else dy.astype(np.float16).astype(np.float32))


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
        return dy.copy() if cache is None else dy * cache / (1 - self.rate) ** 2


@rejected_by("gradient_of_input", TINY)
class NotScaledOnTheWayBack(Dropout):
    def backward(self, dy, cache, ctx, need_dx=True):
        return dy.copy() if cache is None else dy * cache


@rejected_by("gradient_of_input", TINY)
class MaskDrawnAgain(Dropout):
    def backward(self, dy, cache, ctx, need_dx=True):
        return dy.copy() if cache is None else dy * self.mask(dy, ctx, ctx.next_key()) / (1 - self.rate)


@rejected_by("evaluation_mode", TINY)
class DropsInEvaluationToo(Dropout):
    def forward(self, x, ctx):
        mask = self.mask(x, ctx, ctx.next_key())
        return x * mask / (1 - self.rate), mask


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
    def chosen(self, groups):
        return np.ones_like(groups)


@rejected_by("gradient_of_input", PIECES)
class PiecesFarApartOnTheWayBack(Maxout):
    """Forward takes neighbouring channels, backward those that stand C apart."""

    def backward(self, dy, cache, ctx, need_dx=True):
        dx = dy[..., None] * self.chosen(cache)
        return np.ascontiguousarray(dx.swapaxes(-1, -2)).reshape(*dy.shape[:-1], -1)


@rejected_by("gradient_of_input", PIECES)
class TheSmallestPieceTakesTheGradient(Maxout):
    def chosen(self, groups):
        return super().chosen(-groups)


@rejected_by("samples_apart", PIECES)
class LargestOfTheBatch(Maxout):
    def forward(self, x, ctx):
        return super().forward(np.broadcast_to(x.max(axis=0), x.shape).copy(), ctx)


@rejected_by("equal_pieces_go_to_the_first", PIECES)
class EqualPiecesShare(Maxout):
    def chosen(self, groups):
        return (groups == groups.max(axis=-1, keepdims=True)).astype(groups.dtype)


@rejected_by("equal_pieces_go_to_the_first", PIECES)
class EqualPiecesGoToTheLast(Maxout):
    def chosen(self, groups):
        return super().chosen(groups[..., ::-1])[..., ::-1]


# Windows: stride, padding, ceil mode, overlaps, areas


class SlippedOnTheWayBack:
    """Forward with the right windows, backward with `slip` applied to them."""

    def backward(self, dy, cache, ctx, need_dx=True):
        right = self.padding, self.stride, self.ceil
        self.slip()
        try:
            return super().backward(dy, cache, ctx)
        finally:
            self.padding, self.stride, self.ceil = right


@rejected_by("gradient_of_input", IMAGE)
class PaddingOffByOne(AvgPool2d):
    """Every window is taken a row too low."""

    def backward(self, dy, cache, ctx, need_dx=True):
        return np.roll(super().backward(dy, cache, ctx), 1, axis=1)


@rejected_by("gradient_of_input", IMAGE, 2, 2, 0)
class StrideOffByOne(SlippedOnTheWayBack, AvgPool2d):
    def slip(self):
        self.stride -= 1

    def places(self, x_shape):
        count = [len(AvgPool2d(2, 2, 0).starts(n)) for n in x_shape[1:3]]
        return ((i, j, r, c) for i, j, r, c in super().places(x_shape) if i < count[0] and j < count[1])


@rejected_by("gradient_of_input", IMAGE, 2, 2, 0)
class CeilModeForgotten(SlippedOnTheWayBack, MaxPool2d):
    def slip(self):
        self.ceil = False


@rejected_by("gradient_of_input", IMAGE)
class OverlapsOverwritten(MaxPool2d):
    def give(self, place, gradient):
        place[...] = gradient


@rejected_by("gradient_of_input", IMAGE)
class EveryPixelChosen(MaxPool2d):
    def chosen(self, part, best):
        return np.ones_like(part)


@rejected_by("ties_go_to_the_first", TINY)
class TiesCountedTwice(MaxPool2d):
    def chosen(self, part, best):
        return part == best[:, None, None]


@rejected_by("ties_go_to_the_first", TINY)
class TiesGoToTheLast(MaxPool2d):
    def chosen(self, part, best):
        return super().chosen(part[:, ::-1, ::-1], best)[:, ::-1, ::-1]


@rejected_by("flat_at_zero", TINY)
class SlopeOneAtZero(ReLU):
    def backward(self, dy, cache, ctx, need_dx=True):
        return dy * (cache >= 0)


@rejected_by("gradient_of_input", IMAGE, 3, 2, 0)
class ClippedWindowsDividedByTheFullArea(AvgPool2d):
    def share(self, dy, i, j, x_shape):
        return dy / self.kernel**2


@rejected_by("gradient_of_input", IMAGE)
class PaddingNotCounted(AvgPool2d):
    def share(self, dy, i, j, x_shape):
        rows, columns = next((r, c) for a, b, r, c in self.places(x_shape) if (a, b) == (i, j))
        return dy / ((rows.stop - rows.start) * (columns.stop - columns.start))


@rejected_by("gradient_of_input", TINY)
class DividedByTheHeightOnly(GlobalAvgPool):
    def backward(self, dy, cache, ctx, need_dx=True):
        return super().backward(dy, cache, ctx) * cache[2]


@rejected_by("gradient_of_input", TINY)
class ChannelsFirst(Flatten):
    def backward(self, dy, cache, ctx, need_dx=True):
        N, H, W, C = cache
        return dy.reshape(N, C, H, W).transpose(0, 2, 3, 1)


# Convolution


@rejected_by("gradient_of_input", IMAGE)
class KernelFlipped(Conv2d):
    def dpatch(self, dy, W):
        return super().dpatch(dy, W[::-1, ::-1])


@rejected_by("gradients_of_parameters", IMAGE)
class WeightGradientFlipped(Conv2d):
    def dweight(self, patch, dy):
        return super().dweight(patch[:, ::-1], dy)


@rejected_by("gradient_of_input", IMAGE, 2, 2)
class ChannelsTransposed(Conv2d):
    def dpatch(self, dy, W):
        return super().dpatch(dy, W.swapaxes(2, 3))


@rejected_by("gradient_of_input", IMAGE)
class CroppedOneTooFar(Conv2d):
    def crop(self, dpadded, shape):
        return dpadded[:, 2 : 2 + shape[1], 2 : 2 + shape[2]]


@rejected_by("gradients_of_parameters", IMAGE)
class LastColumnOfTheKernelForgotten(Conv2d):
    def dweight(self, patch, dy):
        dW = super().dweight(patch, dy)
        dW[:, -1] = 0
        return dW


@rejected_by("gradient_of_input", IMAGE, groups=2)
class GroupsExchangedOnTheWayBack(Conv2d):
    back = False

    def channels(self, g):
        c, d = super().channels(g)
        return (super().channels(1 - g)[0] if self.back else c), d

    def backward(self, dy, cache, ctx, need_dx=True):
        self.back = True
        try:
            return super().backward(dy, cache, ctx)
        finally:
            self.back = False


@rejected_by("gradients_of_parameters", IMAGE)
class BiasOfTheFirstImageOnly(Conv2d):
    def backward(self, dy, cache, ctx, need_dx=True):
        dx = super().backward(dy, cache, ctx)
        ctx.gradient(self.bias)[...] -= dy[1:].sum(axis=(0, 1, 2))
        return dx


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
    """y = x + f(x), whose way around f is forgotten on the way back."""

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
