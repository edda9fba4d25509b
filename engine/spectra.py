"""Products of spectra: for every frequency a product of complex matrices, made of three real ones.

With X = Xr + i Xi and V = Vr + i Vi (Gauss's three products for four):

    T = (Xr + Xi) Vr,    Re X V = T - Xi (Vr + Vi),    Im X V = T + Xr (Vi - Vr)

so a factor on the right is kept as the three planes (Vr, Vi - Vr, -(Vr + Vi)), and X, and the product, as two. The other product,
X^T E, which is the gradient of V, is summed over many calls, and therefore kept in three parts until the end:

    G0 = (Xr + Xi)^T Er,   G1 = Xr^T (Ei - Er),   G2 = Xi^T (Er + Ei);   Re X^T E = G0 - G2,   Im X^T E = G0 + G1
"""

import numpy as np

from .jit import NO, ONE, ZERO, jit
from .memory import Empty, aligned
from .simd import LANES, keep, load, pointer, store
from .tile import in_vectors, product

Array = np.ndarray


def multiply(X: Array, V: Array, Y: Array, n: int, empty: Empty = aligned, *, transposed: bool = False) -> None:
    """Y = X V: the first n rows of X (F, 2, n or more, C), V (F, 3, C, D) in its three planes, Y (F, 2, n or more, D).

    `transposed` takes V', of V (F, 3, D, C).
    """
    if in_vectors(X, Y):
        C, D = X.shape[3], Y.shape[3]
        sums, turned = empty((n * C,), X.dtype), empty((3 if transposed else 0, C, D), X.dtype)
        _multiply(X, V, Y, n, transposed, sums, turned, -Y.dtype.type(np.inf))
        return
    V = V.swapaxes(2, 3) if transposed else V
    real, imaginary = X[:, 0, :n], X[:, 1, :n]
    T = (real + imaginary) @ V[:, 0]
    Y[:, 0, :n] = T + imaginary @ V[:, 2]
    Y[:, 1, :n] = T + real @ V[:, 1]


def accumulate(X: Array, E: Array, G: Array, n: int, empty: Empty = aligned, begun: bool = True) -> None:
    """G += the three parts of X^T E: the first n rows of X (F, 2, n or more, C) and E (F, 2, n or more, D), G (F, 3, C, D).

    G = them, if it has not begun.
    """
    if in_vectors(X, E):
        sums = [empty((n * array.shape[3],), X.dtype) for array in (X, E, E)]
        _accumulate(X, E, G, n, begun, *sums, -G.dtype.type(np.inf))
        return
    if not begun:
        G.fill(0)
    (Xr, Xi), (Er, Ei) = ((S[:, 0, :n], S[:, 1, :n]) for S in (X, E))
    for part, (A, B) in enumerate(((Xr + Xi, Er), (Xr, Ei - Er), (Xi, Er + Ei))):
        G[:, part] += A.swapaxes(1, 2) @ B


@jit
def _multiply(X, V, Y, n, transposed, sums, turned, none):
    F, _, rows, C = X.shape
    y_rows, D = Y.shape[2:]
    nothing = np.zeros(D, X.dtype)
    X, spectrum, Y, both, zeros = pointer(X), pointer(V), pointer(Y), pointer(sums), pointer(nothing)
    fresh = not transposed
    for f in range(F):
        real, re, v = 2 * f * rows * C, 2 * f * y_rows * D, 3 * f * C * D
        imaginary, im = real + rows * C, re + y_rows * D
        V = spectrum
        if transposed:  # a frequency's matrices fit in a cache
            _turn(spectrum, v, turned)
            V, v = pointer(turned), 0
        _add(X, real, 1, X, imaginary, both, n * C)
        product(both, ZERO, C, ONE, V, v, D, zeros, ZERO, ZERO, Y, re, D, n, C, D, none, fresh)
        product(X, real, C, ONE, V, v + C * D, D, Y, re, D, Y, im, D, n, C, D, none, fresh)
        product(X, imaginary, C, ONE, V, v + 2 * C * D, D, Y, re, D, Y, re, D, n, C, D, none, fresh)
    keep(nothing)


@jit
def _turn(source, at, target):
    """target (P, C, D) = the P matrices (D, C) that begin at source[at], transposed."""
    P, C, D = target.shape
    for p in range(P):
        for d in range(D):
            for c in range(C):
                target[p, c, d] = source[at + (p * D + d) * C + c]


@jit
def _accumulate(X, E, G, n, begun, x_sum, e_sum, e_difference, none):
    F, _, rows, C = X.shape
    e_rows, D = E.shape[2:]
    nothing = np.zeros(D, X.dtype)
    X, E, G = pointer(X), pointer(E), pointer(G)
    Z, z_step = (G, D) if begun else (pointer(nothing), 0)  # where the sums begin
    x_both, e_both, e_rest = pointer(x_sum), pointer(e_sum), pointer(e_difference)
    for f in range(F):
        real, re, g = 2 * f * rows * C, 2 * f * e_rows * D, 3 * f * C * D
        imaginary, im = real + rows * C, re + e_rows * D
        _add(X, real, 1, X, imaginary, x_both, n * C)
        _add(E, re, 1, E, im, e_both, n * D)
        _add(E, re, -1, E, im, e_rest, n * D)
        z, hop = (g, C * D) if begun else (0, 0)
        product(x_both, ZERO, ONE, C, E, re, D, Z, z, z_step, G, g, D, C, n, D, none, NO)
        product(X, real, ONE, C, e_rest, ZERO, D, Z, z + hop, z_step, G, g + C * D, D, C, n, D, none, NO)
        product(X, imaginary, ONE, C, e_both, ZERO, D, Z, z + 2 * hop, z_step, G, g + 2 * C * D, D, C, n, D, none, NO)
    keep(nothing)


@jit
def _add(A, a, sign, B, b, C, count):
    """C = sign A + B, `count` numbers from the places a, b and 0 on; all whole vectors."""
    for i in range(0, count, LANES):
        store(C, i, sign * load(A, a + i) + load(B, b + i))
