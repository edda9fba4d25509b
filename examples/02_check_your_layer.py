"""Write a layer of your own, and let the checker say whether its gradient is right.

python examples/02_check_your_layer.py

SiLU (Elfwing, Uchibe and Doya, 2018):  y = x s,  s = 1 / (1 + e^-x).
Backward: ∂s/∂x = s (1 - s), so by the product rule dx = dy (s + x s (1 - s)) = dy s (1 + x (1 - s)).

Three more show a layer that learns, and what a layer can say of itself: where it is defined, and which check does not hold
for it.
In pytest, `parametrize_layers` makes a test of each check; under Hypothesis, let it draw the shape:

    @given(st.tuples(*[st.integers(1, 4)] * 3))
    def test_silu(shape):
        check_layer(SiLU(), shape).raise_if_failed()
"""

from typing import ClassVar

import numpy as np

from engine.context import Context
from engine.gradcheck import check_layer
from engine.initialisers import constant
from engine.parameters import Parameter
from engine.typing import Array
from layers import Layer


class SiLU(Layer):
    """y = x / (1 + e^-x), element by element."""

    def forward(self, x: Array, ctx: Context) -> tuple[Array, tuple[Array, Array]]:
        s = 1 / (1 + np.exp(-x))
        return x * s, (x, s)

    def backward(self, dy: Array, cache: tuple[Array, Array], ctx: Context, need_dx: bool = True) -> Array:
        x, s = cache
        return dy * s * (1 + x * (1 - s))


class ForgotTheProductRule(SiLU):
    """The same with a bug: s is taken for a constant."""

    def backward(self, dy: Array, cache: tuple[Array, Array], ctx: Context, need_dx: bool = True) -> Array:
        _, s = cache
        return dy * s


class Gain(Layer):
    """y = a x, with a factor for each channel that is learned: da is the sum of dy x over all that is multiplied by it."""

    def __init__(self, channels: int) -> None:
        self.a = Parameter((channels,), constant(1.0), name="a")

    def parameters(self) -> list[Parameter]:
        return [self.a]

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Array]:
        return x * self.a.value, x

    def backward(self, dy: Array, cache: Array, ctx: Context, need_dx: bool = True) -> Array:
        ctx.gradient(self.a)[...] += (dy * cache).sum(axis=tuple(range(dy.ndim - 1)))
        return dy * self.a.value


class Log(Layer):
    """y = log x, for x > 0."""

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Array]:
        return np.log(x), x

    def backward(self, dy: Array, cache: Array, ctx: Context, need_dx: bool = True) -> Array:
        return dy / cache


class Centred(Layer):
    """y = x - the mean of x over the batch."""

    not_promised: ClassVar = {"samples_apart": "the mean is that of the batch"}

    def forward(self, x: Array, ctx: Context) -> tuple[Array, None]:
        return x - x.mean(0), None

    def backward(self, dy: Array, cache: None, ctx: Context, need_dx: bool = True) -> Array:
        return dy - dy.mean(0)


def main() -> None:
    """Check the layers: the first passes, and the report says which checks reject the second."""
    print(check_layer(SiLU(), (5, 4, 3)))  # samples of shape (H, W, C) = (5, 4, 3)
    report = check_layer(ForgotTheProductRule(), (5, 4, 3))
    print(f"\nWith the bug: {', '.join(report.failed)} failed.\n")
    print(check_layer(Gain(3), (5, 4, 3)))
    print(check_layer(Log(), (3,), domain=(0.1, 3.0)))
    print(check_layer(Centred(), (3,)))


if __name__ == "__main__":
    main()
