"""From the bytes of a data set to a batch of images; the equations are in engine.kernels.cpu.images."""

import numpy as np
from numba import cuda, int64

from engine.device import cuda_version_of
from engine.kernels.cpu import images as cpu
from engine.kernels.cpu.images import contrast_of, crop_of
from engine.kernels.cuda.launch import THREADS, launch_1d, launch_blocks, reduce_sum, unravel
from engine.random import child

_ZERO = np.uint64(0)


def gather(source, index, out):
    """out (N, D) = the rows `index` (N,) of source (n, D)."""
    launch_1d(_gather, out.size, source, index, out)


@cuda_version_of(cpu.scale)
def scale(pixels, x, factor, shift):
    launch_1d(_scale, x.size, pixels, x, factor, shift)


@cuda_version_of(cpu.contrast)
def contrast(pixels, x, norm):
    launch_blocks(_contrast, len(x), pixels, x, norm)


@cuda_version_of(cpu.centre)
def centre(x, mean):
    launch_1d(_centre, x.size, x, mean)


@cuda_version_of(cpu.crop_flip)
def crop_flip(x, y, padding, first_sample, key, draw):
    """As on the CPU; for `key` and `draw` see engine.kernels.cuda.elementwise.dropout_forward."""
    launch_1d(_crop_flip, y.size, x, y, padding, first_sample, key, draw)


@cuda.jit
def _gather(source, index, out):
    D = out.shape[1]
    for e in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[e // D, e % D] = source[index[e // D], e % D]


@cuda.jit
def _scale(pixels, x, factor, shift):
    C = x.shape[1]
    for e in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        r, c = e // C, e % C
        x[r, c] = pixels[r, c] * factor[c] - shift[c]


@cuda.jit
def _centre(x, mean):
    D = x.shape[1]
    for e in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        x[e // D, e % D] -= mean[e % D]


@cuda.jit
def _contrast(pixels, x, norm):
    """A block per image; the sums are integers, so their order does not matter."""
    totals = cuda.shared.array(THREADS, int64)
    squares = cuda.shared.array(THREADS, int64)
    n, t, D = cuda.blockIdx.x, cuda.threadIdx.x, pixels.shape[1]
    totals[t] = 0
    squares[t] = 0
    for d in range(t, D, THREADS):
        p = np.int64(pixels[n, d])
        totals[t] += p
        squares[t] += p * p
    reduce_sum(totals, t)
    reduce_sum(squares, t)
    mean, factor = contrast_of(totals[0], squares[0], D, norm)
    for d in range(t, D, THREADS):
        x[n, d] = (pixels[n, d] - mean) * factor


@cuda.jit
def _crop_flip(x, y, padding, first_sample, key, draw):
    _, H, W, C = x.shape
    k0, k1 = child(np.uint64(draw), _ZERO, key[0], key[1])
    for e in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        n, i, j, c = unravel(e, H, W, C)
        top, left, flip = crop_of(first_sample + n, padding, k0, k1)
        h, w = i + top, (W - 1 - j if flip else j) + left
        inside = 0 <= h < H and 0 <= w < W
        y[n, i, j, c] = x[n, h, w, c] if inside else x.dtype.type(0)
