"""Pooling windows: the maximum or the mean of each window, and the backward passes, vectorised over the channels.

Whole vectors of channels are compared by `select_gt`, which follows `replaces_maximum` lane by lane as long as there is no NaN.
Whether there is one shows in the sum of the pixels; a window whose sum is NaN is done again, channel by channel.
"""

import numpy as np

from engine.codegen.jit import jit
from engine.codegen.pointers import load, load_bytes, pointer, store, store_bytes
from engine.codegen.simd import LANES, has_nan, select_eq, select_gt, zeros_like


@jit
def replaces_maximum(value, maximum):
    """Whether a maximum so far gives way to `value`: the first of equal values is kept, and the first NaN is the largest."""
    return maximum == maximum and not value <= maximum


@jit
def clipped_window(i, extent, kernel, stride, padding):
    """The start of window i along an axis (negative in the padding), and its first pixel and its end inside the image."""
    start = i * stride - padding
    return start, max(0, start), min(extent, start + kernel)


@jit
def covering_windows(pixel, count, kernel, stride, padding):
    """The first and the end of the windows along an axis, `count` in all, that hold a pixel."""
    return max(0, -((kernel - 1 - pixel - padding) // stride)), min(count, (pixel + padding) // stride + 1)


@jit
def window_size(i, extent, kernel, stride, padding):
    """The length of window i inside the padded image: what an average is divided by (Caffe's and PyTorch's rule)."""
    start = i * stride - padding
    return min(start + kernel, extent + padding) - start


@jit
def max_forward(x, y, argmax, kernel, stride, padding):
    """x (N, H, W, C) -> y (N, Ho, Wo, C), and the tap a k + b of each maximum in its window, argmax (N, Ho, Wo, C) uint8.

    In reading order; the maximum so far and its tap stay in registers. Where argmax is None, no tap is computed.
    """
    N, H, W, C = x.shape
    _, Ho, Wo, _ = y.shape
    whole = C - C % LANES
    x_at, y_at = pointer(x), pointer(y)
    for n in range(N):
        for i in range(Ho):
            top, first_h, end_h = clipped_window(i, H, kernel, stride, padding)
            for j in range(Wo):
                left, first_w, end_w = clipped_window(j, W, kernel, stride, padding)
                begin, to = ((n * H + first_h) * W + first_w) * C, ((n * Ho + i) * Wo + j) * C
                height, width, first_tap = end_h - first_h, end_w - first_w, (first_h - top) * kernel + first_w - left
                for c in range(0, whole, LANES):
                    maximum = load(x_at, begin + c)
                    total = zero = zeros_like(maximum)
                    taps = first_tap + zero
                    for h in range(height):
                        for w in range(width):
                            value = load(x_at, begin + c + (h * W + w) * C)
                            total = total + value
                            taps = select_gt(value, maximum, first_tap + h * kernel + w + zero, taps)
                            maximum = select_gt(value, maximum, value, maximum)
                    store(y_at, to + c, maximum)
                    if argmax is not None:
                        store_bytes(pointer(argmax), to + c, taps)
                    if has_nan(total):
                        max_of_window(x, y, argmax, n, i, j, c, c + LANES, kernel, stride, padding)
                if whole < C:
                    max_of_window(x, y, argmax, n, i, j, whole, C, kernel, stride, padding)


@jit
def max_of_window(x, y, argmax, n, i, j, first_c, end_c, kernel, stride, padding):
    """`max_forward` of window (i, j) of image n, for these channels."""
    top, first_h, end_h = clipped_window(i, x.shape[1], kernel, stride, padding)
    left, first_w, end_w = clipped_window(j, x.shape[2], kernel, stride, padding)
    for c in range(first_c, end_c):
        maximum, tap = x[n, first_h, first_w, c], (first_h - top) * kernel + (first_w - left)
        for h in range(first_h, end_h):
            for w in range(first_w, end_w):
                if replaces_maximum(x[n, h, w, c], maximum):
                    maximum, tap = x[n, h, w, c], (h - top) * kernel + (w - left)
        y[n, i, j, c] = maximum
        if argmax is not None:
            argmax[n, i, j, c] = tap


@jit
def max_backward(dy, argmax, dx, kernel, stride, padding):
    """dx (N, H, W, C): a pixel gathers dy from those of its windows whose maximum it was, all channels of one before the next."""
    N, H, W, C = dx.shape
    _, Ho, Wo, _ = dy.shape
    whole = C - C % LANES
    dy_at, argmax_at, dx_at = pointer(dy), pointer(argmax), pointer(dx)
    for n in range(N):
        for h in range(H):
            first_i, end_i = covering_windows(h, Ho, kernel, stride, padding)
            for w in range(W):
                first_j, end_j = covering_windows(w, Wo, kernel, stride, padding)
                to = ((n * H + h) * W + w) * C
                for c in range(0, whole, LANES):
                    store(dx_at, to + c, zeros_like(load(dx_at, to + c)))
                for i in range(first_i, end_i):
                    for j in range(first_j, end_j):
                        at = ((n * Ho + i) * Wo + j) * C
                        tap = (h + padding - i * stride) * kernel + (w + padding - j * stride)
                        for c in range(0, whole, LANES):
                            total = load(dx_at, to + c)
                            zero = zeros_like(total)
                            taps = load_bytes(argmax_at, at + c, zero)
                            store(dx_at, to + c, total + select_eq(taps, tap + zero, load(dy_at, at + c), zero))
                for c in range(whole, C):
                    dx[n, h, w, c] = 0
                    for i in range(first_i, end_i):
                        for j in range(first_j, end_j):
                            tap = (h + padding - i * stride) * kernel + (w + padding - j * stride)
                            dx[n, h, w, c] += dy[n, i, j, c] if argmax[n, i, j, c] == tap else 0


@jit
def average_forward(x, y, kernel, stride, padding):
    """x (N, H, W, C) -> y (N, Ho, Wo, C): the mean over each window, padding counted as zeros; summed in float64."""
    N, H, W, C = x.shape
    _, Ho, Wo, _ = y.shape
    sums = np.empty(C)
    for n in range(N):
        for i in range(Ho):
            _, first_h, end_h = clipped_window(i, H, kernel, stride, padding)
            for j in range(Wo):
                _, first_w, end_w = clipped_window(j, W, kernel, stride, padding)
                sums.fill(0)
                for h in range(first_h, end_h):
                    for w in range(first_w, end_w):
                        for c in range(C):
                            sums[c] += x[n, h, w, c]
                area = window_size(i, H, kernel, stride, padding) * window_size(j, W, kernel, stride, padding)
                for c in range(C):
                    y[n, i, j, c] = sums[c] / area


@jit
def average_backward(dy, dx, kernel, stride, padding):
    """dx (N, H, W, C): a pixel gathers dy / area from each window that holds it; summed in float64."""
    N, H, W, C = dx.shape
    _, Ho, Wo, _ = dy.shape
    sums = np.empty(C)
    for n in range(N):
        for h in range(H):
            first_i, end_i = covering_windows(h, Ho, kernel, stride, padding)
            for w in range(W):
                first_j, end_j = covering_windows(w, Wo, kernel, stride, padding)
                sums.fill(0)
                for i in range(first_i, end_i):
                    for j in range(first_j, end_j):
                        area = window_size(i, H, kernel, stride, padding) * window_size(j, W, kernel, stride, padding)
                        for c in range(C):
                            sums[c] += dy[n, i, j, c] / area
                for c in range(C):
                    dx[n, h, w, c] = sums[c]


@jit
def mean_forward(x, y):
    """y (N, C): the mean of x (N, P, C) over the pixels, summed in float64."""
    N, P, C = x.shape
    sums = np.empty(C)
    for n in range(N):
        sums.fill(0)
        for p in range(P):
            for c in range(C):
                sums[c] += x[n, p, c]
        for c in range(C):
            y[n, c] = sums[c] / P


@jit
def mean_backward(dy, dx):
    """dx (N, P, C) = dy (N, C) / P for every pixel."""
    N, P, C = dx.shape
    for n in range(N):
        for p in range(P):
            for c in range(C):
                dx[n, p, c] = dy[n, c] / P
