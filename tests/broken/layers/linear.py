"""Broken linear layers: signs, factors, transposes, sums."""

import numpy as np

from tests.broken.layers.gallery import VECTOR, rejected_by
from tests.reference import Linear


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
