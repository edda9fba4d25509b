"""Broken convolutions."""

import numpy as np

from tests.broken.layers.gallery import IMAGE, rejected_by
from tests.reference import Conv2d


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
