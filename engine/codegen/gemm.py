"""Matrix products C = max(Z + A B, clip_min): a BLIS-style micro-kernel and the loops around it.

A network spends its time here, so the inner loop is written for the registers (Van Zee and van de Geijn, "BLIS: a framework for
rapidly instantiating BLAS functionality", ACM TOMS 41(3), 2015). The micro-kernel computes a micro-tile of C, MR rows by NR
vectors, as a sequence of rank-1 updates:

    for p in 0 .. k - 1:   C[i, j] += A[i, p] B[p, j]      for all MR x NR LANES elements of the tile at once

The tile of C stays in registers from the first update to the last, with the NR vectors of B's row p and one element of A,
broadcast to a vector. Every vector of B that is loaded serves MR rows, every element of A serves NR vectors, so the
multipliers are busy and the loads are not. BLIS packs A and B into contiguous panels first; here they are small enough to be read
where they are. A is addressed by a row and a column stride (BLIS's rs_a, cs_a), so A^T B is the same routine.

What surrounds a product in a network is fused into it: Z is where the sums begin (a bias, or C itself), and clip_min is 0 for
a ReLU and -infinity for none.

The micro-kernel's instructions are emitted by Python loops over the rows and vectors of the tile, as a macro would: its size is
a constant of the code, and every sum has a register of its own.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import overload

from engine.codegen.emit import first_lanes, load_lanes, prefetch_line, splat, store_lanes, vector_at
from engine.codegen.jit import ONE, ZERO, jit
from engine.codegen.pointers import keep_alive, pointer, prefetch
from engine.codegen.simd import LANES, REGISTERS, Vector, intrinsic
from engine.typing import Array

# Vectors in a row of a micro-tile: with a row of B and one element of A they fill the registers.
MAX_NR = 4 if REGISTERS == 32 else 2
MR_SIZES = (6, 4, 2, 1)  # rows of a micro-tile: 6, and the smaller ones for the rows that are left over


def gemm_reference(A: Array, B: Array, Z: Array | float = 0.0, clip_min: float = -np.inf) -> Array:
    """C (m, n) = max(Z + A B, clip_min) for A (m, k), B (k, n); a NaN stays NaN."""
    return np.maximum(Z + A @ B, clip_min)


@jit
def gemm(
    A, a, rs_a, cs_a, B, b, ldb, Z, z, ldz, C, c, ldc, m, n, k, clip_min, prefetch_data, prefetch_start, prefetch_length
):
    """C (m, n) = max(Z + A B, clip_min) for A (m, k), B (k, n), Z (m, n).

    A, B, Z, C are pointers, and a, b, z, c the offsets at which the matrices begin. Element (i, p) of A is at
    a + i rs_a + p cs_a; the rows of B, Z and C are ldb, ldz and ldc elements apart.

    Prefetched meanwhile: the rows of C of the next micro-tile, and `prefetch_length` elements of `prefetch_data` from
    `prefetch_start` on, a share with every micro-tile: what the caller reads next.
    """
    vectors, rest = divmod(n, LANES)
    panels = (vectors + MAX_NR - 1) // MAX_NR + min(rest, ONE)
    tiles = panels * ((m + MR_SIZES[0] - 1) // MR_SIZES[0])
    share = (prefetch_length + tiles - 1) // tiles
    step = (share + k - 1) // max(k, ONE)
    j = 0
    for _ in range(panels):  # the columns of B that stay in the first-level cache for all rows
        nr = panel_width(vectors, j) if j < vectors else 0  # vectors, or the rest of one
        b_j, z_j, c_j = b + j * LANES, z + j * LANES, c + j * LANES
        i = 0
        for mr in MR_SIZES:
            while m - i >= mr:
                for row in range(mr):
                    prefetch(C, c_j + (i + mr + row) * ldc)
                _micro_kernel(
                    mr, nr, rest, A, a + i * rs_a, rs_a, cs_a, B, b_j, ldb, Z, z_j + i * ldz, ldz, C, c_j + i * ldc, ldc,
                    k, clip_min, prefetch_data, prefetch_start, step,
                )  # fmt: skip
                prefetch_start += share
                i += mr
        j += nr


@jit
def panel_width(vectors, first):
    """Vectors of the panel that begins at vector `first`: 6 vectors are panels of 3 and 3, 10 of 4, 3 and 3."""
    left = vectors - first
    panels = (left + MAX_NR - 1) // MAX_NR
    return (left + panels - 1) // panels


def even_block(rows: int, most: int) -> int:
    """How many of so many rows make a block, `most` at most: whole micro-tiles, and all blocks but the last equally many.

    >>> even_block(196, 96), even_block(1, 96)
    (66, 6)
    """
    rows = max(rows, 1)
    blocks = -(-rows // most)
    return -(-rows // (blocks * MR_SIZES[0])) * MR_SIZES[0]


def matmul(A: Array, B: Array, C: Array) -> None:
    """C = A B: A (m, k), B (k, n), C (m, n)."""
    _matmul(A, B, C, -C.dtype.type(np.inf))


@jit
def _matmul(A, B, C, neg_inf):
    (m, k), n = A.shape, B.shape[1]
    zeros = np.zeros(n, A.dtype)
    gemm(
        pointer(A), ZERO, k, ONE, pointer(B), ZERO, n, pointer(zeros), ZERO, ZERO, pointer(C), ZERO, n,
        m, n, k, neg_inf, pointer(B), ZERO, ZERO,
    )  # fmt: skip
    keep_alive(zeros)


def _micro_kernel(mr, nr, rest, A, a, rs_a, cs_a, B, b, ldb, Z, z, ldz, C, c, ldc, k, clip_min, ahead, start, step):
    """The micro-tile of mr rows and nr vectors, or of `rest` columns where nr is 0; in NumPy, for `NUMBA_DISABLE_JIT=1`.

    With the p-th update goes a prefetch of `ahead` at start + p step: a burst of them would keep the loads waiting.
    """
    n = nr * LANES if nr else rest
    tile_of_a, rows_of_b = _matrix(A, a, mr, k, rs_a, cs_a), _matrix(B, b, k, n, ldb)
    _matrix(C, c, mr, n, ldc)[...] = gemm_reference(tile_of_a, rows_of_b, _matrix(Z, z, mr, n, ldz), clip_min)


def _matrix(data, start, rows, columns, row_stride, column_stride=1):
    strides = (row_stride * data.itemsize, column_stride * data.itemsize)
    return np.lib.stride_tricks.as_strided(data[start:], (rows, columns), strides)


@overload(_micro_kernel)
def _overload_micro_kernel(
    mr, nr, rest, A, a, rs_a, cs_a, B, b, ldb, Z, z, ldz, C, c, ldc, k, clip_min, ahead, start, step
):
    return lambda mr, nr, rest, A, a, rs_a, cs_a, B, b, ldb, Z, z, ldz, C, c, ldc, k, clip_min, ahead, start, step: (
        _micro_kernel_of_any_size(
            mr, nr, rest, A, a, rs_a, cs_a, B, b, ldb, Z, z, ldz, C, c, ldc, k, clip_min, ahead, start, step
        )
    )


@intrinsic
def _micro_kernel_of_any_size(
    typing, mr, nr, rest, A, a, rs_a, cs_a, B, b, ldb, Z, z, ldz, C, c, ldc, k, clip_min, ahead, start, step
):
    scalar, size = A.dtype, types.intp
    signature = types.void(
        size, size, size, A, size, size, size, B, size, size, Z, size, size, C, size, size, size, scalar, ahead, size, size
    )  # fmt: skip

    def generate(context, builder, signature, arguments):
        (mr, nr), kind = arguments[:2], context.get_value_type(Vector(scalar))
        for rows in MR_SIZES:
            for vectors in range(MAX_NR + 1):
                is_size = (builder.icmp_signed("==", x, x.type(value)) for x, value in ((mr, rows), (nr, vectors)))
                with builder.if_then(builder.and_(*is_size)):
                    _emit_micro_kernel(builder, rows, vectors, kind, *arguments[2:])
        return context.get_dummy_value()

    return signature, generate


def _emit_micro_kernel(
    builder, MR, NR, kind, rest, A, a, rs_a, cs_a, B, b, ldb, Z, z, ldz, C, c, ldc, k, clip_min, ahead, start, step
):
    """LLVM's instructions for a micro-tile of MR rows and NR vectors, or of the first `rest` lanes of one where NR is 0."""
    align = 4 if kind.element == ir.FloatType() else 8
    tile = [(i, j) for i in range(MR) for j in range(max(NR, 1))]
    mask = None if NR else first_lanes(builder, rest, kind)

    def element(first, stride, i, offset=0):
        return builder.add(first, builder.add(builder.mul(stride, stride.type(i)), stride.type(offset)))

    def load(data, index):
        address = vector_at(builder, data, index, kind)
        return builder.load(address, align=align) if NR else load_lanes(builder, address, mask, align)

    sums = {}
    for i, j in tile:
        sums[i, j] = cgutils.alloca_once_value(builder, load(Z, element(z, ldz, i, j * LANES)))  # becomes a register
    with cgutils.for_range(builder, k) as loop:
        p = loop.index
        prefetch_line(builder, ahead, builder.add(start, builder.mul(p, step)))
        row_of_b = [load(B, element(builder.add(b, builder.mul(p, ldb)), ldb, 0, j * LANES)) for j in range(max(NR, 1))]
        column_of_a = builder.add(a, builder.mul(p, cs_a))
        for i in range(MR):
            a_ip = splat(builder, builder.load(builder.gep(A, [element(column_of_a, rs_a, i)])), kind)
            for j in range(max(NR, 1)):
                term = builder.fmul(a_ip, row_of_b[j], flags=("contract",))
                builder.store(builder.fadd(builder.load(sums[i, j]), term, flags=("contract",)), sums[i, j])
    least = splat(builder, clip_min, kind)
    for i, j in tile:
        total = builder.load(sums[i, j])
        total = builder.select(builder.fcmp_ordered("<=", total, least), least, total)
        address = vector_at(builder, C, element(c, ldc, i, j * LANES), kind)
        if NR:
            builder.store(total, address, align=align)
        else:
            store_lanes(builder, total, address, mask, align)
