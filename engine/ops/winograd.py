"""Convolution of 3 x 3 windows at stride 1 by Winograd's F(4 x 4, 3 x 3): 36 multiplications for 16 outputs, not 144.

**The algorithm.** y_0 .. y_3, the correlation of 6 numbers d with 3 weights g, is y = A^T ((G g) * (B^T d)): 6 multiplications
for 12, with the matrices of engine.codegen.winograd. In two dimensions d is a tile of 6 x 6 pixels, y one of 4 x 4:

    u = G g G^T,   v = B^T d B,   y = A^T (u * v) A                                     (Lavin and Gray, eq. 8)

Over C channels, u * v is at each of the 36 points a product of matrices: M (tiles, D) = V (tiles, C) U (C, D).

**Tiles** of an image begin 4 pixels apart, from -padding on, and overlap by two; what lies outside the image is 0, and outputs
outside are not written. A tile belongs to one image.

**Backward** is the adjoint of every line, in reverse order: dm = A dy A^T, du = v dm and dv = u dm (products V^T dM and dM U^T),
dd = B dv B^T, added up where tiles overlap, and dg = G^T du G. The sum over the tiles is taken before G, so G is applied once a
step. v is computed again from x: that is cheaper than to write it, 2.25 times the size of x, and to read it.

**A block of tiles** goes through the transform, the 36 products and the adjoint transform before the next begins, so that what
lies between stays in the nearest caches. Where U does not, a block is larger, so that U is read less often.

**Accuracy.** The points decide how far numbers grow and cancel. Relative errors (L2) in float32, x and w normally distributed,
products by a BLAS:

    points                              y, 64 channels    y, 512 channels    dx and dw, 64
    0, +-5/8, +-3/2 (here)              0.7e-6            1.4e-6             0.8e-6
    0, +-1, 1/2, -2 (Barabasz et al.)   1.1e-6            2.0e-6             1.1e-6
    0, +-1, +-2 (Lavin and Gray)        1.6e-6            3.1e-6             1.6e-6

Of all two pairs of multiples of 1/16 none is better by more than the noise, and with these A and B are exact. Here, where a sum
over the channels is one chain of roundings, y has 0.8e-6 and 2.0e-6, dx 0.8e-6, dw 0.6e-6; by windows (engine.ops.patches) 0.4e-6
and 1.2e-6, 0.2e-6, 0.3e-6; in PyTorch's direct convolution, by layout, 0.2 to 0.4e-6 and 0.2 to 1.2e-6, 0.2 to 0.4e-6, 0.1 to
0.3e-6.

**Other sizes.** F(2 x 2, 3 x 3) needs 4 multiplications an output instead of 2.25, more even where the last tiles of an image are
nearly empty: only for one or two outputs it needs fewer, and for 5 or 6 as many. F(6 x 6, 3 x 3) needs 1.78, and is less exact.

Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016; Winograd, "Arithmetic complexity of
computations", SIAM, 1980; on the points, Barabasz, Anderson, Soodhalter and Gregg, "Error analysis and improving the accuracy of
Winograd convolution for deep neural networks", ACM TOMS 46(4), 2020 (arXiv 1803.10986).
"""

from functools import lru_cache, partial

import numpy as np

from engine.codegen.gemm import MAX_NR, MR_SIZES, even_block
from engine.codegen.simd import LANES, LINE
from engine.codegen.winograd import BT, OUTPUT, TILE, A, G
from engine.context import Context, Share
from engine.kernels.cpu.winograd import (
    TILE_POINTS,
    panel_at,
    winograd_backward,
    winograd_forward,
    winograd_weight,
    winograd_weight_adjoint,
)
from engine.memory import Empty, aligned
from engine.typing import Array

BLOCK, LARGE_BLOCK = 96, 192  # tiles at most
# Tiles for each output, below which threads divide the outputs: to transform all tiles costs less than to read all of U (see
# engine.ops.cost).
FEW_TILES = 0.23
LARGE_WEIGHT = 2**20  # elements of U from which on blocks are large


def winograd_reference(x: Array, w: Array, b: Array, padding: int) -> Array:
    """y (N, Ho, Wo, D) = x * w + b, line by line: x (N, H, W, C), w (3, 3, C, D)."""
    N, H, W, _ = x.shape
    Ho, Wo = H + 2 * padding - 2, W + 2 * padding - 2
    rows, columns = -(-Ho // OUTPUT), -(-Wo // OUTPUT)
    below, right = OUTPUT * rows + 2 - H - padding, OUTPUT * columns + 2 - W - padding
    padded = np.pad(x, ((0, 0), (padding, below), (padding, right), (0, 0)))
    d = np.lib.stride_tricks.sliding_window_view(padded, (TILE, TILE), axis=(1, 2))[:, ::OUTPUT, ::OUTPUT]
    u = np.einsum("pa,abcd,qb->pqcd", G, w, G)
    v = np.einsum("pa,nijcab,qb->nijpqc", BT, d, BT)
    m = np.einsum("nijpqc,pqcd->nijpqd", v, u)
    y = np.einsum("pa,nijpqd,qb->niajbd", A, m, A).reshape(N, OUTPUT * rows, OUTPUT * columns, -1)
    return y[:, :Ho, :Wo] + b


def can_group(groups: int, channels: int, out_channels: int) -> bool:
    """Whether channels and outputs can be convolved in so many groups: those of a group are whole vectors."""
    return groups == 1 or (channels % (groups * LANES) == 0 and out_channels % (groups * LANES) == 0)


def weight_shape(channels: int, out_channels: int, groups: int = 1) -> tuple[int, int]:
    """Shape of the transformed weights u of w (3, 3, C / G, D), and of their gradient; see engine.kernels.cpu.winograd."""
    return TILE_POINTS, channels * groups * _whole(out_channels // groups) + int(LINE)


def transform_weight(w: Array, U: Array, groups: int = 1) -> None:
    """u = G g G^T of w (3, 3, C / G, D)."""
    winograd_weight(w, U, groups)


def transform_weight_adjoint(dU: Array, dw: Array, groups: int = 1) -> None:
    """dw (3, 3, C / G, D) += G^T du G."""
    winograd_weight_adjoint(dU, dw, groups)


def exchanged(w: Array, groups: int = 1) -> Array:
    """w (3, 3, C / G, D) with inputs and outputs exchanged, group by group: (3, 3, D / G, C)."""
    k, _, C, D = w.shape
    in_groups = w.reshape(k, k, C, groups, D // groups)
    return np.ascontiguousarray(in_groups.transpose(0, 1, 4, 3, 2)).reshape(k, k, D // groups, groups * C)


def forward(x: Array, U: Array, b: Array, clip_min: float, y: Array, padding: int, groups: int, ctx: Context) -> None:
    """y (N, Ho, Wo, D) = max(x * w + b, clip_min) for x (N, H, W, C) and U of w.

    Threads that share it divide the tiles, or where these are few, the outputs: each then reads a part of U only.
    """
    jobs = []
    for tiles, outputs in _shares(x, y, groups, ctx):
        scratch = _scratch(tiles[1] - tiles[0], x, y, groups, ctx.empty)
        jobs.append(
            partial(winograd_forward, x, U, b, x.dtype.type(clip_min), y, padding, groups, tiles, outputs, *scratch)
        )
    ctx.parallel_for(jobs)


def backward(
    dy: Array,
    y: Array | None,
    x: Array,
    UT: Array | None,
    dx: Array | None,
    dU: Array,
    db: Array,
    padding: int,
    groups: int = 1,
    empty: Empty = aligned,
    *,
    overwrite: bool = False,
) -> None:
    """Add to dU (or `overwrite` it) and to db (D,) and, unless dx is None, write dx (N, H, W, C).

    UT is the transform of `exchanged(w)`, needed for dx only; dy counts where y > 0, or everywhere if y is None.
    """
    V, M, block, tile = _scratch(tile_count(*dy.shape[:3]), x, dy, groups, empty)
    sums_of_tiles = empty((block, _whole(dy.shape[3])), x.dtype)
    sums_of_block = empty((x.shape[3] * MAX_NR * LANES,), x.dtype)
    winograd_backward(
        dy, dy if y is None else y, y is not None, x, dU if UT is None else UT, x if dx is None else dx, dx is not None,
        dU, overwrite, db, padding, groups, V, M, block, tile, sums_of_tiles, sums_of_block,
    )  # fmt: skip


def block_size(tiles: int, weights: int) -> int:
    """How many of so many tiles make a block; `weights` is the number of multiply-adds at each of the 36 points."""
    return even_block(tiles, LARGE_BLOCK if TILE_POINTS * weights >= LARGE_WEIGHT else BLOCK)


def tile_count(images: int, out_height: int, out_width: int) -> int:
    """How many tiles so many images have."""
    return images * -(-out_height // OUTPUT) * -(-out_width // OUTPUT)


def _shares(x: Array, y: Array, groups: int, ctx: Context) -> list[tuple[Share, Share]]:
    """The tiles of each thread that shares a forward pass, and the columns of U, in whole panels."""
    tiles, D = tile_count(*y.shape[:3]), y.shape[3]
    starts, multiply_adds = _panel_starts(D // groups, groups), TILE_POINTS * tiles * x.shape[3] * D // groups
    if tiles < FEW_TILES * D:
        return [((0, tiles), (starts[i], starts[j])) for i, j in ctx.shares(len(starts) - 1, multiply_adds)]
    return [(share, (0, starts[-1])) for share in ctx.shares(tiles, multiply_adds, unit=MR_SIZES[0])]


@lru_cache(maxsize=64)
def _panel_starts(outputs: int, groups: int) -> list[int]:
    """The first column of every panel, in groups of so many outputs, and where the last one ends."""
    columns, starts = _whole(outputs), [0]
    while starts[-1] < groups * columns:
        starts.append(starts[-1] + panel_at(starts[-1], columns)[2])
    return starts


def _scratch(tiles: int, x: Array, y: Array, groups: int, empty: Empty) -> tuple[Array, Array, int, Array]:
    """Scratch memory for V and M of a block, the size of a block, and scratch memory for a tile."""
    C, D = x.shape[3], y.shape[3]
    block = block_size(tiles, C * D // groups)
    V, M = (empty((TILE_POINTS, block * _whole(width) + int(LINE)), x.dtype) for width in (C, D))
    return V, M, block, empty((TILE_POINTS, LANES), x.dtype)


def _whole(columns: int) -> int:
    """Columns in whole vectors."""
    return -(-columns // LANES) * LANES
