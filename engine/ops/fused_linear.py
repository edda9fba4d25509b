"""A chain of linear maps over rows, each with a ReLU or without: 1x1 convolutions, linear layers, windows of images.

    forward    y_l = relu(y_(l-1) W_l + b_l),  y_0 the rows of x      y_l (n, D_l), W_l (D_(l-1), D_l), b_l (D_l,)
    backward   g = dy_l [y_l > 0],  dW_l += y_(l-1)^T g,  db_l += the sum of g's rows,  dy_(l-1) = g W_l^T

The rows of x (N, H, W, C) are its windows of k x k pixels, Ho Wo an image (the patch matrix); for k = 1 they are the pixels.
W, b and relu are tuples, an element a map; dW and db likewise.

A block of rows goes through all maps before the next block begins, forward and backward: the activations between two maps stay
in the nearest caches, and the products of one block prefetch what the next one reads. Neither the gradients between maps nor
the windows ever exist as a whole; the backward pass lays the windows out again.

The backward pass is split into jobs with private accumulators so that idle threads can steal work (`Context.parallel_for`); they
are reduced in job order, so results do not depend on scheduling. The forward pass is divided by rows where several threads have
one chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from engine.codegen.gemm import MR_SIZES, even_block
from engine.context import Context
from engine.device import contiguous
from engine.kernels.cpu.fused_linear import BLOCK, PADDED_LENGTH, chain_backward, chain_forward
from engine.memory import Empty
from engine.typing import Array

Arrays = tuple[Array, ...]

MIN_JOB_ROWS = 32 * BLOCK  # a smaller job is not worth the transfer to another thread


class Window(NamedTuple):
    """k x k pixels, `stride` pixels from the next window, of an image with `padding` zeros around it."""

    kernel: int = 1
    stride: int = 1
    padding: int = 0


PIXEL = Window()


def forward_reference(P: Array, W: Arrays, b: Arrays, relu: tuple[bool, ...]) -> Arrays:
    """All y_l of rows P (n, D_0)."""
    ys = [P]
    for W_l, b_l, relu_l in zip(W, b, relu, strict=True):
        y = ys[-1] @ W_l + b_l
        ys.append(np.maximum(y, 0) if relu_l else y)
    return tuple(ys[1:])


def backward_reference(
    P: Array, W: Arrays, relu: tuple[bool, ...], ys: Arrays, dy: Array
) -> tuple[Array, Arrays, Arrays]:
    """dP (n, D_0), the dW_l and the db_l."""
    dW, db, g = [], [], dy
    for W_l, relu_l, y_below, y in zip(W[::-1], relu[::-1], (P, *ys)[-2::-1], ys[::-1], strict=True):
        g = g * (y > 0) if relu_l else g
        dW.append(y_below.T @ g)
        db.append(g.sum(axis=0))
        g = g @ W_l.T
    return g, tuple(dW[::-1]), tuple(db[::-1])


def forward(x: Array, window: Window, W: Arrays, b: Arrays, relu: tuple[bool, ...], y: Array, ctx: Context) -> Arrays:
    """Write the last y_l to y; return all y_l, or in inference (`ctx.needs_backward` is False) the last one only."""
    n = len(y)
    W, clip_min = tuple(map(contiguous, W)), tuple(x.dtype.type(0 if relu_l else -np.inf) for relu_l in relu)

    def outputs(rows: int) -> Arrays:
        return (*(ctx.empty((rows, W_l.shape[1]), x.dtype) for W_l in W[:-1]), y)

    kept = outputs(n) if ctx.needs_backward else ()
    jobs = []
    for begin, end in ctx.shares(n, n * sum(W_l.size for W_l in W), unit=MR_SIZES[0]):
        block = even_block(end - begin, BLOCK)
        P = ctx.empty((BLOCK if window != PIXEL else 0, len(W[0])), x.dtype)
        ys = kept or outputs(min(n, BLOCK))
        jobs.append(
            partial(chain_forward, x, *window, begin, end, block, P, len(ys), *map(_padded, (W, b, ys, clip_min)))
        )
    ctx.parallel_for(jobs)
    return kept or (y,)


def backward(
    x: Array,
    window: Window,
    W: Arrays,
    relu: tuple[bool, ...],
    ys: Arrays,
    dy: Array,
    dx: Array | None,
    dW: Arrays,
    db: Arrays,
    ctx: Context,
) -> None:
    """Add to dW and db and, unless it is None, write dx; the y_l of a map without a ReLU is not read.

    The first job adds to dW and db themselves.
    """
    if dx is not None and window != PIXEL:
        dx.fill(0)  # the gradients of the windows are added to it
    WT = tuple(ctx.empty(W_l.shape[::-1], x.dtype) for W_l in W)
    for transposed, W_l in zip(WT, W, strict=True):
        np.copyto(transposed, W_l.T)
    jobs: list[Callable[[], None]] = []
    private: list[Arrays] = []  # dW and db of every job but the first
    for images, rows in _job_slices(x, len(dy)):
        P = ctx.empty((BLOCK if window != PIXEL else 0, len(W[0])), x.dtype)
        g = tuple(ctx.empty((BLOCK, W_l.shape[1]), x.dtype) for W_l in W)
        own_dW, own_db = dW, db
        if jobs:
            own_dW, own_db = _zeros_like(dW, ctx.empty), _zeros_like(db, ctx.empty)
            private.append((*own_dW, *own_db))
        dx_images = (x if dx is None else dx)[images]
        chain = map(_padded, (tuple(y[rows] for y in ys), WT, own_dW, own_db, relu, g))
        jobs.append(
            partial(chain_backward, x[images], *window, P, dy[rows], dx_images, dx is not None, len(ys), *chain)
        )
    ctx.parallel_for(jobs)
    for sums in private:
        for total, part in zip((*dW, *db), sums, strict=True):
            total += part


def multiply(A: Array, B: Array, C: Array) -> None:
    """C = A B."""
    np.matmul(A, B, out=C)


def _padded(values: tuple) -> tuple:
    """The tuple with its last element repeated, up to a multiple of PADDED_LENGTH."""
    return values + values[-1:] * (-len(values) % PADDED_LENGTH)


def _job_slices(x: Array, n: int) -> Iterator[tuple[slice, slice]]:
    """Slices of x for the jobs, half of what is left each time: the last jobs are small, so that threads end together."""
    per_image, start = n // max(len(x), 1), 0
    least = -(-MIN_JOB_ROWS // max(per_image, 1))
    while start < len(x):
        left = len(x) - start
        stop = start + (left if left < 2 * least else -(-left // 2))
        yield slice(start, stop), slice(start * per_image, stop * per_image)
        start = stop


def _zeros_like(arrays: Arrays, empty: Empty) -> Arrays:
    zeros = tuple(empty(array.shape, array.dtype) for array in arrays)
    for array in zeros:
        array.fill(0)
    return zeros
