"""A chain of linear maps over rows, each with a ReLU or without: 1x1 convolutions, linear layers, windows of images.

    forward    y_l = relu(y_(l-1) W_l + b_l),  y_0 the rows of x      y_l (n, D_l), W_l (D_(l-1), D_l), b_l (D_l,)
    backward   g = dy_l [y_l > 0],  dW_l += y_(l-1)^T g,  db_l += the sum of g's rows,  dy_(l-1) = g W_l^T

The rows of x (N, H, W, C) are its windows of k x k pixels, Ho Wo an image (the patch matrix); for k = 1 they are the pixels.
W, b and relu are tuples, an element a map; dW and db likewise.

A block of rows goes through all maps before the next block begins, forward and backward: the activations between two maps stay
in the nearest caches, and the products of one block prefetch what the next one reads. Neither the gradients between maps nor
the windows ever exist as a whole; the backward pass lays the windows out again. Where arrays are
views of a group's channels, the products are the BLAS's, some images at a time.

The backward pass is split into jobs with private accumulators so that idle threads can steal work (`Context.parallel_for`); they
are reduced in job order, so results do not depend on scheduling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from engine.context import Context
from engine.kernels.cpu.elementwise import bias_backward, bias_forward, bias_relu_backward, bias_relu_forward
from engine.kernels.cpu.fused_linear import BLOCK, PADDED_LENGTH, chain_backward, chain_forward
from engine.kernels.cpu.patches import patches_backward, patches_forward
from engine.memory import Empty
from engine.typing import Array

Arrays = tuple[Array, ...]

MIN_JOB_ROWS = 32 * BLOCK  # a smaller job is not worth the transfer to another thread
MAX_PATCH_ELEMENTS = 2**20  # of the patch matrix that the BLAS gets at a time


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
    n, fast = len(y), _are_contiguous(x, *W, y)
    rows_kept = n if ctx.needs_backward or not fast else min(n, BLOCK)
    ys = (*(ctx.empty((rows_kept, W_l.shape[1]), x.dtype) for W_l in W[:-1]), y)
    if fast:
        P = ctx.empty((BLOCK if window != PIXEL else 0, len(W[0])), x.dtype)
        clip_min = tuple(x.dtype.type(0 if relu_l else -np.inf) for relu_l in relu)
        chain_forward(x, *window, P, len(ys), *map(_padded, (W, b, ys, clip_min)))
    else:
        for images, rows in _image_slices(x, window, n, len(W[0])):
            a = _patch_rows(x[images], window, n // len(x), ctx.empty)
            for W_l, b_l, relu_l, y_l in zip(W, b, relu, ys, strict=True):
                a = np.matmul(a, W_l, out=y_l[rows])
                (bias_relu_forward if relu_l else bias_forward)(a, b_l)
            del a  # or it would live on until that of the next images exists
    return ys if ctx.needs_backward else ys[-1:]


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
    """Add to dW and db and, unless it is None, write dx; the y_l of a map without a ReLU is not read."""
    if dx is not None and window != PIXEL:
        dx.fill(0)  # the gradients of the windows are added to it
    if _are_contiguous(x, *W, dy):
        _backward_in_jobs(x, window, W, relu, ys, dy, dx, dW, db, ctx)
        return
    db_sums = tuple(np.zeros(len(b)) for b in db)  # float64, so that the number of slices does not matter
    for images, rows in _image_slices(x, window, len(dy), len(W[0])):
        P, d = _patch_rows(x[images], window, len(dy) // len(x), ctx.empty), dy[rows]
        for i in reversed(range(len(ys))):
            a = ys[i - 1][rows] if i else P
            d = _relu_backward(ys[i][rows], d, db_sums[i], ctx.empty) if relu[i] else _bias_backward(d, db_sums[i])
            dW[i][...] += np.matmul(a.T, d, out=ctx.empty(W[i].shape, x.dtype))
            if i:
                d = np.matmul(d, W[i].T, out=ctx.empty(a.shape, x.dtype))
        if dx is not None:
            dP = np.matmul(d, W[0].T, out=dx[images].reshape(P.shape) if window == PIXEL else P)
            if window != PIXEL:
                patches_backward(dP, dx[images], 0, *window)
            del dP
        del P, a, d  # or they would live on until those of the next images exist
    for total, part in zip(db, db_sums, strict=True):
        total += part


def _backward_in_jobs(
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
    """`backward` by the compiled kernel; the first job adds to dW and db themselves."""
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


def _are_contiguous(*arrays: Array) -> bool:
    return all(array.flags.c_contiguous for array in arrays)


def _padded(values: tuple) -> tuple:
    """The tuple with its last element repeated, up to a multiple of PADDED_LENGTH."""
    return values + values[-1:] * (-len(values) % PADDED_LENGTH)


def _image_slices(x: Array, window: Window, n: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Slices of x whose patch matrices have at most MAX_PATCH_ELEMENTS, and of their rows among all n."""
    per_image = n // max(len(x), 1)
    count = max(1, len(x) if window == PIXEL else MAX_PATCH_ELEMENTS // max(1, per_image * width))
    for start in range(0, len(x), count):
        yield _slices(start, min(start + count, len(x)), per_image)


def _job_slices(x: Array, n: int) -> Iterator[tuple[slice, slice]]:
    """Slices of x for the jobs, half of what is left each time: the last jobs are small, so that threads end together."""
    per_image, start = n // max(len(x), 1), 0
    least = -(-MIN_JOB_ROWS // max(per_image, 1))
    while start < len(x):
        left = len(x) - start
        stop = start + (left if left < 2 * least else -(-left // 2))
        yield _slices(start, stop, per_image)
        start = stop


def _slices(start: int, stop: int, per_image: int) -> tuple[slice, slice]:
    return slice(start, stop), slice(start * per_image, stop * per_image)


def _zeros_like(arrays: Arrays, empty: Empty) -> Arrays:
    zeros = tuple(empty(array.shape, array.dtype) for array in arrays)
    for array in zeros:
        array.fill(0)
    return zeros


def _patch_rows(x: Array, window: Window, per_image: int, empty: Empty) -> Array:
    """The rows of these images, `per_image` each."""
    C = x.shape[-1]
    if window == PIXEL:
        return x.reshape(-1, C)
    P = empty((len(x) * per_image, window.kernel**2 * C), x.dtype)
    patches_forward(x, P, 0, *window)
    return P


def _bias_backward(dy: Array, db: Array) -> Array:
    """The gradient in front of the bias, dy itself; its rows are added to db."""
    bias_backward(dy, db)
    return dy


def _relu_backward(y: Array, dy: Array, db: Array, empty: Empty) -> Array:
    """g = dy [y > 0], the gradient in front of bias and ReLU; its rows are added to db."""
    g = empty(dy.shape, dy.dtype)
    bias_relu_backward(y, dy, g, db)
    return g
