"""Broken layers that are made of layers."""

import numpy as np

from layers.conv2d import Conv2d as RealConv2d
from layers.fuse import FusedConv
from layers.layer import Layer
from layers.linear import Linear as RealLinear
from layers.relu import ReLU as RealReLU
from layers.sequential import Sequential
from tests.broken.layers.gallery import IMAGE, VECTOR, rejected_by
from tests.reference import Linear


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
        x, algorithm, (first, *others), *kept = cache
        return super().backward(dy, (x, algorithm, (np.roll(first, 1, axis=0), *others), *kept), ctx, need_dx)


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
