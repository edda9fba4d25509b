"""One linear map after another over rows, each with its ReLU or without: 1x1 convolutions, linear layers, windows of images.

    forward    y_l = relu(y_(l-1) W_l + b_l),  y_0 the rows of x      y_l (n, D_l), W_l (D_(l-1), D_l), b_l (D_l,)
    backward   g = dy_l [y_l > 0],  dW_l += y_(l-1)^T g,  db_l += the sum of g's rows,  dy_(l-1) = g W_l^T

The rows of x (N, H, W, C) are its windows of k x k pixels, Ho Wo an image; for k = 1 they are the pixels as they stand.

A block of rows goes through all maps, and back through all of them, before the next block begins: what lies between two maps
is in the nearest caches when it is needed, and the products of this block ask for what the next one reads. Gradients between
maps never exist as a whole, and neither do the windows, which are laid out again on the way back. Where a map's columns do
not fill vectors (ten classes), or the arrays are views of a group's channels, the products are the BLAS's, some images at a
time.

The way back is cut into parts that have sums of their own, so that a thread without work can take some from another
(`Context.together`). The sums are added up in the order of the parts, whoever made them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from engine.codegen.gemm import in_vectors
from engine.codegen.simd import LANES
from engine.context import Context
from engine.kernels.cpu.elementwise import bias_backward, bias_forward, bias_relu_backward, bias_relu_forward
from engine.kernels.cpu.fused_linear import AT_ONCE, BLOCK, maps_backward, maps_forward
from engine.kernels.cpu.patches import patches_backward, patches_forward
from engine.memory import Empty
from engine.typing import Array

LEAST = 32 * BLOCK  # rows that a thread takes from another, so that the way there is worth it
AT_A_TIME = 2**20  # numbers in the windows that the BLAS gets


class Window(NamedTuple):
    """k x k pixels, `stride` pixels from the next window, of an image with `padding` zeros around it."""

    kernel: int = 1
    stride: int = 1
    padding: int = 0


PIXEL = Window()


class Maps(NamedTuple):
    """Of every map W_l, b_l and whether a ReLU follows; or the gradients of W_l and b_l."""

    W: tuple[Array, ...]
    b: tuple[Array, ...]
    relu: tuple[bool, ...] = ()


def forward(x: Array, window: Window, maps: Maps, y: Array, ctx: Context) -> tuple[Array, ...]:
    """Write the last y_l to y; return all y_l, or where no backward follows (`ctx.needs_backward`) the last one."""
    n, fast = len(y), in_vectors(*maps.W, y) and x.flags.c_contiguous
    height = n if ctx.needs_backward or not fast else min(n, BLOCK)
    ys = (*(ctx.empty((height, W.shape[1]), x.dtype) for W in maps.W[:-1]), y)
    if fast:
        P = ctx.empty((BLOCK if window != PIXEL else 0, len(maps.W[0])), x.dtype)
        floors = tuple(x.dtype.type(0 if relu else -np.inf) for relu in maps.relu)
        maps_forward(x, *window, P, len(ys), *map(_filled, (maps.W, maps.b, ys, floors)))
    else:
        for images, rows in _parts(x, window, n, len(maps.W[0])):
            a = _rows(x[images], window, n // len(x), ctx.empty)
            for W, b, relu, y_l in zip(*maps, ys, strict=True):
                a = np.matmul(a, W, out=y_l[rows])
                (bias_relu_forward if relu else bias_forward)(a, b)
            del a
    return ys if ctx.needs_backward else ys[-1:]


def backward(
    x: Array, window: Window, maps: Maps, ys: tuple[Array, ...], dy: Array, dx: Array | None, into: Maps, ctx: Context
) -> None:
    """Add to the gradients `into` and, unless it is None, write dx; a y_l that no ReLU made is not looked at."""
    fast = in_vectors(*maps.W, dy) and x.flags.c_contiguous and (dx is None or len(maps.W[0]) % LANES == 0)
    if dx is not None and window != PIXEL:
        dx.fill(0)  # a pixel stands in many windows, whose gradients are added up
    if fast:
        _in_parts(x, window, maps, ys, dy, dx, into, ctx)
        return
    for images, rows in _parts(x, window, len(dy), len(maps.W[0])):
        d = dy[rows]
        P = _rows(x[images], window, len(dy) // len(x), ctx.empty)
        for depth in reversed(range(len(ys))):
            W, a = maps.W[depth], ys[depth - 1][rows] if depth else P
            d = _behind(ys[depth][rows] if maps.relu[depth] else None, d, into.b[depth], ctx.empty)
            into.W[depth][...] += np.matmul(a.T, d, out=ctx.empty(W.shape, x.dtype))
            if depth:
                d = np.matmul(d, W.T, out=ctx.empty(a.shape, x.dtype))
        if dx is not None:
            dP = np.matmul(d, maps.W[0].T, out=dx[images].reshape(P.shape) if window == PIXEL else P)
            if window != PIXEL:
                patches_backward(dP, dx[images], 0, *window)
            del dP
        del P, a, d  # or they would live on until those of the next part exist


def _in_parts(
    x: Array, window: Window, maps: Maps, ys: tuple[Array, ...], dy: Array, dx: Array | None, into: Maps, ctx: Context
) -> None:
    """`backward` by the compiled kernel, parts of the rows by whoever has time."""
    WT = tuple(ctx.empty(W.shape[::-1], x.dtype) for W in maps.W)
    for turned, W in zip(WT, maps.W, strict=True):
        np.copyto(turned, W.T)
    jobs: list[Callable[[], None]] = []
    sums: list[Maps] = []
    for images, rows in _halves(x, len(dy)):
        P = ctx.empty((BLOCK if window != PIXEL else 0, len(maps.W[0])), x.dtype)
        g = tuple(ctx.empty((BLOCK, W.shape[1]), x.dtype) for W in maps.W)
        into_part = _like(into, ctx.empty) if jobs else into
        below = (x if dx is None else dx)[images]
        each = map(_filled, (tuple(y[rows] for y in ys), WT, into_part.W, into_part.b, maps.relu, g))
        jobs.append(partial(maps_backward, x[images], *window, P, dy[rows], below, dx is not None, len(ys), *each))
        sums.append(into_part)
    ctx.parallel_for(jobs)
    for part in sums[1:]:
        for total, more in zip((*into.W, *into.b), (*part.W, *part.b), strict=True):
            total += more


def multiply(A: Array, B: Array, C: Array) -> None:
    """C = A B."""
    np.matmul(A, B, out=C)


def _filled(values: tuple) -> tuple:
    """As many as a kernel takes, or a multiple; the last one again and again, where there are fewer."""
    return values + values[-1:] * (-len(values) % AT_ONCE)


def _parts(x: Array, window: Window, n: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Some images of x at a time, as many as the BLAS gets, with the places of their rows among all n."""
    each = n // max(len(x), 1)
    count = max(1, len(x) if window == PIXEL else AT_A_TIME // max(1, each * width))
    for start in range(0, len(x), count):
        yield _part(start, min(start + count, len(x)), each)


def _halves(x: Array, n: int) -> Iterator[tuple[slice, slice]]:
    """The same for threads, half of what is left each time: who comes late finds small parts, nobody waits long for the last."""
    each, start = n // max(len(x), 1), 0
    least = -(-LEAST // max(each, 1))
    while start < len(x):
        left = len(x) - start
        stop = start + (left if left < 2 * least else -(-left // 2))
        yield _part(start, stop, each)
        start = stop


def _part(start: int, stop: int, each: int) -> tuple[slice, slice]:
    return slice(start, stop), slice(start * each, stop * each)


def _like(maps: Maps, empty: Empty) -> Maps:
    """Zeros in the place of these weights and biases."""
    W, b = (tuple(empty(array.shape, array.dtype) for array in arrays) for arrays in (maps.W, maps.b))
    for array in (*W, *b):
        array.fill(0)
    return Maps(W, b)


def _rows(x: Array, window: Window, each: int, empty: Empty) -> Array:
    """The rows of these images, `each` of one."""
    C = x.shape[-1]
    if window == PIXEL:
        return x.reshape(-1, C)
    P = empty((len(x) * each, window.kernel**2 * C), x.dtype)
    patches_forward(x, P, 0, *window)
    return P


def _behind(y: Array | None, dy: Array, db: Array, empty: Empty) -> Array:
    """g (n, D), dy itself where y is None (no ReLU); its rows are added to db."""
    if y is None:
        bias_backward(dy, db)
        return dy
    g = empty(dy.shape, dy.dtype)
    bias_relu_backward(y, dy, g, db)
    return g
