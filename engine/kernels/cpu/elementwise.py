"""Element by element: ReLU, dropout, and the bias of a matrix product."""

import numpy as np

from engine.codegen.jit import jit
from engine.codegen.pointers import keep_alive, load_partial, pointer, store_partial
from engine.codegen.simd import LANES, select_gt, zeros_like
from engine.random import philox_in_lanes

ROWS_PER_SUM = 64  # of a partial column sum
_HALF, _SHIFT = np.uint64(0xFFFF), np.uint64(16)


@jit
def relu(x):
    """max(x, 0); a NaN stays a NaN, so that it shows downstream."""
    return x if not x <= 0 else type(x)(0)


@jit
def relu_gradient(y, dy):
    """dy where y > 0, else 0: the derivative at the kink is taken as 0."""
    return dy if y > 0 else type(dy)(0)


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
def bias_backward(dy, db):
    """db (C,) float64 += the column sums of dy (rows, C), as partial sums of ROWS_PER_SUM rows in dy's precision.

    So chains of roundings are short, whatever the number of rows.
    """
    rows, C = dy.shape
    sums = np.empty(C, dy.dtype)
    dy_at, sums_at = pointer(dy), pointer(sums)
    for first in range(0, rows, ROWS_PER_SUM):
        sums.fill(0)
        for r in range(first, min(first + ROWS_PER_SUM, rows)):
            for c in range(0, C, LANES):
                total = load_partial(sums_at, c, C - c) + load_partial(dy_at, r * C + c, C - c)
                store_partial(sums_at, c, total, C - c)
        db += sums


@jit
def bias_relu_backward(y, dy, dx, db):
    """dx = dy [y > 0], all (rows, C), and db += its column sums: `relu_backward` and `bias_backward` in one pass.

    Memory is read in order, and the partial sums stay in the nearest cache.
    """
    rows, C = dy.shape
    sums = np.empty(C, dy.dtype)
    y_at, dy_at, dx_at, sums_at = pointer(y), pointer(dy), pointer(dx), pointer(sums)
    for first in range(0, rows, ROWS_PER_SUM):
        sums.fill(0)
        for r in range(first, min(first + ROWS_PER_SUM, rows)):
            for c in range(0, C, LANES):
                at, count, total = r * C + c, C - c, load_partial(sums_at, c, C - c)
                zero = zeros_like(total)
                d = select_gt(load_partial(y_at, at, count), zero, load_partial(dy_at, at, count), zero)
                store_partial(dx_at, at, d, count)
                store_partial(sums_at, c, total + d, count)
        db += sums


@jit
def half_word(words, e):
    """16 of 128 random bits: the low half of word e, or from e = 4 on the high half of word e - 4."""
    return words[e] & _HALF if e < 4 else words[e - 4] >> _SHIFT


@jit
def dropout_forward(x, y, mask, threshold, scale, first_sample, k0, k1):
    """y = x * scale where the element's random number reaches `threshold` (of 2^16), else 0; x, y, mask (N, n).

    Element e of the batch's sample s uses 16 bits of philox at counter (e // 8, s), the half word e % 8, so the result does not
    depend on how a batch is cut into chunks; `first_sample` is the index of x[0] in the batch.
    """
    samples, n = x.shape
    words, kept = np.empty((4, LANES), np.uint64), np.empty(8 * LANES, np.uint8)
    for s in range(samples):
        for start in range(0, n, len(kept)):
            philox_in_lanes(pointer(words), np.uint64(start // 8), np.uint64(first_sample + s), k0, k1)
            for lane in range(LANES):
                for e in range(8):
                    kept[8 * lane + e] = half_word(words[:, lane], e) >= threshold
            for e in range(start, min(start + len(kept), n)):
                mask[s, e] = kept[e - start]
        for e in range(n):
            y[s, e] = x[s, e] * (scale * mask[s, e])
    keep_alive(words)


@jit
def dropout_backward(dy, mask, scale, dx):
    """dx = dy * scale * mask, all (n,)."""
    for i in range(dy.size):
        dx[i] = dy[i] * (scale * mask[i])
