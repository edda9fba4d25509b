"""Pooling windows: the largest or the mean of each window, and the way back, vectorised over the channels."""

from engine.codegen.jit import jit
from engine.codegen.simd import LANES, load, load_bytes, pointer, select_eq, select_gt, store, store_bytes, zeros_like


@jit
def first_window(pixel, padding, kernel, stride):
    """The first window (in one direction) that holds `pixel`: ceil((pixel + padding - kernel + 1) / stride), at least 0."""
    return max(0, -((kernel - 1 - pixel - padding) // stride))


@jit
def max_forward(x, y, place, kernel, stride, padding):
    """x (N, H, W, C) -> y (N, Ho, Wo, C), and the place of each maximum in its window, a k + b, (N, Ho, Wo, C) uint8.

    The first of equal values wins, in reading order; the largest so far and its place stay in registers.
    """
    N, H, W, C = x.shape
    _, Ho, Wo, _ = y.shape
    whole = C - C % LANES
    x_at, y_at, place_at = pointer(x), pointer(y), pointer(place)
    for n in range(N):
        for i in range(Ho):
            top = i * stride - padding
            first_h, last_h = max(0, top), min(H, top + kernel)
            for j in range(Wo):
                left = j * stride - padding
                first_w, last_w = max(0, left), min(W, left + kernel)
                begin, to = ((n * H + first_h) * W + first_w) * C, ((n * Ho + i) * Wo + j) * C
                here = (first_h - top) * kernel + first_w - left
                for c in range(0, whole, LANES):
                    largest = load(x_at, begin + c)
                    zero = zeros_like(largest)
                    chosen = here + zero
                    for h in range(first_h, last_h):
                        for w in range(first_w, last_w):
                            v = load(x_at, ((n * H + h) * W + w) * C + c)
                            chosen = select_gt(v, largest, (h - top) * kernel + (w - left) + zero, chosen)
                            largest = select_gt(v, largest, v, largest)
                    store(y_at, to + c, largest)
                    store_bytes(place_at, to + c, chosen)
                for c in range(whole, C):
                    y[n, i, j, c], place[n, i, j, c] = x[n, first_h, first_w, c], here
                    for h in range(first_h, last_h):
                        for w in range(first_w, last_w):
                            if x[n, h, w, c] > y[n, i, j, c]:
                                y[n, i, j, c] = x[n, h, w, c]
                                place[n, i, j, c] = (h - top) * kernel + (w - left)


@jit
def max_backward(dy, place, dx, kernel, stride, padding):
    """dx (N, H, W, C): a pixel gathers dy from those of its windows whose maximum it was, all channels of one before the next."""
    N, H, W, C = dx.shape
    _, Ho, Wo, _ = dy.shape
    whole = C - C % LANES
    dy_at, place_at, dx_at = pointer(dy), pointer(place), pointer(dx)
    for n in range(N):
        for h in range(H):
            first_i, last_i = first_window(h, padding, kernel, stride), min(Ho, (h + padding) // stride + 1)
            for w in range(W):
                first_j, last_j = first_window(w, padding, kernel, stride), min(Wo, (w + padding) // stride + 1)
                to = ((n * H + h) * W + w) * C
                for c in range(0, whole, LANES):
                    store(dx_at, to + c, zeros_like(load(dx_at, to + c)))
                for i in range(first_i, last_i):
                    for j in range(first_j, last_j):
                        at = ((n * Ho + i) * Wo + j) * C
                        here = (h + padding - i * stride) * kernel + (w + padding - j * stride)
                        for c in range(0, whole, LANES):
                            total = load(dx_at, to + c)
                            zero = zeros_like(total)
                            chosen = load_bytes(place_at, at + c, zero)
                            store(dx_at, to + c, total + select_eq(chosen, here + zero, load(dy_at, at + c), zero))
                for c in range(whole, C):
                    dx[n, h, w, c] = 0
                    for i in range(first_i, last_i):
                        for j in range(first_j, last_j):
                            here = (h + padding - i * stride) * kernel + (w + padding - j * stride)
                            dx[n, h, w, c] += dy[n, i, j, c] if place[n, i, j, c] == here else 0


@jit
def window_size(i, extent, kernel, stride, padding):
    """The length of window i inside the padded image: what an average is divided by (Caffe's and PyTorch's rule)."""
    start = i * stride - padding
    return min(start + kernel, extent + padding) - start


@jit
def average_forward(x, y, kernel, stride, padding):
    """x (N, H, W, C) -> y (N, Ho, Wo, C): the mean over each window, padding counted as zeros."""
    N, H, W, C = x.shape
    _, Ho, Wo, _ = y.shape
    for n in range(N):
        for i in range(Ho):
            for j in range(Wo):
                top, left = i * stride - padding, j * stride - padding
                for c in range(C):
                    y[n, i, j, c] = 0
                for h in range(max(0, top), min(H, top + kernel)):
                    for w in range(max(0, left), min(W, left + kernel)):
                        for c in range(C):
                            y[n, i, j, c] += x[n, h, w, c]
                area = window_size(i, H, kernel, stride, padding) * window_size(j, W, kernel, stride, padding)
                for c in range(C):
                    y[n, i, j, c] /= area


@jit
def average_backward(dy, dx, kernel, stride, padding):
    """dx (N, H, W, C): a pixel gathers its share, dy / area, from each window that holds it."""
    N, H, W, C = dx.shape
    _, Ho, Wo, _ = dy.shape
    for n in range(N):
        for h in range(H):
            for w in range(W):
                for c in range(C):
                    dx[n, h, w, c] = 0
                for i in range(first_window(h, padding, kernel, stride), min(Ho, (h + padding) // stride + 1)):
                    for j in range(first_window(w, padding, kernel, stride), min(Wo, (w + padding) // stride + 1)):
                        area = window_size(i, H, kernel, stride, padding) * window_size(j, W, kernel, stride, padding)
                        for c in range(C):
                            dx[n, h, w, c] += dy[n, i, j, c] / area


@jit
def mean_forward(x, y):
    """y (N, C): the mean of x (N, P, C) over the pixels."""
    N, P, C = x.shape
    for n in range(N):
        for c in range(C):
            y[n, c] = 0
        for p in range(P):
            for c in range(C):
                y[n, c] += x[n, p, c]
        for c in range(C):
            y[n, c] /= P


@jit
def mean_backward(dy, dx):
    """dx (N, P, C) = dy (N, C) / P for every pixel."""
    N, P, C = dx.shape
    for n in range(N):
        for p in range(P):
            for c in range(C):
                dx[n, p, c] = dy[n, c] / P
