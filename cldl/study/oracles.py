r"""The gradient of the definition by three methods that know nothing of the derivation.

Each starts from the definition as it is written, L = sum of lambda_m (-log p_m) prod over t != m of (1 - p_t)^g, with
p_m = exp z_y* / sum of exp z_j, and differentiates it with respect to each of the M K logits z (M, K):

    SymPy          symbols, then numbers of 30 digits
    complex step   Im L(z + i h) / h with h = 1e-30: nothing is subtracted, so only rounding is left
    differences    (L(z + h) - L(z - h)) / 2h: truncation h^2 against rounding eps / h
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.typing import Array


def definition(z: Array, target: int, weights: Array, g: float):
    """L of one sample, as it is written; real or complex z (M, K), in the precision of z."""
    e = np.exp(z - np.real(z).max(axis=1, keepdims=True))
    p = e[:, target] / e.sum(axis=1)  # (M,)
    total = p[0] * 0
    for m in range(len(p)):
        T = p[0] * 0 + 1
        for t in range(len(p)):
            if t != m:
                T = T * (1 - p[t]) ** p.dtype.type(g)
        total = total + p.dtype.type(weights[m]) * -np.log(p[m]) * T
    return total


def elementwise(z: Array, derivative: Callable[[tuple[int, int]], float]) -> Array:
    """`derivative` with respect to every logit, (M, K)."""
    result = np.empty(z.shape)
    for index in np.ndindex(*z.shape):
        result[index] = derivative(index)
    return result


def by_complex_step(z: Array, target: int, weights: Array, g: float, h: float = 1e-30) -> Array:
    """Im L(z + ih) / h, (M, K)."""

    def derivative(index):
        moved = z.astype(np.complex128)
        moved[index] += 1j * h
        return definition(moved, target, weights, g).imag / h

    return elementwise(z, derivative)


def by_differences(z: Array, target: int, weights: Array, g: float, h: float = 6e-6) -> Array:
    """(L(z + h) - L(z - h)) / 2h, (M, K), in the precision of z; the default step is about cbrt(2^-52)."""

    def derivative(index):
        above, below = z.copy(), z.copy()
        above[index] += h
        below[index] -= h
        rise = definition(above, target, weights, g) - definition(below, target, weights, g)
        return rise / (above[index] - below[index])

    return elementwise(z, derivative)


def by_sympy(z: Array, target: int, weights: Array, g: float) -> Array | None:
    """The derivative in symbols, evaluated at z to 30 digits, (M, K); None where SymPy is not installed."""
    try:
        import sympy
    except ImportError:
        return None
    M, K = z.shape
    symbols = [[sympy.Symbol(f"z{m}{j}", real=True) for j in range(K)] for m in range(M)]
    p = [sympy.exp(row[target]) / sum(map(sympy.exp, row)) for row in symbols]
    L = sympy.Integer(0)
    for m in range(M):
        T = sympy.prod([(1 - p[t]) ** sympy.Float(g, 30) for t in range(M) if t != m])
        L += sympy.Float(weights[m], 30) * -sympy.log(p[m]) * T
    numbers: dict = {symbols[m][j]: sympy.Float(float(z[m, j]), 30) for m, j in np.ndindex(M, K)}
    return elementwise(z, lambda index: float(sympy.diff(L, symbols[index[0]][index[1]]).evalf(30, subs=numbers)))
