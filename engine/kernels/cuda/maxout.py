"""Maxout, a thread a number; see engine.kernels.cpu.maxout."""

from numba import cuda

from engine.device import cuda_version_of
from engine.kernels.cpu import maxout as cpu
from engine.kernels.cuda.launch import launch_1d


@cuda_version_of(cpu.forward)
def forward(x, y, place):
    launch_1d(_forward, y.size, x, y, place)


@cuda_version_of(cpu.backward)
def backward(dy, place, dx):
    launch_1d(_backward, dx.size, dy, place, dx)


@cuda.jit
def _forward(x, y, place):
    _, C, k = x.shape
    for e in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        r, c = e // C, e % C
        best, at = x[r, c, 0], 0
        for j in range(1, k):
            if x[r, c, j] > best or x[r, c, j] != x[r, c, j]:
                best, at = x[r, c, j], j
        y[r, c], place[r, c] = best, at


@cuda.jit
def _backward(dy, place, dx):
    _, C, k = dx.shape
    for e in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        j, group = e % k, e // k
        r, c = group // C, group % C
        dx[r, c, j] = dy[r, c] if place[r, c] == j else dy.dtype.type(0)
