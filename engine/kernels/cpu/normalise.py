"""Normalisation of rows: local response normalisation across channels, and vectors of length 1.

The former is compiled without fast mathematics, in which 1 / sqrt(infinity) need not be 0.
"""

import math

import numpy as np

from engine.codegen.jit import exact, jit


@exact
def inverse_power(s, beta):
    """s^-beta, of a positive s; at 3/4 by square roots, which are several times as fast."""
    if beta == 0.75:
        return type(s)(1) / math.sqrt(s * math.sqrt(s))
    return s**-beta


@exact
def ds_of(x, s, dy, beta):
    """-beta dy x s^(-beta - 1): the gradient of s."""
    return -beta * dy * x * (inverse_power(s, beta) / s)


@jit
def divided(value, r):
    """value / r, and 0 where r is 0: a vector of length 0 has no direction."""
    return type(value)(value / r) if r != 0 else type(value)(0)


@exact
def sums_of_windows(padded, size, sums):
    """sums_c = padded_c + ... + padded_(c + size - 1); sums (C,), padded (C + size - 1,). Loops over c become vectors."""
    for c in range(sums.size):
        sums[c] = padded[c]
    for j in range(1, size):
        for c in range(sums.size):
            sums[c] += padded[c + j]


@exact
def lrn_forward(x, y, s, size, alpha, beta, k):
    """s_c = k + alpha (sum of x_j^2 over the `size` channels around c), y_c = x_c s_c^-beta; x, y, s (rows, C).

    `alpha` is already divided by `size`. The squares have zeros on both sides, so that no sum is clipped. s may be None: it is
    for the backward pass.
    """
    rows, C = x.shape
    half, sums = size // 2, np.empty(C, x.dtype)
    squares = np.zeros(C + 2 * half, x.dtype)
    for r in range(rows):
        for c in range(C):
            squares[half + c] = x[r, c] * x[r, c]
        sums_of_windows(squares, size, sums)
        for c in range(C):
            sums[c] = k + alpha * sums[c]
        if s is not None:
            for c in range(C):
                s[r, c] = sums[c]
        for c in range(C):
            y[r, c] = x[r, c] * inverse_power(sums[c], beta)


@exact
def lrn_backward(x, s, dy, dx, size, alpha, beta):
    """dx_c = dy_c s_c^-beta + 2 alpha x_c (sum of ds_j over the `size` channels around c); all (rows, C)."""
    rows, C = x.shape
    half, sums = size // 2, np.empty(C, x.dtype)
    ds = np.zeros(C + 2 * half, x.dtype)
    for r in range(rows):
        for c in range(C):
            ds[half + c] = ds_of(x[r, c], s[r, c], dy[r, c], beta)
        sums_of_windows(ds, size, sums)
        for c in range(C):
            dx[r, c] = dy[r, c] * inverse_power(s[r, c], beta) + (alpha + alpha) * x[r, c] * sums[c]


@jit
def l2_forward(x, y, r):
    """r (rows,) float64 = |x|, y = x / r, and 0 where r is 0; x, y (rows, C)."""
    rows, C = x.shape
    for i in range(rows):
        total = np.float64(0)
        for c in range(C):
            total += np.float64(x[i, c]) * np.float64(x[i, c])
        r[i] = math.sqrt(total)
        for c in range(C):
            y[i, c] = divided(x[i, c], r[i])


@jit
def l2_backward(y, r, dy, dx):
    """dx = (dy - y (y . dy)) / r, and 0 where r is 0; y, dy, dx (rows, C), r (rows,)."""
    rows, C = y.shape
    for i in range(rows):
        along = np.float64(0)
        for c in range(C):
            along += np.float64(y[i, c]) * np.float64(dy[i, c])
        for c in range(C):
            dx[i, c] = divided(dy[i, c] - y[i, c] * along, r[i])
