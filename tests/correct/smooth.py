"""Smooth elementwise layers."""

import numpy as np

from tests.correct.gallery import IMAGE, VECTOR, Elementwise, passes


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@passes(VECTOR)
class Sigmoid(Elementwise):
    def value(self, x):
        return sigmoid(x)

    def slope(self, x):
        return sigmoid(x) * (1 - sigmoid(x))


@passes(VECTOR)
class Tanh(Elementwise):
    def value(self, x):
        return np.tanh(x)

    def slope(self, x):
        return 1 - np.tanh(x) ** 2


@passes(VECTOR)
class Softplus(Elementwise):
    def value(self, x):
        return np.log1p(np.exp(x))

    def slope(self, x):
        return sigmoid(x)


@passes(VECTOR)
class LogSigmoid(Elementwise):
    def value(self, x):
        return -np.log1p(np.exp(-x))

    def slope(self, x):
        return sigmoid(-x)


@passes(IMAGE)
class SiLU(Elementwise):
    def value(self, x):
        return x * sigmoid(x)

    def slope(self, x):
        return sigmoid(x) * (1 + x * sigmoid(-x))


@passes(VECTOR)
class GELU(Elementwise):
    """By tanh: u = sqrt(2 / pi) (x + 0.044715 x^3), y = x (1 + tanh u) / 2."""

    def u(self, x):
        return 0.7978845608028654 * (x + 0.044715 * x**3)

    def value(self, x):
        return x * (1 + np.tanh(self.u(x))) / 2

    def slope(self, x):
        t, du = np.tanh(self.u(x)), 0.7978845608028654 * (1 + 3 * 0.044715 * x**2)
        return (1 + t) / 2 + x * (1 - t**2) * du / 2


@passes(VECTOR)
class Mish(Elementwise):
    """y = x tanh(softplus x)."""

    def value(self, x):
        return x * np.tanh(np.log1p(np.exp(x)))

    def slope(self, x):
        t = np.tanh(np.log1p(np.exp(x)))
        return t + x * (1 - t**2) * sigmoid(x)


@passes(VECTOR)
class Softsign(Elementwise):
    def value(self, x):
        return x / (1 + np.abs(x))

    def slope(self, x):
        return 1 / (1 + np.abs(x)) ** 2


@passes(VECTOR)
class Square(Elementwise):
    def value(self, x):
        return x**2

    def slope(self, x):
        return 2 * x


@passes(VECTOR)
class Exp(Elementwise):
    def value(self, x):
        return np.exp(x)

    def slope(self, x):
        return np.exp(x)


@passes(VECTOR, domain=(0.1, 3.0))
class Log(Elementwise):
    def value(self, x):
        return np.log(x)

    def slope(self, x):
        return 1 / x


@passes(VECTOR, domain=(0.01, 4.0))
class SquareRoot(Elementwise):
    def value(self, x):
        return np.sqrt(x)

    def slope(self, x):
        return 0.5 / np.sqrt(x)


@passes(VECTOR, domain=(-3.0, -0.1))
class Reciprocal(Elementwise):
    def value(self, x):
        return 1 / x

    def slope(self, x):
        return -1 / x**2
