"""Patches and their adjoint, a thread per element; see engine.kernels.cpu.patches."""

from numba import cuda

from engine.device import cuda_version_of
from engine.kernels.cpu import patches as cpu
from engine.kernels.cpu.patches import window_count
from engine.kernels.cuda.launch import launch_1d, unravel


@cuda_version_of(cpu.patches_forward)
def patches_forward(x, p, first, kernel, stride, padding):
    launch_1d(_patches_forward, p.size, x, p, first, kernel, stride, padding)


@cuda_version_of(cpu.patches_backward)
def patches_backward(dp, dx, first, kernel, stride, padding):
    launch_1d(_patches_backward, dx.size, dp, dx, first, kernel, stride, padding)


@cuda.jit(device=True)
def window_at(start, stride, count):
    """Which of `count` windows begins `start` pixels into the padded image; -1 if none does."""
    i, rest = divmod(start, stride)
    return i if rest == 0 and 0 <= i < count else -1


@cuda.jit
def _patches_forward(x, p, first, kernel, stride, padding):
    _, H, W, C = x.shape
    Ho, Wo = window_count(H, kernel, stride, padding), window_count(W, kernel, stride, padding)
    row = p.shape[1]
    for e in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        n, i, j, t = unravel(first * row + e, Ho, Wo, row)
        h, w = i * stride - padding + t // (kernel * C), j * stride - padding + t // C % kernel
        inside = 0 <= h < H and 0 <= w < W
        p[e // row, t] = x[n, h, w, t % C] if inside else x.dtype.type(0)


@cuda.jit
def _patches_backward(dp, dx, first, kernel, stride, padding):
    _, H, W, C = dx.shape
    Ho, Wo = window_count(H, kernel, stride, padding), window_count(W, kernel, stride, padding)
    for e in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        n, h, w, c = unravel(e, H, W, C)
        total = dx[n, h, w, c]
        for a in range(kernel - 1, -1, -1):  # the windows in their order, as on the CPU
            i = window_at(h + padding - a, stride, Ho)
            if i >= 0:
                for b in range(kernel - 1, -1, -1):
                    j = window_at(w + padding - b, stride, Wo)
                    r = (n * Ho + i) * Wo + j - first
                    if j >= 0 and 0 <= r < len(dp):
                        total += dp[r, (a * kernel + b) * C + c]
        dx[n, h, w, c] = total
