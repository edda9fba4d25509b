"""Broken normalisation: neighbours, powers, factors, what points along the vector."""

import numpy as np

from tests.broken.layers.gallery import TINY, rejected_by
from tests.reference import L2Normalize, LocalResponseNorm

CHANNELS = (2, 2, 6)


@rejected_by("gradient_of_input", CHANNELS)
class NeighboursForgotten(LocalResponseNorm):
    """x_c is in s_c alone, as if the other channels were not divided by it."""

    def _near(self, a):
        return a if (a < 0).any() else super()._near(a)  # ds has both signs, x^2 has not


@rejected_by("gradient_of_input", CHANNELS)
class ScaleHeldConstant(LocalResponseNorm):
    def reference_backward(self, dy, cache):
        _, s = cache
        return dy * s**-self.beta


@rejected_by("gradient_of_input", CHANNELS)
class PowerNotLowered(LocalResponseNorm):
    def reference_backward(self, dy, cache):
        x, s = cache
        ds = -self.beta * dy * x * s**-self.beta
        return dy * s**-self.beta + 2 * self.alpha / self.size * x * self._near(ds)


@rejected_by("gradient_of_input", CHANNELS)
class FactorTwoForgotten(LocalResponseNorm):
    def reference_backward(self, dy, cache):
        _, s = cache
        plain = dy * s**-self.beta
        return plain + (super().reference_backward(dy, cache) - plain) / 2


@rejected_by("gradient_of_input", CHANNELS)
class AlphaNotDividedByTheSize(LocalResponseNorm):
    def reference_backward(self, dy, cache):
        _, s = cache
        plain = dy * s**-self.beta
        return plain + (super().reference_backward(dy, cache) - plain) * self.size


@rejected_by("gradient_of_input", TINY)
class LengthHeldConstant(L2Normalize):
    def reference_backward(self, dy, cache):
        _, r = cache
        return dy / r


@rejected_by("gradient_of_input", TINY)
class DividedByTheSquaredLength(L2Normalize):
    def reference_backward(self, dy, cache):
        _, r = cache
        return super().reference_backward(dy, cache) / r


@rejected_by("samples_apart", TINY)
class OneLengthForTheBatch(L2Normalize):
    def reference(self, x):
        r = np.broadcast_to(np.sqrt((x * x).sum()), (*x.shape[:-1], 1))
        return x / r, (x / r, r)

    def reference_backward(self, dy, cache):
        y, r = cache
        return (dy - y * (y * dy).sum()) / r


@rejected_by("no_direction_at_zero", TINY)
class DividedByATinyNumber(L2Normalize):
    """As with x / max(|x|, eps): the gradient of a vector of length 0 is 1 / eps times as large."""

    def reference(self, x):
        r = np.maximum(np.sqrt((x * x).sum(axis=-1, keepdims=True)), 1e-12)
        return x / r, (x / r, r)
