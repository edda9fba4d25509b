"""A chain of linear maps, a block of rows at a time through all of them; see engine.ops.fused_linear for the mathematics."""

import numpy as np

from engine.codegen.gemm import gemm
from engine.codegen.jit import ONE, ZERO, jit
from engine.codegen.pointers import keep_alive, pointer
from engine.kernels.cpu.elementwise import bias_backward, bias_relu_backward
from engine.kernels.cpu.patches import patches_backward, patches_forward

BLOCK = 96  # rows
BLOCKS_OF_A_SUM = 64  # their products are added up by themselves: one chain of roundings over all would be too long
PADDED_LENGTH = 3  # of the tuples, or a multiple: a kernel is compiled for the length of a tuple


@jit
def chain_forward(x, kernel, stride, padding, begin, end, block, P, depth, W, b, y, clip_min):
    """Rows begin .. end - 1 of the outputs y of the first `depth` maps, in blocks of so many rows.

    P is scratch for a block's windows, without rows for 1x1 windows. A y that has fewer rows than the last is scratch for a
    block, and is overwritten by the next one.
    """
    n = len(y[depth - 1])
    for r in range(begin, end, block):
        m = min(block, end - r)
        K = W[0].shape[0]
        A, a, prefetch_length = pointer(x), r * K, m * K
        if len(P) > 0:
            patches_forward(x, P[:m], r, kernel, stride, padding)
            A, a, prefetch_length = pointer(P), 0, 0
        for i in range(depth):
            (K, D), kept = W[i].shape, len(y[i]) == n
            C, c = pointer(y[i]), r * D if kept else 0
            gemm(
                A, a, K, ONE, pointer(W[i]), ZERO, D, pointer(b[i]), ZERO, ZERO, C, c, D,
                m, D, K, clip_min[i], A, a + block * K, prefetch_length,
            )  # fmt: skip
            A, a, prefetch_length = C, c, m * D if kept else 0


@jit
def chain_backward(x, kernel, stride, padding, P, dy, dx, need_dx, depth, y, WT, dW, db, relu, g):
    """Add to dW and db, and write dx (for windows, add to it): WT the transposed W, each g scratch for a block's gradients.

    db is summed in float64 over the blocks; dW in float32, 64 blocks at a time where there are more.
    """
    n, has_windows, neg_inf = len(dy), len(P) > 0, -x.dtype.type(np.inf)
    zero_bias = np.zeros(max([len(w) for w in dW]), x.dtype)
    zeros, db_sums = pointer(zero_bias), np.zeros((depth, max([w.shape[1] for w in dW])))
    is_long = n > BLOCKS_OF_A_SUM * BLOCK
    dW_sums = np.zeros(sum([dW[i].size for i in range(depth)]) if is_long else 0, x.dtype)
    for r in range(0, n, BLOCK):
        m = min(BLOCK, n - r)
        if has_windows:
            patches_forward(x, P[:m], r, kernel, stride, padding)
        d, first = dy[r : r + m], 0
        for above in range(depth):
            i = depth - 1 - above
            K, D = dW[i].shape
            if relu[i]:
                bias_relu_backward(y[i][r : r + m], d, g[i][:m], db_sums[i, :D])
                d = g[i][:m]
            else:
                bias_backward(d, db_sums[i, :D])
            if i > 0:
                A, a, dA, da = pointer(y[i - 1]), r * K, pointer(g[i - 1]), 0
            elif has_windows:
                A, a, dA, da = pointer(P), 0, pointer(P), 0  # the windows are overwritten by their gradients
            else:
                A, a, dA, da = pointer(x), r * K, pointer(dx), r * K
            ahead, width = (pointer(dy), dy.shape[1]) if i > 0 or has_windows else (pointer(x), K)  # of the next block
            sums = pointer(dW_sums) if is_long else pointer(dW[i])
            gemm(  # dW += A^T d
                A, a, ONE, K, pointer(d), ZERO, D, sums, first, D, sums, first, D,
                K, D, m, neg_inf, pointer(y[i]), (r + BLOCK) * D, m * D,
            )  # fmt: skip
            if i > 0 or need_dx:
                gemm(  # dA = d W^T
                    pointer(d), ZERO, D, ONE, pointer(WT[i]), ZERO, K, zeros, ZERO, ZERO, dA, da, K,
                    m, K, D, neg_inf, ahead, (r + BLOCK) * width, m * width,
                )  # fmt: skip
            if i > 0:
                d = g[i - 1][:m]
            elif has_windows and need_dx:
                patches_backward(P[:m], dx, r, kernel, stride, padding)
            if is_long:
                first += K * D
        if is_long and (r // BLOCK % BLOCKS_OF_A_SUM == BLOCKS_OF_A_SUM - 1 or r + m == n):
            first = 0
            for above in range(depth):
                w = dW[depth - 1 - above]
                w += dW_sums[first : first + w.size].reshape(w.shape)
                first += w.size
            dW_sums.fill(0)
    for i in range(depth):
        for c in range(len(db[i])):
            db[i][c] += db_sums[i, c]
    keep_alive(zero_bias)
    keep_alive(dW_sums)
