"""Maxout, a thread a number; see engine.kernels.maxout."""

from numba import cuda

from engine.cuda.launching import each


def forward(x, y, place):
    each(_forward, y.size, x, y, place)


def backward(dy, place, dx):
    each(_backward, dx.size, dy, place, dx)


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
