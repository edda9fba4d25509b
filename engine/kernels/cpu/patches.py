"""Patches: windows of k x k pixels as the rows of a matrix (im2col), so that a convolution is a matrix product; and its adjoint.

The windows of images (N, H, W, C) are numbered image by image, row by row; the kernels take any range of them.
"""

import numpy as np

from engine.codegen.jit import jit
from engine.codegen.pointers import load, pointer, store
from engine.codegen.simd import LANES
from engine.typing import Array, Shape


def patches_reference(x: Array, kernel: int, stride: int, padding: int) -> Array:
    """P (N Ho Wo, k k C): all windows of x (N, H, W, C), zeros outside the image."""
    k, s, p = kernel, stride, padding
    padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))[:, ::s, ::s]  # (N, Ho, Wo, C, k, k)
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, k * k * x.shape[3])


def patches_adjoint_reference(dP: Array, shape: Shape, kernel: int, stride: int, padding: int) -> Array:
    """dx (N, H, W, C), of this shape: a pixel is copied into every window that holds it, so their gradients add up in it."""
    (N, H, W, C), k, s, p = shape, kernel, stride, padding
    Ho, Wo = (window_count(extent, k, s, p) for extent in (H, W))
    dwindows, dpadded = dP.reshape(N, Ho, Wo, k, k, C), np.zeros((N, H + 2 * p, W + 2 * p, C), dP.dtype)
    for a, b in np.ndindex(k, k):
        dpadded[:, a : a + s * Ho : s, b : b + s * Wo : s] += dwindows[:, :, :, a, b]
    return dpadded[:, p : p + H, p : p + W]


@jit
def window_count(extent, kernel, stride, padding):
    """How many windows an axis has."""
    return (extent + 2 * padding - kernel) // stride + 1


@jit
def unravel_window(window, H, W, kernel, stride, padding):
    """Of the window with this number: its image, and its row and column among that image's windows."""
    Ho, Wo = window_count(H, kernel, stride, padding), window_count(W, kernel, stride, padding)
    image, ij = divmod(window, Ho * Wo)
    i, j = divmod(ij, Wo)
    return image, i, j


@jit
def next_window(image, i, j, Ho, Wo):
    """The indices of the next window: dividing anew for each would take as long as copying it."""
    j += 1
    if j == Wo:
        i, j = i + 1, 0
    if i == Ho:
        image, i = image + 1, 0
    return image, i, j


@jit
def window_span(i, j, W, C, kernel, stride, padding):
    """A window's first row, and the offset of its k C elements in a row of W C; negative or too large where outside.

    Then begin and end: of these k C elements, those inside the image.
    """
    left, length = (j * stride - padding) * C, kernel * C
    return i * stride - padding, left, min(max(0, -left), length), max(min(length, W * C - left), 0)


@jit
def patches_forward(x, p, first, kernel, stride, padding):
    """p (n, k k C) = the windows number first .. first + n - 1 of x (N, H, W, C), zeros outside the image.

    Windows inside the image are copied in whole vectors: what one writes too far is overwritten by the next.
    """
    _, H, W, C = x.shape
    Ho, Wo, length = window_count(H, kernel, stride, padding), window_count(W, kernel, stride, padding), kernel * C
    in_vectors = -(-length // LANES) * LANES
    source, target = pointer(x), pointer(p)
    image, i, j = unravel_window(first, H, W, kernel, stride, padding)
    for r in range(len(p)):
        top, left, begin, end = window_span(i, j, W, C, kernel, stride, padding)
        at, to = ((image * H + top) * W) * C + left, r * kernel * length
        last, to_last = at + (kernel - 1) * W * C, to + (kernel - 1) * length
        is_inside = end - begin == length and 0 <= top <= H - kernel
        if is_inside and last + in_vectors <= x.size and to_last + in_vectors <= p.size:
            for a in range(kernel):
                for t in range(0, length, LANES):
                    store(target, to + a * length + t, load(source, at + a * W * C + t))
        else:
            for a in range(kernel):
                in_image = 0 <= top + a < H
                row, row_to = at + a * W * C, to + a * length
                _copy_padded(
                    source, row, target, row_to, begin if in_image else length, end if in_image else length, length
                )
        image, i, j = next_window(image, i, j, Ho, Wo)


@jit
def _copy_padded(source, at, target, to, begin, end, length):
    """Of `length` elements those from begin to end are copied, the others are 0."""
    for t in range(begin):
        target[to + t] = 0
    for t in range(begin, end):
        target[to + t] = source[at + t]
    for t in range(max(begin, end), length):
        target[to + t] = 0


@jit
def patches_backward(dp, dx, first, kernel, stride, padding):
    """dx (N, H, W, C) += the gradients dp (n, k k C) of windows number first .. first + n - 1, where they overlap."""
    _, H, W, C = dx.shape
    Ho, Wo, length = window_count(H, kernel, stride, padding), window_count(W, kernel, stride, padding), kernel * C
    source, target = pointer(dp), pointer(dx)
    image, i, j = unravel_window(first, H, W, kernel, stride, padding)
    for r in range(len(dp)):
        top, left, begin, end = window_span(i, j, W, C, kernel, stride, padding)
        for a in range(max(0, -top), min(kernel, H - top)):
            at, to = (r * kernel + a) * length, ((image * H + top + a) * W) * C + left
            for t in range(begin, end):
                target[to + t] += source[at + t]
        image, i, j = next_window(image, i, j, Ho, Wo)
