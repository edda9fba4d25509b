"""Linear maps over rows, a block of rows at a time through all of them; see engine.ops.fused_linear for the mathematics."""

import numpy as np

from engine.codegen.gemm import product
from engine.codegen.jit import ONE, ZERO, jit
from engine.codegen.simd import keep_alive, pointer
from engine.kernels.cpu.elementwise import bias_backward, bias_relu_backward
from engine.kernels.cpu.patches import patches_backward, patches_forward

BLOCK = 96  # rows
AT_ONCE = 3  # maps that a kernel takes; fewer are filled up, so that it is compiled once


@jit
def maps_forward(x, kernel, stride, padding, P, count, W, b, y, floor):
    """The first `count` y of x: P is room for a block's windows, without rows where they are pixels as they stand.

    A y with fewer rows than the last one has is room for a block; nobody keeps it.
    """
    n = len(y[count - 1])
    for r in range(0, n, BLOCK):
        m = min(BLOCK, n - r)
        width = W[0].shape[0]
        a, at, more = pointer(x), r * width, m * width  # so many of the next block are asked for
        if len(P) > 0:
            patches_forward(x, P[:m], r, kernel, stride, padding)
            a, at, more = pointer(P), 0, 0
        for depth in range(count):
            (K, D), kept = W[depth].shape, len(y[depth]) == n
            out, to = pointer(y[depth]), r * D if kept else 0
            product(
                a, at, K, ONE, pointer(W[depth]), ZERO, D, pointer(b[depth]), ZERO, ZERO, out, to, D,
                m, K, D, floor[depth], a, at + BLOCK * K, more,
            )  # fmt: skip
            a, at, more = out, to, m * D if kept else 0


@jit
def maps_backward(x, kernel, stride, padding, P, dy, dx, need_dx, count, y, WT, dW, db, relu, g):
    """Add to dW, db, and write dx, or for windows add to it: WT the transposed W, each g room for a block's gradients."""
    n, laid, none = len(dy), len(P) > 0, -x.dtype.type(np.inf)
    nothing = np.zeros(max([len(w) for w in dW]), x.dtype)
    zeros = pointer(nothing)
    for r in range(0, n, BLOCK):
        m = min(BLOCK, n - r)
        if laid:
            patches_forward(x, P[:m], r, kernel, stride, padding)
        d = dy[r : r + m]
        for up in range(count):
            depth = count - 1 - up
            K, D = dW[depth].shape
            if relu[depth]:
                bias_relu_backward(y[depth][r : r + m], d, g[depth][:m], db[depth])
                d = g[depth][:m]
            else:
                bias_backward(d, db[depth])
            if depth > 0:
                a, at, below, to = pointer(y[depth - 1]), r * K, pointer(g[depth - 1]), 0
            elif laid:
                a, at, below, to = pointer(P), 0, pointer(P), 0  # the windows' gradients take their place
            else:
                a, at, below, to = pointer(x), r * K, pointer(dx), r * K
            then, width = (pointer(dy), dy.shape[1]) if depth > 0 or laid else (pointer(x), K)
            sums = pointer(dW[depth])
            product(
                a, at, ONE, K, pointer(d), ZERO, D, sums, ZERO, D, sums, ZERO, D,
                K, m, D, none, pointer(y[depth]), (r + BLOCK) * D, m * D,
            )  # fmt: skip
            if depth > 0 or need_dx:
                product(
                    pointer(d), ZERO, D, ONE, pointer(WT[depth]), ZERO, K, zeros, ZERO, ZERO, below, to, K,
                    m, D, K, none, then, (r + BLOCK) * width, m * width,
                )  # fmt: skip
            if depth > 0:
                d = g[depth - 1][:m]
            elif laid and need_dx:
                patches_backward(P[:m], dx, r, kernel, stride, padding)
    keep_alive(nothing)
