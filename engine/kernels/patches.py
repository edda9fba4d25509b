"""Patches: every k x k window of an image as a row, so that a convolution is a matrix product; and the way back.

Both directions gather (each output element is written by one loop), so results do not depend on any order.
"""

from engine.jit import jit


@jit
def patches_forward(x, p, kernel, stride, padding):
    """x (N, H, W, C) -> p (N, Ho, Wo, k * k * C), zeros outside the image."""
    N, H, W, C = x.shape
    _, Ho, Wo, _ = p.shape
    run = kernel * C
    for n in range(N):
        for i in range(Ho):
            for j in range(Wo):
                row = p[n, i, j]
                left = j * stride - padding
                first, last = max(0, -left), min(kernel, W - left)  # the columns that lie inside the image
                for a in range(kernel):
                    h = i * stride - padding + a
                    start = a * run
                    if h < 0 or h >= H or last <= first:
                        for e in range(start, start + run):
                            row[e] = 0
                        continue
                    for e in range(start, start + first * C):
                        row[e] = 0
                    for b in range(first, last):
                        for c in range(C):
                            row[start + b * C + c] = x[n, h, left + b, c]
                    for e in range(start + last * C, start + run):
                        row[e] = 0


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
