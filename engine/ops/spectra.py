"""Products of spectra: for every frequency a product of complex matrices, made of three real ones.

With X = Xr + i Xi and V = Vr + i Vi (Gauss's three products for four):

    T = (Xr + Xi) Vr,     Re X V = T - Xi (Vr + Vi),       Im X V = T + Xr (Vi - Vr)
    T = (Xr + Xi)^T Er,   Re X^T E = T - Xi^T (Er + Ei),   Im X^T E = T + Xr^T (Ei - Er)

The sums and differences are made anew for every product, one frequency at a time, in a near cache: what passes through memory is
real and imaginary parts alone. While one frequency's products are computed, what the next one's read is asked for.
"""

import numpy as np

from engine.codegen.gemm import in_vectors, product
from engine.codegen.jit import MINUS, ONE, ZERO, jit
from engine.codegen.simd import LANES, keep_alive, load, pointer, store
from engine.memory import Empty, aligned
from engine.typing import Array


def multiply(X: Array, V: Array, Y: Array, n: int, empty: Empty = aligned, *, transposed: bool = False) -> None:
    """Y = X V: the first n rows of X (F, 2, n or more, C), V (F, 2, C, D), Y (F, 2, n or more, D).

    `transposed` takes V', of V (F, 2, D, C).
    """
    if in_vectors(X, Y):
        C, D = X.shape[3], Y.shape[3]
        sums, factors = empty((n * C,), X.dtype), empty((3, C, D), X.dtype)
        _multiply(X, V, Y, n, transposed, sums, factors, -Y.dtype.type(np.inf))
        return
    V = V.swapaxes(2, 3) if transposed else V
    (Xr, Xi), (Vr, Vi) = (X[:, 0, :n], X[:, 1, :n]), (V[:, 0], V[:, 1])
    T = (Xr + Xi) @ Vr
    Y[:, 0, :n] = T - Xi @ (Vr + Vi)
    Y[:, 1, :n] = T + Xr @ (Vi - Vr)


def accumulate(X: Array, E: Array, G: Array, n: int, empty: Empty = aligned, begun: bool = True) -> None:
    """G += X^T E: the first n rows of X (F, 2, n or more, C) and E (F, 2, n or more, D), G (F, 2, C, D).

    G = it, if it has not begun.
    """
    if in_vectors(X, E):
        sums = [empty((n * array.shape[3],), X.dtype) for array in (X, E, E)]
        more = empty(G.shape[1:] if begun else (0, 0, 0), G.dtype)
        _accumulate(X, E, G, n, begun, *sums, more, -G.dtype.type(np.inf))
        return
    (Xr, Xi), (Er, Ei) = ((S[:, 0, :n], S[:, 1, :n]) for S in (X, E))
    XrT, XiT = Xr.swapaxes(1, 2), Xi.swapaxes(1, 2)
    T = (XrT + XiT) @ Er
    parts = T - XiT @ (Er + Ei), T + XrT @ (Ei - Er)
    for part, sum_of_part in enumerate(parts):
        G[:, part] = G[:, part] + sum_of_part if begun else sum_of_part


@jit
def _multiply(X, V, Y, n, transposed, sums, factors, none):
    F, _, rows, C = X.shape
    y_rows, D = Y.shape[2:]
    nothing = np.zeros(D, X.dtype)
    X, V, Y, both, B, zeros = pointer(X), pointer(V), pointer(Y), pointer(sums), pointer(factors), pointer(nothing)
    for f in range(F):
        real, re, v = 2 * f * rows * C, 2 * f * y_rows * D, 2 * f * C * D
        imaginary, im = real + rows * C, re + y_rows * D
        next_real, next_v = real + 2 * rows * C, v + 2 * C * D
        _factors(V, v, transposed, factors)
        _mix(ONE, X, real, ONE, X, imaginary, both, ZERO, n * C)
        product(both, ZERO, C, ONE, B, ZERO, D, zeros, ZERO, ZERO, Y, re, D, n, C, D, none, V, next_v, C * D)
        product(X, real, C, ONE, B, C * D, D, Y, re, D, Y, im, D, n, C, D, none, V, next_v + C * D, C * D)
        product(X, imaginary, C, ONE, B, 2 * C * D, D, Y, re, D, Y, re, D, n, C, D, none, X, next_real, 2 * n * C)
    keep_alive(nothing)


@jit
def _factors(V, at, transposed, factors):
    """factors (3, C, D) = Vr, Vi - Vr and -(Vr + Vi) of the matrix at V[at], or of its transpose."""
    _, C, D = factors.shape
    size, out = C * D, pointer(factors)
    if transposed:
        for d in range(D):
            for c in range(C):
                re, im = V[at + d * C + c], V[at + size + d * C + c]
                out[c * D + d], out[size + c * D + d], out[2 * size + c * D + d] = re, im - re, -(re + im)
    else:
        for i in range(0, size, LANES):
            store(out, i, load(V, at + i))
        _mix(ONE, V, at + size, MINUS, V, at, out, size, size)
        _mix(MINUS, V, at, MINUS, V, at + size, out, 2 * size, size)


@jit
def _accumulate(X, E, G, n, begun, x_sum, e_difference, e_sum, more, none):
    F, _, rows, C = X.shape
    e_rows, D = E.shape[2:]
    nothing = np.zeros(D, X.dtype)
    X, E, G, zeros = pointer(X), pointer(E), pointer(G), pointer(nothing)
    x_both, e_rest, e_both = pointer(x_sum), pointer(e_difference), pointer(e_sum)
    S = pointer(more) if begun else G
    for f in range(F):
        real, re, g = 2 * f * rows * C, 2 * f * e_rows * D, 2 * f * C * D
        imaginary, im = real + rows * C, re + e_rows * D
        next_real, next_re, next_im = real + 2 * rows * C, re + 2 * e_rows * D, im + 2 * e_rows * D
        _mix(ONE, X, real, ONE, X, imaginary, x_both, ZERO, n * C)
        _mix(ONE, E, im, MINUS, E, re, e_rest, ZERO, n * D)
        _mix(MINUS, E, re, MINUS, E, im, e_both, ZERO, n * D)
        s = 0 if begun else g
        product(x_both, ZERO, ONE, C, E, re, D, zeros, ZERO, ZERO, S, s, D, C, n, D, none, E, next_re, n * D)
        product(X, real, ONE, C, e_rest, ZERO, D, S, s, D, S, s + C * D, D, C, n, D, none, E, next_im, n * D)
        product(X, imaginary, ONE, C, e_both, ZERO, D, S, s, D, S, s, D, C, n, D, none, X, next_real, 2 * n * C)
        if begun:
            _mix(ONE, G, g, ONE, S, ZERO, G, g, 2 * C * D)
    keep_alive(nothing)


@jit
def _mix(p, A, a, q, B, b, C, c, count):
    """C = p A + q B, `count` numbers from the places a, b and c on; all whole vectors."""
    for i in range(0, count, LANES):
        store(C, c + i, p * load(A, a + i) + q * load(B, b + i))
