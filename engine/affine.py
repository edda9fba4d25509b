"""y = max(x W + b, 0), or without the ReLU, and its backward: what a linear layer and a convolution's patches have in common.

    forward    y = relu(x W + b)                                          x (n, C), W (C, D), b (D,), y (n, D)
    backward   g = dy [y > 0],  dx = g W^T,  dW += x^T g,  db += the sum of g's rows

In the backward pass a block of rows goes through all four at once: g of the block stays in the cache, and never exists as a
whole. Where D or C is no multiple of a vector's length (ten classes), or the arrays are views of a group's channels, the
products are the BLAS's.
"""

from __future__ import annotations

import numpy as np

from engine.context import Context, Empty
from engine.jit import jit
from engine.kernels.elementwise import bias_backward, bias_forward, bias_relu_backward, bias_relu_forward
from engine.simd import keep, pointer
from engine.tile import in_vectors, product

Array = np.ndarray
BLOCK = 96  # rows


def forward(x: Array, W: Array, b: Array, y: Array, relu: bool) -> None:
    """Write y."""
    if in_vectors(W, y) and x.flags.c_contiguous:
        _forward(x, W, b, y, y.dtype.type(0 if relu else -np.inf))
        return
    np.matmul(x, W, out=y)
    finish(y, b, relu)


def backward(
    x: Array, y: Array | None, dy: Array, W: Array, dx: Array | None, dW: Array, db: Array, ctx: Context
) -> None:
    """Add to dW and db and, unless it is None, write dx; y is the output if a ReLU made it, else None."""
    with ctx.scratch() as empty:
        whole = dx is None or in_vectors(dx)
        if whole and in_vectors(dW, dy) and x.flags.c_contiguous:
            WT = empty(W.shape[::-1], W.dtype)
            np.copyto(WT, W.T)
            g = empty((BLOCK, W.shape[1]), W.dtype)
            _backward(
                x, dy if y is None else y, dy, WT, x if dx is None else dx, dW, db, g, y is not None, dx is not None
            )
            return
        g = behind(y, dy, db, empty)
        dW += np.matmul(x.T, g, out=empty(W.shape, W.dtype))
        if dx is not None:
            np.matmul(g, W.T, out=dx)


def multiply(A: Array, B: Array, C: Array) -> None:
    """C = A B."""
    np.matmul(A, B, out=C)


def finish(y: Array, b: Array, relu: bool) -> None:
    """y (n, D) = y + b, through the ReLU if there is one."""
    (bias_relu_forward if relu else bias_forward)(y, b)


def behind(y: Array | None, dy: Array, db: Array, empty: Empty) -> Array:
    """g (n, D), dy itself where y is None (no ReLU); its rows are added to db."""
    if y is None:
        bias_backward(dy, db)
        return dy
    g = empty(dy.shape, dy.dtype)
    bias_relu_backward(y, dy, g, db)
    return g


@jit
def _forward(x, W, b, y, floor):
    (n, C), D = x.shape, W.shape[1]
    x, W, b, y = pointer(x), pointer(W), pointer(b), pointer(y)
    for r in range(0, n, BLOCK):
        product(x, r * C, C, 1, W, 0, D, b, 0, 0, y, r * D, D, min(BLOCK, n - r), C, D, floor)


@jit
def _backward(x, y, dy, WT, dx, dW, db, g, relu, need_dx):
    (n, C), D = x.shape, dy.shape[1]
    none = -x.dtype.type(np.inf)
    zeros = np.zeros(C, x.dtype)
    for r in range(0, n, BLOCK):
        m = min(BLOCK, n - r)
        rows = dy[r : r + m]
        if relu:
            bias_relu_backward(y[r : r + m], rows, g[:m], db)
            rows = g[:m]
        else:
            bias_backward(rows, db)
        if need_dx:
            product(
                pointer(rows), 0, D, 1, pointer(WT), 0, C, pointer(zeros), 0, 0, pointer(dx), r * C, C, m, D, C, none
            )
        to = pointer(dW)
        product(pointer(x), r * C, 1, C, pointer(rows), 0, D, to, 0, D, to, 0, D, C, m, D, none)
    keep(zeros)
