"""Images to transformed tiles, and back; see engine.ops.winograd for the mathematics, engine.kernels.cpu.winograd for arrays.

Tiles are numbered image by image, row by row; the kernels take any range of them. `tile` (36, LANES) is scratch for one.
"""

from engine.codegen.jit import ZERO, jit
from engine.codegen.pointers import load, load_partial, pointer, store, store_partial
from engine.codegen.simd import LANES, select_gt, zeros_like
from engine.codegen.winograd import (
    OUTPUT,
    TILE,
    transform_input,
    transform_input_adjoint,
    transform_output,
    transform_output_adjoint,
)


@jit
def tile_counts(y):
    """Tiles in a column and in a row of the outputs y (N, Ho, Wo, D)."""
    return (y.shape[1] + OUTPUT - 1) // OUTPUT, (y.shape[2] + OUTPUT - 1) // OUTPUT


@jit
def gather_images(x, padding, first, n, rows, columns, V, tile):
    """V = B^T d B of the tiles d number first .. first + n - 1 of x (N, H, W, C), zeros outside the image."""
    _, H, W, C = x.shape
    source, target, buffer, distance, lanes = pointer(x), pointer(V), pointer(tile), V.shape[1], LANES
    whole = whole_vectors(C)
    for t in range(n):
        image, i, j = _unravel_tile(first + t, rows, columns)
        top, left = OUTPUT * i - padding, OUTPUT * j - padding
        start = ((image * H + top) * W + left) * C
        is_inside = top >= 0 and left >= 0 and top + TILE <= H and left + TILE <= W
        for c in range(0, C, LANES):
            to = t * whole + c
            if is_inside and c + LANES <= C:
                transform_input(source, start + c, W * C, C, target, to, TILE * distance, distance)
                continue
            zero = zeros_like(load(buffer, 0))
            for a in range(TILE):
                for b in range(TILE):
                    d = zero
                    if 0 <= top + a < H and 0 <= left + b < W:
                        d = load_partial(source, start + (a * W + b) * C + c, C - c)
                    store(buffer, (a * TILE + b) * LANES, d)
            transform_input(buffer, ZERO, TILE * lanes, lanes, target, to, TILE * distance, distance)


@jit
def scatter_outputs(M, bias, clip_min, y, first, n, rows, columns, outputs, tile):
    """y (N, Ho, Wo, D) = max(A^T m A + bias, clip_min) of the tiles m number first .. first + n - 1: a range of its D outputs."""
    _, H, W, D = y.shape
    source, target, buffer, distance, lanes = pointer(M), pointer(y), pointer(tile), M.shape[1], LANES
    whole, offset = whole_vectors(D), pointer(bias)
    for t in range(n):
        image, i, j = _unravel_tile(first + t, rows, columns)
        height, width = min(OUTPUT, H - OUTPUT * i), min(OUTPUT, W - OUTPUT * j)
        start = ((image * H + OUTPUT * i) * W + OUTPUT * j) * D
        for c in range(outputs[0], min(outputs[1], D), LANES):
            transform_output(source, t * whole + c, TILE * distance, distance, buffer, ZERO, OUTPUT * lanes, lanes)
            b = load_partial(offset, c, D - c)
            least = clip_min + zeros_like(b)
            for p in range(height):
                for q in range(width):
                    total = load(buffer, (p * OUTPUT + q) * LANES) + b
                    total = select_gt(least, total, least, total)
                    store_partial(target, start + (p * W + q) * D + c, total, D - c)


@jit
def gather_gradients(dy, y, masked, first, n, rows, columns, M, S, tile):
    """M = A g A^T of the tiles of g, which is dy (N, Ho, Wo, D) where y > 0 if `masked`; S (tiles, D) has their sums."""
    _, H, W, D = dy.shape
    source, relu, target, totals, buffer = pointer(dy), pointer(y), pointer(M), pointer(S), pointer(tile)
    distance, lanes, whole = M.shape[1], LANES, whole_vectors(D)
    for t in range(n):
        image, i, j = _unravel_tile(first + t, rows, columns)
        height, width = min(OUTPUT, H - OUTPUT * i), min(OUTPUT, W - OUTPUT * j)
        start = ((image * H + OUTPUT * i) * W + OUTPUT * j) * D
        for c in range(0, D, LANES):
            zero = zeros_like(load(buffer, 0))
            total = zero
            for p in range(OUTPUT):
                for q in range(OUTPUT):
                    g = zero
                    if p < height and q < width:
                        at = start + (p * W + q) * D + c
                        g = load_partial(source, at, D - c)
                        if masked:
                            g = select_gt(load_partial(relu, at, D - c), zero, g, zero)
                        total = total + g
                    store(buffer, (p * OUTPUT + q) * LANES, g)
            store(totals, t * whole + c, total)
            transform_output_adjoint(
                buffer, ZERO, OUTPUT * lanes, lanes, target, t * whole + c, TILE * distance, distance
            )


@jit
def scatter_gradients(V, dx, padding, first, n, rows, columns, tile):
    """dx (N, H, W, C) = the sum of B v B^T of the tiles v, of which number first .. first + n - 1 are added.

    Tiles overlap by two pixels. Those above and to the left come first, so what overlaps them is added, the rest written.
    """
    _, H, W, C = dx.shape
    source, target, buffer, distance, lanes = pointer(V), pointer(dx), pointer(tile), V.shape[1], LANES
    whole = whole_vectors(C)
    for t in range(n):
        image, i, j = _unravel_tile(first + t, rows, columns)
        top, left = OUTPUT * i - padding, OUTPUT * j - padding
        start = ((image * H + top) * W + left) * C
        for c in range(0, C, LANES):
            transform_input_adjoint(source, t * whole + c, TILE * distance, distance, buffer, ZERO, TILE * lanes, lanes)
            for a in range(max(0, -top), min(TILE, H - top)):
                for b in range(max(0, -left), min(TILE, W - left)):
                    at, d = start + (a * W + b) * C + c, load(buffer, (a * TILE + b) * LANES)
                    if (i > 0 and a < TILE - OUTPUT) or (j > 0 and b < TILE - OUTPUT):
                        d = load_partial(target, at, C - c) + d
                    store_partial(target, at, d, C - c)


@jit
def _unravel_tile(tile, rows, columns):
    """Of the tile with this number: its image, and its row and column among that image's tiles."""
    image, ij = divmod(tile, rows * columns)
    i, j = divmod(ij, columns)
    return image, i, j


@jit
def whole_vectors(columns):
    """Columns in whole vectors."""
    return (columns + LANES - 1) // LANES * LANES
