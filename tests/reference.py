"""Layers whose passes are their plain NumPy references, and layers with two inputs: what the broken layers are made from."""

import numpy as np

import layers
from engine.initialisers import normal
from engine.parameters import Parameter
from layers import Layer


class OnReference:
    """forward and backward are `reference` and `reference_backward`.

    A broken version replaces one of them, or changes one gradient: dx, dweight and dbias are given the right one.
    """

    n_inputs = 1

    def forward(self, x, ctx):
        return self.reference(*x) if isinstance(x, tuple) else self.reference(x)

    def backward(self, dy, cache, ctx, need_dx=True):
        gradients = self.reference_backward(dy, cache)
        gradients = list(gradients) if isinstance(gradients, tuple) else [gradients]
        dx, own = gradients[: self.n_inputs], gradients[self.n_inputs :]
        for parameter, gradient in zip(self.parameters(), own, strict=True):
            change = getattr(self, f"d{parameter.name}")
            self.add(ctx, parameter, change(gradient, cache, dy))
        return tuple(dx) if self.n_inputs > 1 else self.dx(*dx, dy)

    def add(self, ctx, parameter, gradient):
        ctx.gradient(parameter)[...] += gradient

    def dweight(self, dW, cache, dy):
        return dW

    def dbias(self, db, cache, dy):
        return db

    def dx(self, dx, dy):
        return dx

    def __repr__(self):
        return type(self).__name__


class Linear(OnReference, layers.Linear):
    def __init__(self, inputs=3, outputs=4):
        super().__init__(inputs, outputs, weight=normal(1.0), bias=normal(0.5))


class Conv2d(OnReference, layers.Conv2d):
    def __init__(self, inputs=2, outputs=4, kernel=3, stride=2, padding=1, groups=1):
        options = {"stride": stride, "padding": padding, "groups": groups}
        super().__init__(inputs, outputs, kernel, **options, weight=normal(0.5), bias=normal(0.5))


class ReLU(OnReference, layers.ReLU):
    pass


class Maxout(OnReference, layers.Maxout):
    def __init__(self, pieces=2):
        super().__init__(pieces)


class MaxPool2d(OnReference, layers.MaxPool2d):
    def __init__(self, kernel=3, stride=2, padding=1, ceil=True):
        super().__init__(kernel, stride, padding, ceil=ceil)


class AvgPool2d(OnReference, layers.AvgPool2d):
    def __init__(self, kernel=3, stride=2, padding=1, ceil=True):
        super().__init__(kernel, stride, padding, ceil=ceil)


class GlobalAvgPool(OnReference, layers.GlobalAvgPool):
    pass


class Flatten(OnReference, layers.Flatten):
    pass


class LocalResponseNorm(OnReference, layers.LocalResponseNorm):
    def __init__(self, size=3, alpha=2.0, beta=0.75, k=1.5):
        super().__init__(size, alpha=alpha, beta=beta, k=k)


class L2Normalize(OnReference, layers.L2Normalize):
    pass


class Dropout(OnReference, layers.Dropout):
    def mask(self, x, ctx, key):
        """b: bits of the key, a row for every sample of the batch."""
        width = int(np.prod(x.shape[1:]))
        uniform = key.uniform((ctx.first_sample + len(x), width))[ctx.first_sample :]
        return (uniform >= self.rate).reshape(x.shape).astype(x.dtype)

    def forward(self, x, ctx):
        if not ctx.training:
            return x.copy(), None
        return self.reference(x, self.mask(x, ctx, ctx.next_key()))

    def backward(self, dy, cache, ctx, need_dx=True):
        return dy.copy() if cache is None else super().backward(dy, cache, ctx)


# Several inputs


class Concat(OnReference, layers.Concat):
    pass


class Add(OnReference, layers.Add):
    pass


class WeightedSum(OnReference, Layer):
    """y = x1 + s x2."""

    n_inputs, scale = 2, 0.5

    def output_shape(self, shapes):
        return shapes[0]

    def reference(self, x1, x2):
        return x1 + self.scale * x2, None

    def reference_backward(self, dy, cache):
        return dy.copy(), self.scale * dy


class Product(OnReference, Layer):
    """y = x1 x2, element by element."""

    n_inputs = 2

    def output_shape(self, shapes):
        return shapes[0]

    def reference(self, x1, x2):
        return x1 * x2, (x1, x2)

    def reference_backward(self, dy, cache):
        x1, x2 = cache
        return dy * x2, dy * x1


class Larger(OnReference, Layer):
    """y = max(x1, x2), element by element; x1 where they are equal."""

    n_inputs = 2

    def output_shape(self, shapes):
        return shapes[0]

    def reference(self, x1, x2):
        return np.maximum(x1, x2), x1 >= x2

    def reference_backward(self, dy, cache):
        return dy * cache, dy * ~cache

    def kink_distance(self, x, ctx):
        x1, x2 = x
        return np.abs(x1 - x2).min() / 2


class Skip(OnReference, Layer):
    """y = x1 + x2 W, x1 (N, D), x2 (N, C): two shapes, and a parameter."""

    n_inputs = 2

    def __init__(self, inputs=3, outputs=2):
        self.weight = Parameter((inputs, outputs), normal(1.0), name="weight")

    def parameters(self):
        return [self.weight]

    def output_shape(self, shapes):
        return shapes[0]

    def reference(self, x1, x2):
        return x1 + x2 @ self.weight.value, x2

    def reference_backward(self, dy, cache):
        x2 = cache
        return dy.copy(), dy @ self.weight.value.T, x2.T @ dy
