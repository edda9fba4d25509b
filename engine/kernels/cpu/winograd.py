"""Convolution by Winograd's tiles, a block of them at a time; see engine.ops.winograd for the mathematics.

CPU only: on a GPU convolutions are matrix products.

A block of transformed tiles is an array (36, distance): at each of the 36 points a matrix that has a row for every tile. Its
columns are whole vectors; those beyond the channels are never used. The distance between two points is a cache line more than a
matrix has: at a power of two, all points of a tile would fall into a few sets of the cache.

Transformed weights are at each point a matrix in panels: up to MAX_NR vectors of every row, then the next so many columns. So the
micro-kernel reads them, and the sums of their gradients, in order.
"""

import numpy as np

from engine.codegen.gemm import MAX_NR, gemm, panel_width
from engine.codegen.jit import ONE, ZERO, jit
from engine.codegen.pointers import keep_alive, load, load_partial, pointer, store, store_partial
from engine.codegen.simd import LANES
from engine.codegen.winograd import TILE, WINDOW, transform_weight, transform_weight_adjoint
from engine.kernels.cpu.elementwise import bias_backward
from engine.kernels.cpu.tiles import (
    gather_gradients,
    gather_images,
    scatter_gradients,
    scatter_outputs,
    tile_counts,
    whole_vectors,
)

TILE_POINTS = TILE * TILE


@jit
def winograd_forward(x, U, b, clip_min, y, padding, groups, tiles, outputs, V, M, block, tile):
    """y (N, Ho, Wo, D) = max(x * w + b, clip_min) of x (N, H, W, C), U of w; V and M are scratch for blocks of x and y.

    Of y only a range of tiles, and of each a range of columns that are whole panels (see `panel_at`).
    """
    rows, columns = tile_counts(y)
    all_tiles, C, D = len(y) * rows * columns, x.shape[3], y.shape[3]
    for first in range(tiles[0], tiles[1], block):
        n = min(block, tiles[1] - first)
        gather_images(x, padding, first, n, rows, columns, V, tile)
        for point in range(TILE_POINTS):
            # prefetch what is written after the products, then what the next block reads
            which, part = divmod(point, TILE_POINTS // 2)
            ahead, size = (pointer(y), pointer(x))[which], (y.size, x.size)[which]
            start, length = _share(size // all_tiles, first + which * block, block, part, TILE_POINTS // 2)
            _multiply(V, U, M, point, n, C, D, groups, outputs, ahead, start, length)
        scatter_outputs(M, b, clip_min, y, first, n, rows, columns, outputs, tile)


@jit
def winograd_backward(
    dy, y, masked, x, UT, dx, need_dx, dU, overwrite, db, padding, groups, V, M, block, tile, S, sums
):
    """Add to dU (or `overwrite` it) and to db (D,) and, if needed, write dx; dy counts where y > 0, if `masked`.

    S is scratch for the sums of dy in the tiles of a block, `sums` for dU of a block at one point: the sum over all tiles is made
    of the sums of blocks, so that no chain of roundings is long.
    """
    rows, columns = tile_counts(dy)
    tiles, C, D = len(dy) * rows * columns, x.shape[3], dy.shape[3]
    db_sums = np.zeros(S.shape[1])
    for first in range(0, tiles, block):
        n = min(block, tiles - first)
        gather_images(x, padding, first, n, rows, columns, V, tile)
        gather_gradients(dy, y, masked, first, n, rows, columns, M, S, tile)
        bias_backward(S[:n], db_sums)
        for point in range(TILE_POINTS):
            _accumulate(V, M, dU, point, n, C, D, groups, overwrite and first == 0, sums)
            if need_dx:
                # prefetch what is written after the products, then what the next block reads
                which, part = divmod(point, TILE_POINTS // 4)
                ahead = (pointer(dx), pointer(x), pointer(dy), pointer(y))[which]
                size, begin = (dx.size, x.size, dy.size, y.size)[which], first + block * min(which, 1)
                start, length = _share(size // tiles, begin, block, part, TILE_POINTS // 4)
                _multiply(
                    M, UT, V, point, n, D, C, groups, (0, groups * whole_vectors(C // groups)), ahead, start, length
                )
        if need_dx:
            scatter_gradients(V, dx, padding, first, n, rows, columns, tile)
    if tiles == 0 and overwrite:
        dU.fill(0)
    for d in range(D):
        db[d] += db_sums[d]


@jit
def winograd_weight(w, U, groups):
    """U of the weights w (3, 3, C / G, D)."""
    (C, D), scratch = w.shape[2:], np.zeros((WINDOW * WINDOW, LANES), w.dtype)
    source, target, tile, distance = pointer(w), pointer(U), pointer(scratch), U.shape[1]
    lanes, channels, columns, first = LANES, D // groups, whole_vectors(D // groups), 0
    while first < groups * columns:
        group, column, width = panel_at(first, columns)
        for c in range(C):
            for k in range(0, width, LANES):
                at, to = c * D + group * channels + column + k, first * C + c * width + k
                count = channels - column - k
                if count >= LANES:
                    transform_weight(source, at, WINDOW * C * D, C * D, target, to, TILE * distance, distance)
                else:
                    for tap in range(WINDOW * WINDOW):
                        store(tile, tap * LANES, load_partial(source, at + tap * C * D, count))
                    transform_weight(tile, ZERO, WINDOW * lanes, lanes, target, to, TILE * distance, distance)
        first += width
    keep_alive(scratch)


@jit
def winograd_weight_adjoint(dU, dw, groups):
    """Add to dw (3, 3, C / G, D) what dU says."""
    (C, D), scratch = dw.shape[2:], np.zeros((WINDOW * WINDOW, LANES), dw.dtype)
    source, target, tile, distance = pointer(dU), pointer(dw), pointer(scratch), dU.shape[1]
    lanes, channels, columns, first = LANES, D // groups, whole_vectors(D // groups), 0
    while first < groups * columns:
        group, column, width = panel_at(first, columns)
        for c in range(C):
            for k in range(0, width, LANES):
                at, to = first * C + c * width + k, c * D + group * channels + column + k
                count = channels - column - k
                transform_weight_adjoint(source, at, TILE * distance, distance, tile, ZERO, WINDOW * lanes, lanes)
                for tap in range(WINDOW * WINDOW):
                    place = to + tap * C * D
                    total = load_partial(target, place, count) + load(tile, tap * LANES)
                    store_partial(target, place, total, count)
        first += width
    keep_alive(scratch)


@jit
def _share(elements, first, n, part, parts):
    """Start and length of a part of the pixels of tiles number first .. first + n - 1, about: so many elements a tile."""
    length = elements * n // parts
    return elements * first + part * length, length


@jit
def panel_at(first, columns):
    """Of the panel that begins at column `first`, in groups of so many columns: its group, its column there, its width."""
    group, column = divmod(first, columns)
    return group, column, panel_width(columns // LANES, column // LANES) * LANES


@jit
def _multiply(V, U, M, point, n, C, D, groups, outputs, ahead, ahead_start, ahead_length):
    """M = V U at a point, group by group: V of n rows and C columns, U (C / G, D / G) in panels; a range of columns of M."""
    neg_inf, zero_bias = -V.dtype.type(np.inf), np.zeros(MAX_NR * LANES, V.dtype)
    A, B, target, zeros = pointer(V), pointer(U), pointer(M), pointer(zero_bias)
    lda, ldc, depth, columns = whole_vectors(C), whole_vectors(D), C // groups, whole_vectors(D // groups)
    a, b, c, first = point * V.shape[1], point * U.shape[1], point * M.shape[1], outputs[0]
    while first < outputs[1]:
        group, _, width = panel_at(first, columns)
        gemm(
            A, a + group * depth, lda, ONE, B, b + first * depth, width, zeros, ZERO, ZERO,
            target, c + first, ldc, n, width, depth, neg_inf, ahead, ahead_start, ahead_length,
        )  # fmt: skip
        first, ahead_length = first + width, 0
    keep_alive(zero_bias)


@jit
def _accumulate(V, M, dU, point, n, C, D, groups, overwrite, sums):
    """dU += V^T M at a point, or with `overwrite` dU = V^T M: V and M of n rows, dU (C / G, D / G) in panels."""
    neg_inf, zero_bias = -V.dtype.type(np.inf), np.zeros(MAX_NR * LANES, V.dtype)
    A, B, target, zeros, S = pointer(V), pointer(M), pointer(dU), pointer(zero_bias), pointer(sums)
    lda, ldb, depth, columns = whole_vectors(C), whole_vectors(D), C // groups, whole_vectors(D // groups)
    a, b, c, first = point * V.shape[1], point * M.shape[1], point * dU.shape[1], 0
    while first < groups * columns:
        group, _, width = panel_at(first, columns)
        panel, size = c + first * depth, depth * width
        to, start = (target, panel) if overwrite else (S, 0)
        gemm(
            A, a + group * depth, ONE, lda, B, b + first, ldb, zeros, ZERO, ZERO, to, start, width,
            depth, width, n, neg_inf, target, panel, size,
        )  # fmt: skip
        if not overwrite:
            for i in range(0, size, LANES):
                store(target, panel + i, load(target, panel + i) + load(S, i))
        first += width
    keep_alive(zero_bias)
