"""Broken layers with two inputs or more."""

import numpy as np

from tests.broken.layers.gallery import TWO, rejected_by
from tests.reference import Add, Concat, Product, Skip, WeightedSum


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


@rejected_by("gradient_of_input", [(2, 3), (2, 3)])
class GradientsInTheOtherOrder(Concat):
    def reference_backward(self, dy, cache):
        return super().reference_backward(dy, cache)[::-1]


@rejected_by("shape_known", [(2, 3), (2, 1)])
class SplitInEqualParts(Concat):
    def reference_backward(self, dy, cache):
        return tuple(np.split(dy, 2, axis=-1))


@rejected_by("gradient_of_input", [(4,), (4,), (4,)], 3)
class GradientShared(Add):
    """Every input gets a third of it."""

    def reference_backward(self, dy, cache):
        return tuple(dx / self.n_inputs for dx in super().reference_backward(dy, cache))


@rejected_by("untouched", TWO)
class AddedIntoTheFirstInput(Add):
    def reference(self, *x):
        first, *others = x
        for other in others:
            first += other
        return first, None
