"""Broken sisters of the correct layers of other libraries (tests/correct), each with a bug that such layers have had."""

from typing import ClassVar

import numpy as np

from tests.broken.layers.gallery import rejected_by
from tests.correct import kinked, normalisation, products, rearranged, smooth
from tests.correct.gallery import IMAGE, SEQUENCE, VECTOR


@rejected_by("gradient_of_input", VECTOR)
class SlopeOfTheSigmoidAtY(smooth.Sigmoid):
    """s'(x) from y, but y is taken for x."""

    def backward(self, dy, x, ctx, need_dx=True):
        return dy * self.slope(self.value(x))


@rejected_by("gradient_of_input", VECTOR)
class GELUWithoutItsCubicTerm(smooth.GELU):
    def slope(self, x):
        t = np.tanh(self.u(x))
        return (1 + t) / 2 + x * (1 - t**2) * 0.7978845608028654 / 2


@rejected_by("gradient_of_input", VECTOR)
class SoftplusWithTheSlopeOfReLU(smooth.Softplus):
    def slope(self, x):
        return x > 0


@rejected_by("gradient_of_input", (2,))
class HardTanhThatPassesAllOn(kinked.HardTanh):
    """As a straight-through estimator does."""

    def slope(self, x):
        return np.ones_like(x)


@rejected_by("gradient_of_input", (6,))
class HardTanhThatEndsAtAHalf(kinked.HardTanh):
    def slope(self, x):
        return np.abs(x) < 0.5


@rejected_by("gradient_of_input", (2,))
class SoftShrinkOfTheValue(kinked.SoftShrink):
    def slope(self, x):
        return np.abs(x) - 1 > 1


@rejected_by("gradients_of_parameters", IMAGE)
class PReLUThatCountsAllPixels(kinked.PReLU):
    def backward(self, dy, x, ctx, need_dx=True):
        ctx.gradient(self.a)[...] += (dy * x).sum((0, 1, 2))
        return dy * np.where(x > 0, 1, self.a.value)


@rejected_by("adjoint", (4,))
class BothPairsTakeTheGradient(kinked.LargerPairSum):
    def backward(self, dy, first, ctx, need_dx=True):
        return np.repeat(dy, 4, axis=1)


@rejected_by("gradient_of_input", VECTOR, 1e-5)
class LayerNormThatForgetsTheVariance(normalisation.LayerNorm):
    """The standard deviation is taken for a constant."""

    def backward(self, dy, cache, ctx, need_dx=True):
        return cache[1] * (dy - dy.mean(-1, keepdims=True))


@rejected_by("gradient_of_input", (2,))
class LayerNormOfTwoThatForgetsTheVariance(normalisation.LayerNormOfTwo):
    """Its dx should be 0."""

    def backward(self, dy, cache, ctx, need_dx=True):
        return cache[1] * (dy - dy.mean(-1, keepdims=True))


@rejected_by("gradient_of_input", IMAGE, 1e-5)
class BatchNormWithConstantStatistics(normalisation.BatchNorm):
    def backward(self, dy, cache, ctx, need_dx=True):
        return dy / 2 if cache is None else cache[1] * dy


@rejected_by("samples_apart", IMAGE, 1e-5)
class BatchNormWithoutItsTag(normalisation.BatchNorm):
    not_promised: ClassVar = {}


@rejected_by("evaluation_mode", IMAGE, 1e-5)
class BatchNormThatForgetsTheVarianceInEvaluation(normalisation.BatchNorm):
    def backward(self, dy, cache, ctx, need_dx=True):
        return dy if cache is None else super().backward(dy, cache, ctx)


@rejected_by("gradients_of_parameters", VECTOR)
class RMSNormWithTheGainOfX(normalisation.RMSNorm):
    def forward(self, x, ctx):
        y, (_, r) = super().forward(x, ctx)
        return y, (x, r)


@rejected_by("gradient_of_input", VECTOR)
class L2NormaliseWithoutTheProjection(normalisation.L2Normalise):
    def backward(self, dy, cache, ctx, need_dx=True):
        return cache[1] * dy


@rejected_by("gradient_of_input", (2, 2, 5))
class LocalResponseOfItselfAlone(normalisation.LocalResponse):
    def backward(self, dy, cache, ctx, need_dx=True):
        x, s = cache
        return dy * s**-0.75 - 0.15 * x * (dy * x * s**-1.75)


@rejected_by("gradient_of_input", VECTOR)
class SoftmaxElementByElement(normalisation.Softmax):
    def backward(self, dy, y, ctx, need_dx=True):
        return dy * y * (1 - y)


@rejected_by("adjoint", VECTOR)
class LogSoftmaxMinusTheMean(normalisation.LogSoftmax):
    def backward(self, dy, y, ctx, need_dx=True):
        return dy - dy.mean(-1, keepdims=True)


@rejected_by("gradient_of_input", [(2,), (2,)])
class BilinearTransposed(products.Bilinear):
    shape = (2, 2, 2)

    def backward(self, dy, x, ctx, need_dx=True):
        return super().backward(dy, x, ctx)[::-1]


@rejected_by("adjoint", SEQUENCE)
class Conv1dWithItsTapsReversed(products.Conv1d):
    def backward(self, dy, x, ctx, need_dx=True):
        dx = super().backward(dy, x, ctx)
        return dx[:, ::-1].copy()


@rejected_by("gradients_of_parameters", SEQUENCE)
class ASecondTapWithoutDelay(products.CausalDepthwiseConv1d):
    def backward(self, dy, x, ctx, need_dx=True):
        dx = super().backward(dy, x, ctx)
        ctx.gradient(self.weight)[1] = (dy * x).sum((0, 1))
        return dx


@rejected_by("gradient_of_input", (4, 3))
class AttentionToKeysAlone(products.SelfAttention):
    """x stands on both sides of x x^T."""

    def backward(self, dy, cache, ctx, need_dx=True):
        P, x = cache
        dP = dy @ x.mT
        return P.mT @ dy + P * (dP - (dP * P).sum(2, keepdims=True)) @ x


@rejected_by("gradient_of_input", (2, 3, 8))
class PixelShuffleBackInAnotherOrder(rearranged.PixelShuffle):
    def backward(self, dy, cache, ctx, need_dx=True):
        N, H, W, C = dy.shape
        dx = dy.reshape(N, H // 2, 2, W // 2, 2, C).transpose(0, 1, 3, 4, 2, 5)
        return dx.reshape(N, H // 2, W // 2, 4 * C)


@rejected_by("adjoint", IMAGE)
class UpsampleThatAverages(rearranged.UpsampleByRepetition):
    def backward(self, dy, cache, ctx, need_dx=True):
        return super().backward(dy, cache, ctx) / 4


@rejected_by("gradient_of_input", IMAGE)
class ReflectionWithoutTheBorder(rearranged.ReflectionPad):
    def backward(self, dy, cache, ctx, need_dx=True):
        return dy[:, 1:-1, 1:-1]


@rejected_by("gradient_of_input", SEQUENCE)
class CumulativeSumForwards(rearranged.CumulativeSum):
    def backward(self, dy, cache, ctx, need_dx=True):
        return dy.cumsum(1)
