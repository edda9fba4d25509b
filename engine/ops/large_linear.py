"""A linear map y = x W + b whose weights are larger than the caches, as between 25,088 and 4,096 units: bound by memory.

    forward    y = x W + b                        W is read once, whatever the batch's size, in blocks of rows
    backward   dx = dy W^T                        W is read once more, and is not transposed
               dW = x^T dy, db = sum of dy's rows     dW is written once

dW is as large as W, so threads have none of their own: they keep their x and dy, which are small, and when the pass is over, all
threads together compute the product over the whole batch, each some rows of dW (`Context.defer_product`). The sum over the
samples is one chain in their order, so it does not depend on the number of threads.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from engine.codegen.simd import LANES
from engine.context import Context
from engine.device import on_gpu
from engine.kernels.cpu.elementwise import bias_backward
from engine.kernels.cpu.large_linear import FEW, PANEL, ROWS, large_forward, large_input_gradient, large_weight_gradient
from engine.memory import Empty
from engine.parameters import Parameter
from engine.typing import Array

LARGE = 2**20  # elements of W: from here on it does not stay in the nearest caches
JOB = 8 * ROWS  # rows of dW
BLOCK, FEW_BLOCK = 64, 4  # rows of W in a block of the forward pass
IN_CACHE = 2**23  # elements of W, at most, that the last-level cache may hold


def is_large(x: Array, W: Array) -> bool:
    """Whether this map is computed here: on the CPU."""
    return W.size >= LARGE and not on_gpu(x) and W.flags.c_contiguous


def is_shared(weight: Parameter) -> bool:
    """Whether threads have no gradient of their own of this parameter, unless something else than a `Linear` needs one."""
    return len(weight.shape) == 2 and weight.size >= LARGE


def forward(x: Array, W: Array, b: Array, y: Array, ctx: Context) -> None:
    """y (n, D) = x (n, C) W + b.

    For few rows of x, W is read as fast as memory gives it only in blocks of few rows: the processor itself prefetches what comes
    next in each.
    """
    block = FEW_BLOCK if len(x) <= FEW and W.size > IN_CACHE else BLOCK
    shares = ctx.shares(W.shape[1], len(x) * W.size, unit=PANEL)
    ctx.parallel_for([partial(large_forward, x, W, b, y, *columns, block) for columns in shares])


def backward(x: Array, weight: Parameter, bias: Parameter, dy: Array, dx: Array | None, ctx: Context) -> None:
    """Add to the gradients of weight and bias, now or when the pass is over; write dx, unless it is None."""
    db = np.zeros(dy.shape[1])
    bias_backward(dy, db)
    db_sum = ctx.gradient(bias)
    db_sum += db
    if dx is not None:
        wide = -(-len(dy) // LANES) * LANES
        dyT, dxT = (ctx.empty((rows, wide), dy.dtype) for rows in (dy.shape[1], ROWS))
        large_input_gradient(dy, weight.value, dx, dyT, dxT)
    if not ctx.defer_product(weight, x, dy):
        large_weight_gradient(x, dy, ctx.gradient(weight), 0, len(weight.value), False)


def weight_gradient(xs: Sequence[Array], dys: Sequence[Array], dW: Array, empty: Empty) -> list[Callable[[], None]]:
    """Jobs that together make dW the sum of all x^T dy, each some of its rows."""
    x, dy = (parts[0] if len(parts) == 1 else _joined(parts, empty) for parts in (xs, dys))
    ends = [*range(0, len(dW), JOB), len(dW)]
    return [partial(large_weight_gradient, x, dy, dW, *rows, True) for rows in pairwise(ends)]


def _joined(parts: Sequence[Array], empty: Empty) -> Array:
    whole = empty((sum(map(len, parts)), parts[0].shape[1]), parts[0].dtype)
    return np.concatenate(parts, out=whole)
