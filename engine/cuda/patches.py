"""Patches and the way back, a thread a number; see engine.kernels.patches."""

from numba import cuda

from engine.cuda.launching import each, place_of
from engine.kernels.patches import window_at


def patches_forward(x, p, kernel, stride, padding):
    each(_patches_forward, p.size, x, p, kernel, stride, padding)


def patches_backward(dp, dx, kernel, stride, padding):
    each(_patches_backward, dx.size, dp, dx, kernel, stride, padding)


@cuda.jit
def _patches_forward(x, p, kernel, stride, padding):
    _, H, W, C = x.shape
    _, Ho, Wo, row = p.shape
    for e in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        n, i, j, t = place_of(e, Ho, Wo, row)
        h, w = i * stride - padding + t // (kernel * C), j * stride - padding + t // C % kernel
        inside = 0 <= h < H and 0 <= w < W
        p[n, i, j, t] = x[n, h, w, t % C] if inside else x.dtype.type(0)


@cuda.jit
def _patches_backward(dp, dx, kernel, stride, padding):
    _, H, W, C = dx.shape
    _, Ho, Wo, _ = dp.shape
    for e in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        n, h, w, c = place_of(e, H, W, C)
        total = dx.dtype.type(0)
        for a in range(kernel):
            i = window_at(h + padding - a, stride, Ho)
            if i >= 0:
                for b in range(kernel):
                    j = window_at(w + padding - b, stride, Wo)
                    if j >= 0:
                        total += dp[n, i, j, (a * kernel + b) * C + c]
        dx[n, h, w, c] = total
