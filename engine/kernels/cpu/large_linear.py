"""A linear map whose weights are larger than the caches: W is read once, in the order in which it lies in memory.

x (n, C), W (C, D), y (n, D); CPU only. See engine.ops.large_linear.
"""

import numpy as np

from engine.codegen.gemm import MAX_NR, MR_SIZES, gemm
from engine.codegen.jit import ONE, ZERO, jit
from engine.codegen.pointers import keep_alive, pointer, prefetch
from engine.codegen.simd import LANES, LINE

PANEL = LANES * MAX_NR  # columns of a panel
FEW = MR_SIZES[0]  # rows of x, at most, that one micro-tile takes: it alone reads a panel
ROWS = 48  # of W in a block of the backward pass


@jit
def large_forward(x, W, b, y, begin, end, block):
    """Columns begin .. end - 1 of y = x W + b: a block of so many rows of W at a time is multiplied and added to y.

    With each panel of a block, as much of the next block is prefetched.
    """
    (n, C), D = x.shape, W.shape[1]
    neg_inf, A, B, Y = -x.dtype.type(np.inf), pointer(x), pointer(W), pointer(y)
    for first in range(0, C, block):
        depth, following = min(block, C - first), first + block
        for column in range(begin, end, PANEL):
            start, length = following * D + (column - begin) * block, block * PANEL
            if n <= FEW:  # too little is computed to spread them over
                length = 0
                for row in range(following, min(following + block, C)):
                    for line in range(0, PANEL, LINE):
                        prefetch(B, row * D + column + line)
            Z, z, ldz = (pointer(b), column, ZERO) if first == 0 else (Y, column, D)
            gemm(
                A, first, C, ONE, B, first * D + column, D, Z, z, ldz, Y, column, D,
                n, min(PANEL, end - column), depth, neg_inf, B, start, length,
            )  # fmt: skip


@jit
def large_input_gradient(dy, W, dx, dyT, dxT):
    """dx = dy W^T, as dx^T = W dy^T: the rows of W are read in order.

    dyT (D, n') and dxT (ROWS, n') are scratch, n' whole vectors.
    """
    (n, D), C, wide = dy.shape, len(W), dyT.shape[1]
    neg_inf, zero_bias = -dy.dtype.type(np.inf), np.zeros(wide, dy.dtype)
    zeros = pointer(zero_bias)
    for d in range(D):
        for i in range(n):
            dyT[d, i] = dy[i, d]
        for i in range(n, wide):
            dyT[d, i] = 0
    for first in range(0, C, ROWS):
        m = min(ROWS, C - first)
        gemm(
            pointer(W), first * D, D, ONE, pointer(dyT), ZERO, wide, zeros, ZERO, ZERO, pointer(dxT), ZERO, wide,
            m, wide, D, neg_inf, pointer(W), (first + ROWS) * D, ROWS * D,
        )  # fmt: skip
        for i in range(n):
            for r in range(m):
                dx[i, first + r] = dxT[r, i]
    keep_alive(zero_bias)


@jit
def large_weight_gradient(x, dy, dW, begin, end, overwrite):
    """The rows begin .. end - 1 of dW (C, D) += x^T dy, or with `overwrite` dW = x^T dy."""
    (n, C), D = x.shape, dy.shape[1]
    neg_inf, zero_bias = -dy.dtype.type(np.inf), np.zeros(D, dy.dtype)
    zeros = pointer(zero_bias)
    for first in range(begin, end, ROWS):
        Z, z, ldz = (zeros, 0, ZERO) if overwrite else (pointer(dW), first * D, D)
        gemm(
            pointer(x), first, ONE, C, pointer(dy), ZERO, D, Z, z, ldz, pointer(dW), first * D, D,
            min(ROWS, end - first), D, n, neg_inf, pointer(dW), ZERO, ZERO,
        )  # fmt: skip
    keep_alive(zero_bias)
