"""Pooling windows, a thread per element; the backward passes gather, too; see engine.kernels.cpu.pooling."""

import numpy as np
from numba import cuda

from engine.device import cuda_version_of
from engine.kernels.cpu import pooling as cpu
from engine.kernels.cpu.pooling import clipped_window, covering_windows, replaces_maximum, window_size
from engine.kernels.cuda.launch import launch_1d, unravel


@cuda_version_of(cpu.max_forward)
def max_forward(x, y, argmax, kernel, stride, padding):
    launch_1d(_max_forward, y.size, x, y, argmax, kernel, stride, padding)


@cuda_version_of(cpu.max_backward)
def max_backward(dy, argmax, dx, kernel, stride, padding):
    launch_1d(_max_backward, dx.size, dy, argmax, dx, kernel, stride, padding)


@cuda_version_of(cpu.average_forward)
def average_forward(x, y, kernel, stride, padding):
    launch_1d(_average_forward, y.size, x, y, kernel, stride, padding)


@cuda_version_of(cpu.average_backward)
def average_backward(dy, dx, kernel, stride, padding):
    launch_1d(_average_backward, dx.size, dy, dx, kernel, stride, padding)


@cuda_version_of(cpu.mean_forward)
def mean_forward(x, y):
    launch_1d(_mean_forward, y.size, x, y)


@cuda_version_of(cpu.mean_backward)
def mean_backward(dy, dx):
    launch_1d(_mean_backward, dx.size, dy, dx)


@cuda.jit
def _max_forward(x, y, argmax, kernel, stride, padding):
    _, H, W, C = x.shape
    _, Ho, Wo, _ = y.shape
    for e in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        n, i, j, c = unravel(e, Ho, Wo, C)
        top, first_h, end_h = clipped_window(i, H, kernel, stride, padding)
        left, first_w, end_w = clipped_window(j, W, kernel, stride, padding)
        maximum, tap = x[n, first_h, first_w, c], (first_h - top) * kernel + (first_w - left)
        for h in range(first_h, end_h):
            for w in range(first_w, end_w):
                if replaces_maximum(x[n, h, w, c], maximum):
                    maximum, tap = x[n, h, w, c], (h - top) * kernel + (w - left)
        y[n, i, j, c] = maximum
        if argmax is not None:
            argmax[n, i, j, c] = tap


@cuda.jit
def _max_backward(dy, argmax, dx, kernel, stride, padding):
    _, H, W, C = dx.shape
    _, Ho, Wo, _ = dy.shape
    for e in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        n, h, w, c = unravel(e, H, W, C)
        total = dx.dtype.type(0)
        first_i, end_i = covering_windows(h, Ho, kernel, stride, padding)
        first_j, end_j = covering_windows(w, Wo, kernel, stride, padding)
        for i in range(first_i, end_i):
            for j in range(first_j, end_j):
                if argmax[n, i, j, c] == (h + padding - i * stride) * kernel + (w + padding - j * stride):
                    total += dy[n, i, j, c]
        dx[n, h, w, c] = total


@cuda.jit
def _average_forward(x, y, kernel, stride, padding):
    _, H, W, C = x.shape
    _, Ho, Wo, _ = y.shape
    for e in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        n, i, j, c = unravel(e, Ho, Wo, C)
        _, first_h, end_h = clipped_window(i, H, kernel, stride, padding)
        _, first_w, end_w = clipped_window(j, W, kernel, stride, padding)
        total = np.float64(0)
        for h in range(first_h, end_h):
            for w in range(first_w, end_w):
                total += x[n, h, w, c]
        area = window_size(i, H, kernel, stride, padding) * window_size(j, W, kernel, stride, padding)
        y[n, i, j, c] = total / area


@cuda.jit
def _average_backward(dy, dx, kernel, stride, padding):
    _, H, W, C = dx.shape
    _, Ho, Wo, _ = dy.shape
    for e in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        n, h, w, c = unravel(e, H, W, C)
        total = np.float64(0)
        first_i, end_i = covering_windows(h, Ho, kernel, stride, padding)
        first_j, end_j = covering_windows(w, Wo, kernel, stride, padding)
        for i in range(first_i, end_i):
            for j in range(first_j, end_j):
                area = window_size(i, H, kernel, stride, padding) * window_size(j, W, kernel, stride, padding)
                total += dy[n, i, j, c] / np.float64(area)
        dx[n, h, w, c] = total


@cuda.jit
def _mean_forward(x, y):
    _, P, C = x.shape
    for e in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        n, c = e // C, e % C
        total = np.float64(0)
        for p in range(P):
            total += x[n, p, c]
        y[n, c] = total / P


@cuda.jit
def _mean_backward(dy, dx):
    _, P, C = dx.shape
    for e in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        c, pixel = e % C, e // C
        dx[pixel // P, pixel % P, c] = dy[pixel // P, c] / dy.dtype.type(P)
