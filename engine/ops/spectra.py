"""Products of spectra: for every frequency a product of complex matrices, made of three real ones.

With X = Xr + i Xi and V = Vr + i Vi (Gauss's three products for four):

    T = (Xr + Xi) Vr,     Re X V = T - Xi (Vr + Vi),       Im X V = T + Xr (Vi - Vr)
    T = (Xr + Xi)^T Er,   Re X^T E = T - Xi^T (Er + Ei),   Im X^T E = T + Xr^T (Ei - Er)

The sums and differences are computed anew for every product, one frequency at a time, in cache: only real and imaginary parts
travel through memory. While one frequency's products are computed, what the next one's read is prefetched.
"""

import numpy as np

from engine.codegen.gemm import gemm
from engine.codegen.jit import MINUS_ONE, ONE, ZERO, jit
from engine.codegen.pointers import keep_alive, load_partial, pointer, store_partial
from engine.codegen.simd import LANES
from engine.memory import Empty, aligned
from engine.typing import Array


def multiply(
    X: Array, V: Array, Y: Array, n: int, groups: int = 1, empty: Empty = aligned, *, transposed: bool = False
) -> None:
    """Y = X V: the first n rows of X (F, 2, n or more, C), V (F, 2, C / G, D), Y (F, 2, n or more, D), group by group.

    `transposed` takes V', of V (F, 2, D / G, C). Groups are whole vectors.
    """
    C, D = X.shape[3], Y.shape[3]
    shape = (3, C, D // groups) if transposed else (3, C // groups, D)
    x_sum, factors = empty((n * C,), X.dtype), empty(shape, X.dtype)
    _multiply(X, V, Y, n, groups, transposed, x_sum, factors, -Y.dtype.type(np.inf))


def accumulate(
    X: Array, E: Array, G: Array, n: int, groups: int = 1, empty: Empty = aligned, *, overwrite: bool = False
) -> None:
    """G += X^T E, or with `overwrite` G = X^T E: the first n rows of X (F, 2, n or more, C) and E; G (F, 2, C / G, D)."""
    sums = [empty((n * array.shape[3],), X.dtype) for array in (X, E, E)]
    product = empty((0, 0, 0) if overwrite else G.shape[1:], G.dtype)
    _accumulate(X, E, G, n, groups, overwrite, *sums, product, -G.dtype.type(np.inf))


@jit
def _multiply(X, V, Y, n, groups, transposed, x_sum, factors, neg_inf):
    F, _, rows, C = X.shape
    y_rows, D = Y.shape[2:]
    K, m, ldb, size = C // groups, D // groups, factors.shape[2], factors[0].size
    step = K * m if transposed else m  # from a group's matrix to the next one's
    zero_bias = np.zeros(D, X.dtype)
    X, V, Y, S, B, zeros = pointer(X), pointer(V), pointer(Y), pointer(x_sum), pointer(factors), pointer(zero_bias)
    for f in range(F):
        xr, yr, v = 2 * f * rows * C, 2 * f * y_rows * D, 2 * f * size  # offsets of real and imaginary parts
        xi, yi = xr + rows * C, yr + y_rows * D
        next_xr, next_v, ahead = xr + 2 * rows * C, v + 2 * size, size
        _gauss_factors(V, v, transposed, factors)
        _axpby(ONE, X, xr, ONE, X, xi, S, ZERO, n * C)
        for g in range(groups):
            x, y, b, next_x = g * K, g * m, g * step, 2 * n * C if g == 0 else 0
            gemm(S, x, C, ONE, B, b, ldb, zeros, ZERO, ZERO, Y, yr + y, D, n, m, K, neg_inf, V, next_v, ahead)
            gemm(
                X, xr + x, C, ONE, B, size + b, ldb, Y, yr + y, D, Y, yi + y, D, n, m, K, neg_inf, V, next_v + size, ahead
            )  # fmt: skip
            gemm(
                X, xi + x, C, ONE, B, 2 * size + b, ldb, Y, yr + y, D, Y, yr + y, D, n, m, K, neg_inf, X, next_xr, next_x
            )  # fmt: skip
            ahead = 0
    keep_alive(zero_bias)


@jit
def _gauss_factors(V, v, transposed, factors):
    """factors (3, C, D) = Vr, Vi - Vr and -(Vr + Vi) of the matrix at V[v], or of its transpose."""
    _, C, D = factors.shape
    size, out = C * D, pointer(factors)
    if transposed:
        for first in range(0, D, LANES):  # a vector of every row: its cache line is complete before it leaves the cache
            for c in range(C):
                for d in range(first, min(first + LANES, D)):
                    re, im = V[v + d * C + c], V[v + size + d * C + c]
                    out[c * D + d], out[size + c * D + d], out[2 * size + c * D + d] = re, im - re, -(re + im)
    else:
        for i in range(0, size, LANES):
            store_partial(out, i, load_partial(V, v + i, size - i), size - i)
        _axpby(ONE, V, v + size, MINUS_ONE, V, v, out, size, size)
        _axpby(MINUS_ONE, V, v, MINUS_ONE, V, v + size, out, 2 * size, size)


@jit
def _accumulate(X, E, G, n, groups, overwrite, x_sum, e_difference, e_sum, product, neg_inf):
    F, _, rows, C = X.shape
    e_rows, D = E.shape[2:]
    K, m = C // groups, D // groups
    size = K * D
    zero_bias = np.zeros(D, X.dtype)
    X, E, G, zeros = pointer(X), pointer(E), pointer(G), pointer(zero_bias)
    XS, ED, ES = pointer(x_sum), pointer(e_difference), pointer(e_sum)
    T = G if overwrite else pointer(product)
    for f in range(F):
        xr, er, to = 2 * f * rows * C, 2 * f * e_rows * D, 2 * f * size  # offsets of real and imaginary parts
        xi, ei = xr + rows * C, er + e_rows * D
        next_xr, next_er, next_ei = xr + 2 * rows * C, er + 2 * e_rows * D, ei + 2 * e_rows * D
        _axpby(ONE, X, xr, ONE, X, xi, XS, ZERO, n * C)
        _axpby(ONE, E, ei, MINUS_ONE, E, er, ED, ZERO, n * D)
        _axpby(MINUS_ONE, E, er, MINUS_ONE, E, ei, ES, ZERO, n * D)
        for g in range(groups):
            x, e, t = g * K, g * m, g * m + (to if overwrite else 0)
            next_e, next_x = (n * D, 2 * n * C) if g == 0 else (0, 0)
            gemm(XS, x, ONE, C, E, er + e, D, zeros, ZERO, ZERO, T, t, D, K, m, n, neg_inf, E, next_er, next_e)
            gemm(X, xr + x, ONE, C, ED, e, D, T, t, D, T, t + size, D, K, m, n, neg_inf, E, next_ei, next_e)
            gemm(X, xi + x, ONE, C, ES, e, D, T, t, D, T, t, D, K, m, n, neg_inf, X, next_xr, next_x)
        if not overwrite:
            _axpby(ONE, G, to, ONE, T, ZERO, G, to, 2 * size)
    keep_alive(zero_bias)


@jit
def _axpby(alpha, X, x, beta, Y, y, Z, z, count):
    """Z = alpha X + beta Y: `count` elements from the offsets x, y and z."""
    for i in range(0, count, LANES):
        total = alpha * load_partial(X, x + i, count - i) + beta * load_partial(Y, y + i, count - i)
        store_partial(Z, z + i, total, count - i)
