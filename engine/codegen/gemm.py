"""The tile: a few rows of a matrix product, kept in registers from the first term of its sums to the last.

    C[r, j] = max(Z[r, j] + sum_k A[r, k] B[k, j], floor),    r < R, j < V LANES

is where a network spends its time, so it is written for the registers: R x V vectors of sums, V vectors of a row of B, and one
number of A at a time, spread over a vector, which multiplies all V. Each term of B that is loaded serves R rows, each of A
serves V vectors, so the multiplier is busy and the loads are not; nothing is copied or packed beforehand. A may be read along
its columns (`row_step`, `k_step`), which makes A^T B the same routine. Z is where the sums begin (a bias, or C itself), `floor` a
ReLU (0) or nothing (-infinity).

LLVM's code is written out here term by term by Python loops over r and v, as a macro would: R and V are constants of the
program, and every sum has a register of its own. `_tile` is the same in NumPy, for `NUMBA_DISABLE_JIT=1`.
"""

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import overload

from engine.codegen.jit import ONE, ZERO, jit
from engine.codegen.simd import (
    LANES,
    LINE,
    REGISTERS,
    Vector,
    intrinsic,
    keep_alive,
    pointer,
    prefetch,
    splat,
    vector_at,
)
from engine.typing import Array

WIDEST = 4 if REGISTERS == 32 else 2  # vectors of a tile; its sums, the row of B and one of A fill the registers
HEIGHTS = (6, 4, 2, 1)  # rows of a tile; the lower ones take what is left over


@jit
def product(A, a, row_step, k_step, B, b, b_step, Z, z, z_step, C, c, c_step, n, K, D, floor, then, soon, many):
    """C (n, D) = max(Z + A B, floor) for A (n, K), B (K, D), Z (n, D); D a multiple of LANES.

    A, B, Z, C are pointers; a, b, z, c where the matrices begin; a row of B, Z, C is `b_step`, `z_step`, `c_step` after the last.
    While a tile is computed, what the next one reads of A and writes of C is asked for, and, a little with every tile, `many`
    numbers from then[soon] on: what the caller knows that it will need next.
    """
    vectors = D // LANES
    panels = (vectors + WIDEST - 1) // WIDEST
    share = many // (panels * ((n + HEIGHTS[0] - 1) // HEIGHTS[0])) + LINE  # for each tile
    j = 0
    for panel in range(panels):  # these columns of B stay in the nearest cache for all rows
        width = (vectors - j + panels - panel - 1) // (panels - panel)  # 6 vectors are 3 and 3, 10 are 4, 3 and 3
        b_at, z_at, c_at = b + j * LANES, z + j * LANES, c + j * LANES
        r = 0
        for rows in HEIGHTS:
            while n - r >= rows:
                for below in range(rows):
                    prefetch(C, c_at + (r + rows + below) * c_step)
                if many > 0:
                    for line in range(soon, soon + share, LINE):
                        prefetch(then, line)
                    soon += share
                if panel == 0 and k_step == 1:
                    for k in range(0, rows * K, LINE):
                        prefetch(A, a + (r + rows) * row_step + k)
                _tile(
                    rows, width, A, a + r * row_step, row_step, k_step, B, b_at, b_step,
                    Z, z_at + r * z_step, z_step, C, c_at + r * c_step, c_step, K, floor,
                )  # fmt: skip
                r += rows
        j += width


def multiply(A: Array, B: Array, C: Array) -> None:
    """C = A B: A (n, K), B (K, D), C (n, D)."""
    if in_vectors(B) and A.flags.c_contiguous:
        _multiply(A, B, C, -C.dtype.type(np.inf))
    else:
        np.matmul(A, B, out=C)


def in_vectors(*matrices: Array) -> bool:
    """Whether tiles can be laid over the columns of these matrices."""
    return all(matrix.shape[-1] % LANES == 0 and matrix.flags.c_contiguous for matrix in matrices)


@jit
def _multiply(A, B, C, none):
    (n, K), D = A.shape, B.shape[1]
    zeros = np.zeros(D, A.dtype)
    product(
        pointer(A), ZERO, K, ONE, pointer(B), ZERO, D, pointer(zeros), ZERO, ZERO, pointer(C), ZERO, D,
        n, K, D, none, pointer(B), ZERO, ZERO,
    )  # fmt: skip
    keep_alive(zeros)


def _tile(R, V, A, a, row_step, k_step, B, b, b_step, Z, z, z_step, C, c, c_step, K, floor):
    """See the module's docstring."""
    rows = _matrix(A, a, R, K, row_step, k_step)
    total = _matrix(Z, z, R, V * LANES, z_step) + rows @ _matrix(B, b, K, V * LANES, b_step)
    _matrix(C, c, R, V * LANES, c_step)[...] = np.where(total <= floor, floor, total)


def _matrix(data, start, rows, columns, row_step, column_step=1):
    strides = (row_step * data.itemsize, column_step * data.itemsize)
    return np.lib.stride_tricks.as_strided(data[start:], (rows, columns), strides)


@overload(_tile)
def _overload_tile(R, V, A, a, row_step, k_step, B, b, b_step, Z, z, z_step, C, c, c_step, K, floor):
    return lambda R, V, A, a, row_step, k_step, B, b, b_step, Z, z, z_step, C, c, c_step, K, floor: _tile_of_any_size(
        R, V, A, a, row_step, k_step, B, b, b_step, Z, z, z_step, C, c, c_step, K, floor
    )


@intrinsic
def _tile_of_any_size(typing, R, V, A, a, row_step, k_step, B, b, b_step, Z, z, z_step, C, c, c_step, K, floor):
    number, size = A.dtype, types.intp
    signature = types.void(
        size, size, A, size, size, size, B, size, size, Z, size, size, C, size, size, size, number
    )  # fmt: skip

    def generate(context, builder, signature, arguments):
        R, V = arguments[:2]
        for rows in HEIGHTS:
            for vectors in range(1, WIDEST + 1):
                same = (builder.icmp_signed("==", n, n.type(m)) for n, m in ((R, rows), (V, vectors)))
                with builder.if_then(builder.and_(*same)):
                    _write_tile(context, builder, rows, vectors, Vector(number), *arguments[2:])
        return context.get_dummy_value()

    return signature, generate


def _write_tile(
    context, builder, R, V, vector, A, a, row_step, k_step, B, b, b_step, Z, z, z_step, C, c, c_step, K, floor
):
    """LLVM's instructions for a tile of R rows and V vectors."""
    kind = context.get_value_type(vector)
    align = vector.scalar.bitwidth // 8
    every = [(r, v) for r in range(R) for v in range(V)]

    def element(start, step, r, offset=0):
        return builder.add(start, builder.add(builder.mul(step, step.type(r)), step.type(offset)))

    def take(data, index):
        return builder.load(vector_at(builder, data, index, kind), align=align)

    sums = {}
    for r, v in every:
        sums[r, v] = cgutils.alloca_once_value(builder, take(Z, element(z, z_step, r, v * LANES)))  # a register
    with cgutils.for_range(builder, K) as loop:
        k = loop.index
        terms = [take(B, element(builder.add(b, builder.mul(k, b_step)), b_step, 0, v * LANES)) for v in range(V)]
        column = builder.add(a, builder.mul(k, k_step))
        for r in range(R):
            factor = splat(builder, builder.load(builder.gep(A, [element(column, row_step, r)])), kind)
            for v in range(V):
                more = builder.fmul(factor, terms[v], flags=("contract",))
                builder.store(builder.fadd(builder.load(sums[r, v]), more, flags=("contract",)), sums[r, v])
    least = splat(builder, floor, kind)
    for r, v in every:
        total = builder.load(sums[r, v])
        total = builder.select(builder.fcmp_ordered("<=", total, least), least, total)
        builder.store(total, vector_at(builder, C, element(c, c_step, r, v * LANES), kind), align=align)
