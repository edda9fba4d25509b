"""Element by element: ReLU, dropout, and the bias that a matrix product is given."""

import numpy as np

from engine.jit import jit
from engine.key import philox

_ZERO = np.uint64(0)


@jit
def relu(x):
    """max(x, 0); a NaN stays a NaN, so that it is noticed downstream."""
    return x if not x <= 0 else 0


@jit
def relu_gradient(y, dy):
    """dy where y > 0, else 0: the derivative at the kink is taken as 0."""
    return dy if y > 0 else 0


@jit
def relu_forward(x, y):
    """y = max(x, 0), all (n,)."""
    for i in range(x.size):
        y[i] = relu(x[i])


@jit
def relu_backward(y, dy, dx):
    """dx = dy [y > 0], all (n,)."""
    for i in range(y.size):
        dx[i] = relu_gradient(y[i], dy[i])


@jit
def bias_forward(y, b):
    """y (rows, C) += b (C,)."""
    for r in range(y.shape[0]):
        for c in range(y.shape[1]):
            y[r, c] += b[c]


@jit
def bias_backward(dy, db):
    """db (C,) += the column sums of dy (rows, C), four rows at a time: a shorter chain of roundings."""
    rows = dy.shape[0]
    whole = rows - rows % 4
    for r in range(0, whole, 4):
        for c in range(dy.shape[1]):
            db[c] += (dy[r, c] + dy[r + 1, c]) + (dy[r + 2, c] + dy[r + 3, c])
    for r in range(whole, rows):
        for c in range(dy.shape[1]):
            db[c] += dy[r, c]


@jit
def dropout_forward(x, y, mask, threshold, scale, first, k0, k1):
    """y = x * scale where the element's random word reaches `threshold`, else 0; x, y, mask (N, n).

    Element e of the batch's sample s uses word e % 4 of philox at counter (e // 4, s), so chunks do not matter.
    """
    samples, n = x.shape
    for s in range(samples):
        for block in range((n + 3) // 4):
            words = philox(np.uint64(block), np.uint64(first + s), _ZERO, _ZERO, k0, k1)
            e = 4 * block
            if e + 4 <= n:
                for i in range(4):
                    mask[s, e + i] = words[i] >= threshold
            else:
                for i in range(n - e):
                    mask[s, e + i] = words[i] >= threshold
        for e in range(n):
            y[s, e] = x[s, e] * (scale * mask[s, e])


@jit
def dropout_backward(dy, mask, scale, dx):
    """dx = dy * scale * mask, all (n,)."""
    for i in range(dy.size):
        dx[i] = dy[i] * (scale * mask[i])
