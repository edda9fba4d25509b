"""Maxout, a thread per element; see engine.kernels.cpu.maxout."""

from numba import cuda

from engine.device import cuda_version_of
from engine.kernels.cpu import maxout as cpu
from engine.kernels.cpu.pooling import replaces_maximum
from engine.kernels.cuda.launch import launch_1d


@cuda_version_of(cpu.forward)
def forward(x, y, argmax):
    launch_1d(_forward, y.size, x, y, argmax)


@cuda_version_of(cpu.backward)
def backward(dy, argmax, dx):
    launch_1d(_backward, dx.size, dy, argmax, dx)


@cuda.jit
def _forward(x, y, argmax):
    _, C, k = x.shape
    for e in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        r, c = e // C, e % C
        maximum, at = x[r, c, 0], 0
        for j in range(1, k):
            if replaces_maximum(x[r, c, j], maximum):
                maximum, at = x[r, c, j], j
        y[r, c], argmax[r, c] = maximum, at


@cuda.jit
def _backward(dy, argmax, dx):
    _, C, k = dx.shape
    for e in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        j, group = e % k, e // k
        r, c = group // C, group % C
        dx[r, c, j] = dy[r, c] if argmax[r, c] == j else dy.dtype.type(0)
