"""Patches: windows of k x k pixels as rows of a matrix, so that a convolution is a matrix product; and the way back.

The windows of images (N, H, W, C) are numbered image by image, row by row; the kernels take any run of them.
"""

from engine.codegen.jit import jit
from engine.codegen.simd import LANES, load, pointer, store


@jit
def window_count(extent, kernel, stride, padding):
    """How many windows an axis has."""
    return (extent + 2 * padding - kernel) // stride + 1


@jit
def place_of(window, H, W, kernel, stride, padding):
    """Of the window with this number: its image, and its row and column among that image's windows."""
    Ho, Wo = window_count(H, kernel, stride, padding), window_count(W, kernel, stride, padding)
    image, ij = divmod(window, Ho * Wo)
    i, j = divmod(ij, Wo)
    return image, i, j


@jit
def after(image, i, j, Ho, Wo):
    """The place of the next window: to divide anew for each would take as long as to copy it."""
    j += 1
    if j == Wo:
        i, j = i + 1, 0
    if i == Ho:
        image, i = image + 1, 0
    return image, i, j


@jit
def run_of(i, j, W, C, kernel, stride, padding):
    """A window's first row, and of a row's W C numbers the place where its k C begin; negative or too large where outside.

    Then begin and end: of these k C numbers, those inside the image.
    """
    left, run = (j * stride - padding) * C, kernel * C
    return i * stride - padding, left, min(max(0, -left), run), max(min(run, W * C - left), 0)


@jit
def patches_forward(x, p, first, kernel, stride, padding):
    """p (n, k k C) = the windows number first .. first + n - 1 of x (N, H, W, C), zeros outside the image.

    Windows inside the image are copied in whole vectors: what one writes too far, the next one writes again.
    """
    _, H, W, C = x.shape
    Ho, Wo, run = window_count(H, kernel, stride, padding), window_count(W, kernel, stride, padding), kernel * C
    far = -(-run // LANES) * LANES
    source, target = pointer(x), pointer(p)
    image, i, j = place_of(first, H, W, kernel, stride, padding)
    for r in range(len(p)):
        top, left, begin, end = run_of(i, j, W, C, kernel, stride, padding)
        at, to = ((image * H + top) * W) * C + left, r * kernel * run
        last, to_last = at + (kernel - 1) * W * C, to + (kernel - 1) * run
        if end - begin == run and 0 <= top <= H - kernel and last + far <= x.size and to_last + far <= p.size:
            for a in range(kernel):
                for t in range(0, run, LANES):
                    store(target, to + a * run + t, load(source, at + a * W * C + t))
        else:
            for a in range(kernel):
                inside = 0 <= top + a < H
                _copy(
                    source, at + a * W * C, target, to + a * run, begin if inside else run, end if inside else run, run
                )
        image, i, j = after(image, i, j, Ho, Wo)


@jit
def _copy(source, at, target, to, begin, end, run):
    """Of `run` numbers those from begin to end are copied, the others are 0."""
    for t in range(begin):
        target[to + t] = 0
    for t in range(begin, end):
        target[to + t] = source[at + t]
    for t in range(max(begin, end), run):
        target[to + t] = 0


@jit
def patches_backward(dp, dx, first, kernel, stride, padding):
    """dx (N, H, W, C) += the gradients dp (n, k k C) of windows number first .. first + n - 1, where they overlap."""
    _, H, W, C = dx.shape
    Ho, Wo, run = window_count(H, kernel, stride, padding), window_count(W, kernel, stride, padding), kernel * C
    source, target = pointer(dp), pointer(dx)
    image, i, j = place_of(first, H, W, kernel, stride, padding)
    for r in range(len(dp)):
        top, left, begin, end = run_of(i, j, W, C, kernel, stride, padding)
        for a in range(max(0, -top), min(kernel, H - top)):
            at, to = (r * kernel + a) * run, ((image * H + top + a) * W) * C + left
            for t in range(begin, end):
                target[to + t] += source[at + t]
        image, i, j = after(image, i, j, Ho, Wo)
