"""Normalisation of rows, a thread per element or per vector; see engine.kernels.cpu.normalise."""

import math

import numpy as np
from numba import cuda

from engine.device import cuda_version_of
from engine.kernels.cpu import normalise as cpu
from engine.kernels.cpu.normalise import divided, ds_of, inverse_power
from engine.kernels.cuda.launch import launch_1d


@cuda_version_of(cpu.lrn_forward)
def lrn_forward(x, y, s, size, alpha, beta, k):
    launch_1d(_lrn_forward, x.size, x, y, s, size, alpha, beta, k)


@cuda_version_of(cpu.lrn_backward)
def lrn_backward(x, s, dy, dx, size, alpha, beta):
    launch_1d(_lrn_backward, dx.size, x, s, dy, dx, size, alpha, beta)


@cuda_version_of(cpu.l2_forward)
def l2_forward(x, y, r):
    launch_1d(_l2_forward, r.size, x, y, r)


@cuda_version_of(cpu.l2_backward)
def l2_backward(y, r, dy, dx):
    launch_1d(_l2_backward, r.size, y, r, dy, dx)


@cuda.jit
def _lrn_forward(x, y, s, size, alpha, beta, k):
    C, half = x.shape[1], size // 2
    for e in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        r, c = e // C, e % C
        total = x.dtype.type(0)
        for j in range(max(0, c - half), min(C, c + half + 1)):
            total += x[r, j] * x[r, j]
        s_c = k + alpha * total
        if s is not None:
            s[r, c] = s_c
        y[r, c] = x[r, c] * inverse_power(s_c, beta)


@cuda.jit
def _lrn_backward(x, s, dy, dx, size, alpha, beta):
    C, half = x.shape[1], size // 2
    for e in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        r, c = e // C, e % C
        total = x.dtype.type(0)
        for j in range(max(0, c - half), min(C, c + half + 1)):
            total += ds_of(x[r, j], s[r, j], dy[r, j], beta)
        dx[r, c] = dy[r, c] * inverse_power(s[r, c], beta) + (alpha + alpha) * x[r, c] * total


@cuda.jit
def _l2_forward(x, y, r):
    rows, C = x.shape
    for i in range(cuda.grid(1), rows, cuda.gridsize(1)):
        total = np.float64(0)
        for c in range(C):
            total += np.float64(x[i, c]) * np.float64(x[i, c])
        r[i] = math.sqrt(total)
        for c in range(C):
            y[i, c] = divided(x[i, c], r[i])


@cuda.jit
def _l2_backward(y, r, dy, dx):
    rows, C = y.shape
    for i in range(cuda.grid(1), rows, cuda.gridsize(1)):
        along = np.float64(0)
        for c in range(C):
            along += np.float64(y[i, c]) * np.float64(dy[i, c])
        for c in range(C):
            dx[i, c] = divided(dy[i, c] - y[i, c] * along, r[i])
