"""Element by element, and the column sums of a matrix; the equations are in engine.kernels.cpu.elementwise."""

import numpy as np
from numba import cuda

from engine.device import cuda_version_of
from engine.kernels.cpu import elementwise as cpu
from engine.kernels.cpu.elementwise import ROWS_PER_SUM, half_word, relu, relu_gradient
from engine.kernels.cuda.launch import THREADS, add_up, launch_1d, launch_blocks
from engine.random import child, philox

_ZERO = np.uint64(0)


@cuda_version_of(cpu.relu_forward)
def relu_forward(x, y):
    launch_1d(_relu_forward, x.size, x, y)


@cuda_version_of(cpu.relu_backward)
def relu_backward(y, dy, dx):
    launch_1d(_relu_backward, y.size, y, dy, dx)


def bias_forward(y, b):
    launch_1d(_bias_forward, y.size, y, b)


def bias_relu_forward(y, b):
    launch_1d(_bias_relu_forward, y.size, y, b)


def bias_backward(dy, db, empty):
    _add_column_sums(_partial_sums, dy, db, (dy,), empty)


def bias_relu_backward(y, dy, dx, db, empty):
    _add_column_sums(_masked_partial_sums, dy, db, (y, dy, dx), empty)


@cuda_version_of(cpu.dropout_forward)
def dropout_forward(x, y, mask, threshold, scale, first_sample, key, draw):
    """As on the CPU; `key` is the step's, two words in the GPU's memory, and `draw` says which of its children is meant."""
    launch_1d(_dropout_forward, len(x) * -(-x.shape[1] // 8), x, y, mask, threshold, scale, first_sample, key, draw)


@cuda_version_of(cpu.dropout_backward)
def dropout_backward(dy, mask, scale, dx):
    launch_1d(_dropout_backward, dy.size, dy, mask, scale, dx)


def _add_column_sums(partial_sums, dy, db, arrays, empty):
    """db (C,) += the sums over rows (rows, C): first of ROWS_PER_SUM rows each, then of those sums, both in a fixed order."""
    rows, C = dy.shape
    partial = empty((-(-rows // ROWS_PER_SUM), C), dy.dtype)
    launch_1d(partial_sums, partial.size, *arrays, partial)
    launch_blocks(_finish_sums, C, partial, db)


@cuda.jit
def _relu_forward(x, y):
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[i] = relu(x[i])


@cuda.jit
def _relu_backward(y, dy, dx):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        dx[i] = relu_gradient(y[i], dy[i])


@cuda.jit
def _bias_forward(y, b):
    C = y.shape[1]
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        r, c = i // C, i % C
        y[r, c] += b[c]


@cuda.jit
def _bias_relu_forward(y, b):
    C = y.shape[1]
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        r, c = i // C, i % C
        y[r, c] = relu(y[r, c] + b[c])


@cuda.jit
def _partial_sums(dy, partial):
    rows, C = dy.shape
    for i in range(cuda.grid(1), partial.size, cuda.gridsize(1)):
        part, c = i // C, i % C
        total = dy.dtype.type(0)
        for r in range(part * ROWS_PER_SUM, min((part + 1) * ROWS_PER_SUM, rows)):
            total += dy[r, c]
        partial[part, c] = total


@cuda.jit
def _masked_partial_sums(y, dy, dx, partial):
    rows, C = dy.shape
    for i in range(cuda.grid(1), partial.size, cuda.gridsize(1)):
        part, c = i // C, i % C
        total = dy.dtype.type(0)
        for r in range(part * ROWS_PER_SUM, min((part + 1) * ROWS_PER_SUM, rows)):
            d = relu_gradient(y[r, c], dy[r, c])
            dx[r, c] = d
            total += d
        partial[part, c] = total


@cuda.jit
def _finish_sums(partial, db):
    """A block a column: every thread adds its share, and the threads' sums are added in pairs."""
    sums = cuda.shared.array(THREADS, db.dtype)
    t, c = cuda.threadIdx.x, cuda.blockIdx.x
    total = db.dtype.type(0)
    for part in range(t, partial.shape[0], THREADS):
        total += partial[part, c]
    sums[t] = total
    add_up(sums, t)
    if t == 0:
        db[c] += sums[0]


@cuda.jit
def _dropout_forward(x, y, mask, threshold, scale, first_sample, key, draw):
    samples, n = x.shape
    blocks = (n + 7) // 8
    k0, k1 = child(np.uint64(draw), _ZERO, key[0], key[1])
    for i in range(cuda.grid(1), samples * blocks, cuda.gridsize(1)):
        s, block = i // blocks, i % blocks
        words = philox(np.uint64(block), np.uint64(first_sample + s), _ZERO, _ZERO, k0, k1)
        for e in range(8):
            at = 8 * block + e
            if at < n:
                kept = half_word(words, e) >= threshold
                mask[s, at] = kept
                y[s, at] = x[s, at] * (scale * kept)


@cuda.jit
def _dropout_backward(dy, mask, scale, dx):
    for i in range(cuda.grid(1), dy.size, cuda.gridsize(1)):
        dx[i] = dy[i] * (scale * mask[i])
