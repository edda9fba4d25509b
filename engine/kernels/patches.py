"""Patches: every k x k window of an image as a row, so that a convolution is a matrix product; and the way back.

Both directions gather (each output element is written by one loop), so results do not depend on any order.
"""

from engine.jit import jit


@jit
def patches_forward(x, p, kernel, stride, padding):
    """x (N, H, W, C) -> p (N, Ho, Wo, k * k * C), zeros outside the image."""
    N, H, W, C = x.shape
    _, Ho, Wo, _ = p.shape
    for n in range(N):
        for i in range(Ho):
            for j in range(Wo):
                for a in range(kernel):
                    h = i * stride - padding + a
                    for b in range(kernel):
                        w = j * stride - padding + b
                        inside = 0 <= h < H and 0 <= w < W
                        for c in range(C):
                            p[n, i, j, (a * kernel + b) * C + c] = x[n, h, w, c] if inside else 0


@jit
def patches_backward(dp, dx, kernel, stride, padding):
    """dp (N, Ho, Wo, k * k * C) -> dx (N, H, W, C): a pixel's gradient is the sum over the windows that hold it."""
    N, H, W, C = dx.shape
    _, Ho, Wo, _ = dp.shape
    for n in range(N):
        for h in range(H):
            for w in range(W):
                for c in range(C):
                    dx[n, h, w, c] = 0
                for a in range(kernel):
                    i, rest = divmod(h + padding - a, stride)
                    if rest != 0 or i < 0 or i >= Ho:
                        continue
                    for b in range(kernel):
                        j, rest = divmod(w + padding - b, stride)
                        if rest != 0 or j < 0 or j >= Wo:
                            continue
                        start = (a * kernel + b) * C
                        for c in range(C):
                            dx[n, h, w, c] += dp[n, i, j, start + c]
