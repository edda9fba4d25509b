"""The bias of a matrix product, and the column sums that are its gradient.

Only the matrix products of this package call them, so they have no counterpart on the CPU, where the products apply bias and ReLU
themselves.
"""

from numba import cuda, float64

from engine.kernels.cpu.elementwise import ROWS_PER_SUM, relu, relu_gradient
from engine.kernels.cuda.launch import THREADS, launch_1d, launch_blocks, reduce_sum


def add_bias(y, b):
    """y (rows, C) += b (C,)."""
    launch_1d(_add_bias, y.size, y, b)


def add_bias_relu(y, b):
    """y (rows, C) = max(y + b, 0), b (C,)."""
    launch_1d(_add_bias_relu, y.size, y, b)


def add_column_sums(dy, db, empty):
    """db (C,) += the column sums of dy (rows, C)."""
    partial = _partial_sums_of(dy, empty)
    launch_1d(_partial_sums, partial.size, dy, partial)
    launch_blocks(_finish_sums, len(db), partial, db)


def relu_backward_add_column_sums(y, dy, dx, db, empty):
    """dx = dy [y > 0], all (rows, C), and db (C,) += the column sums of dx, in one pass over dy."""
    partial = _partial_sums_of(dy, empty)
    launch_1d(_masked_partial_sums, partial.size, y, dy, dx, partial)
    launch_blocks(_finish_sums, len(db), partial, db)


def _partial_sums_of(dy, empty):
    """Memory for the sums of ROWS_PER_SUM rows each; these are summed in turn, both in a fixed order."""
    rows, C = dy.shape
    return empty((-(-rows // ROWS_PER_SUM), C), dy.dtype)


@cuda.jit
def _add_bias(y, b):
    C = y.shape[1]
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        r, c = i // C, i % C
        y[r, c] += b[c]


@cuda.jit
def _add_bias_relu(y, b):
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
    """A block per column, in float64: each thread sums its share of the rows, then the threads' sums are reduced in pairs."""
    sums = cuda.shared.array(THREADS, float64)
    t, c = cuda.threadIdx.x, cuda.blockIdx.x
    total = 0.0
    for part in range(t, partial.shape[0], THREADS):
        total += partial[part, c]
    sums[t] = total
    reduce_sum(sums, t)
    if t == 0:
        db[c] += sums[0]
