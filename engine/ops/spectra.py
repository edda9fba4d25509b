"""Products of spectra: for every frequency a product of complex matrices, made of three real ones.

With X = Xr + i Xi and V = Vr + i Vi (Gauss's three products for four):

    T = (Xr + Xi) Vr,     Re X V = T - Xi (Vr + Vi),       Im X V = T + Xr (Vi - Vr)
    T = (Xr + Xi)^T Er,   Re X^T E = T - Xi^T (Er + Ei),   Im X^T E = T + Xr^T (Ei - Er)

The sums and differences are computed anew for every product, one frequency at a time, in cache: only real and imaginary parts
travel through memory. While one frequency's products are computed, what the next one's read is prefetched.
"""

import numpy as np

from engine.codegen.gemm import fills_vectors, gemm
from engine.codegen.jit import MINUS_ONE, ONE, ZERO, jit
from engine.codegen.pointers import keep_alive, load, pointer, store
from engine.codegen.simd import LANES
from engine.memory import Empty, aligned
from engine.typing import Array


def multiply(X: Array, V: Array, Y: Array, n: int, empty: Empty = aligned, *, transposed: bool = False) -> None:
    """Y = X V: the first n rows of X (F, 2, n or more, C), V (F, 2, C, D), Y (F, 2, n or more, D).

    `transposed` takes V', of V (F, 2, D, C).
    """
    if fills_vectors(X, Y):
        C, D = X.shape[3], Y.shape[3]
        x_sum, factors = empty((n * C,), X.dtype), empty((3, C, D), X.dtype)
        _multiply(X, V, Y, n, transposed, x_sum, factors, -Y.dtype.type(np.inf))
        return
    V = V.swapaxes(2, 3) if transposed else V
    (Xr, Xi), (Vr, Vi) = (X[:, 0, :n], X[:, 1, :n]), (V[:, 0], V[:, 1])
    T = (Xr + Xi) @ Vr
    Y[:, 0, :n] = T - Xi @ (Vr + Vi)
    Y[:, 1, :n] = T + Xr @ (Vi - Vr)


def accumulate(X: Array, E: Array, G: Array, n: int, empty: Empty = aligned, *, overwrite: bool = False) -> None:
    """G += X^T E, or with `overwrite` G = X^T E: the first n rows of X (F, 2, n or more, C) and E, G (F, 2, C, D)."""
    if fills_vectors(X, E):
        sums = [empty((n * array.shape[3],), X.dtype) for array in (X, E, E)]
        product = empty((0, 0, 0) if overwrite else G.shape[1:], G.dtype)
        _accumulate(X, E, G, n, overwrite, *sums, product, -G.dtype.type(np.inf))
        return
    (Xr, Xi), (Er, Ei) = ((S[:, 0, :n], S[:, 1, :n]) for S in (X, E))
    XrT, XiT = Xr.swapaxes(1, 2), Xi.swapaxes(1, 2)
    T = (XrT + XiT) @ Er
    parts = T - XiT @ (Er + Ei), T + XrT @ (Ei - Er)
    for part, value in enumerate(parts):
        G[:, part] = value if overwrite else G[:, part] + value


@jit
def _multiply(X, V, Y, n, transposed, x_sum, factors, neg_inf):
    F, _, rows, C = X.shape
    y_rows, D = Y.shape[2:]
    zero_bias = np.zeros(D, X.dtype)
    X, V, Y, S, B, zeros = pointer(X), pointer(V), pointer(Y), pointer(x_sum), pointer(factors), pointer(zero_bias)
    for f in range(F):
        xr, yr, v = 2 * f * rows * C, 2 * f * y_rows * D, 2 * f * C * D  # offsets of real and imaginary parts
        xi, yi = xr + rows * C, yr + y_rows * D
        next_xr, next_v = xr + 2 * rows * C, v + 2 * C * D
        _gauss_factors(V, v, transposed, factors)
        _axpby(ONE, X, xr, ONE, X, xi, S, ZERO, n * C)
        gemm(S, ZERO, C, ONE, B, ZERO, D, zeros, ZERO, ZERO, Y, yr, D, n, D, C, neg_inf, V, next_v, C * D)
        gemm(X, xr, C, ONE, B, C * D, D, Y, yr, D, Y, yi, D, n, D, C, neg_inf, V, next_v + C * D, C * D)
        gemm(X, xi, C, ONE, B, 2 * C * D, D, Y, yr, D, Y, yr, D, n, D, C, neg_inf, X, next_xr, 2 * n * C)
    keep_alive(zero_bias)


@jit
def _gauss_factors(V, v, transposed, factors):
    """factors (3, C, D) = Vr, Vi - Vr and -(Vr + Vi) of the matrix at V[v], or of its transpose."""
    _, C, D = factors.shape
    size, out = C * D, pointer(factors)
    if transposed:
        for d in range(D):
            for c in range(C):
                re, im = V[v + d * C + c], V[v + size + d * C + c]
                out[c * D + d], out[size + c * D + d], out[2 * size + c * D + d] = re, im - re, -(re + im)
    else:
        for i in range(0, size, LANES):
            store(out, i, load(V, v + i))
        _axpby(ONE, V, v + size, MINUS_ONE, V, v, out, size, size)
        _axpby(MINUS_ONE, V, v, MINUS_ONE, V, v + size, out, 2 * size, size)


@jit
def _accumulate(X, E, G, n, overwrite, x_sum, e_difference, e_sum, product, neg_inf):
    F, _, rows, C = X.shape
    e_rows, D = E.shape[2:]
    zero_bias = np.zeros(D, X.dtype)
    X, E, G, zeros = pointer(X), pointer(E), pointer(G), pointer(zero_bias)
    XS, ED, ES = pointer(x_sum), pointer(e_difference), pointer(e_sum)
    T = G if overwrite else pointer(product)
    for f in range(F):
        xr, er, g = 2 * f * rows * C, 2 * f * e_rows * D, 2 * f * C * D  # offsets of real and imaginary parts
        xi, ei = xr + rows * C, er + e_rows * D
        next_xr, next_er, next_ei = xr + 2 * rows * C, er + 2 * e_rows * D, ei + 2 * e_rows * D
        _axpby(ONE, X, xr, ONE, X, xi, XS, ZERO, n * C)
        _axpby(ONE, E, ei, MINUS_ONE, E, er, ED, ZERO, n * D)
        _axpby(MINUS_ONE, E, er, MINUS_ONE, E, ei, ES, ZERO, n * D)
        t = g if overwrite else 0
        gemm(XS, ZERO, ONE, C, E, er, D, zeros, ZERO, ZERO, T, t, D, C, D, n, neg_inf, E, next_er, n * D)
        gemm(X, xr, ONE, C, ED, ZERO, D, T, t, D, T, t + C * D, D, C, D, n, neg_inf, E, next_ei, n * D)
        gemm(X, xi, ONE, C, ES, ZERO, D, T, t, D, T, t, D, C, D, n, neg_inf, X, next_xr, 2 * n * C)
        if not overwrite:
            _axpby(ONE, G, g, ONE, T, ZERO, G, g, 2 * C * D)
    keep_alive(zero_bias)


@jit
def _axpby(alpha, X, x, beta, Y, y, Z, z, count):
    """Z = alpha X + beta Y: `count` elements, a multiple of LANES, from the offsets x, y and z."""
    for i in range(0, count, LANES):
        store(Z, z + i, alpha * load(X, x + i) + beta * load(Y, y + i))
