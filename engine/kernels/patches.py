"""Patches: every k x k window of an image as a row, so that a convolution is a matrix product; and the way back.

Both directions gather (each output element is written by one loop), so results do not depend on any order.
"""

from engine.jit import jit


@jit
def patches_forward(x, p, kernel, stride, padding):
    """x (N, H, W, C) -> p (N, Ho, Wo, k * k * C), zeros outside the image; a window's row is one run of k C numbers."""
    N, H, W, C = x.shape
    _, Ho, Wo, _ = p.shape
    run = kernel * C
    pixels = x.reshape(N, H, W * C)
    for n in range(N):
        for i in range(Ho):
            for j in range(Wo):
                left = (j * stride - padding) * C
                first, last = min(max(0, -left), run), max(min(run, W * C - left), 0)  # of the run, what is inside
                for a in range(kernel):
                    h, to = i * stride - padding + a, a * run
                    inside = 0 <= h < H
                    for t in range(0, first if inside else run):
                        p[n, i, j, to + t] = 0
                    if inside:
                        for t in range(first, last):
                            p[n, i, j, to + t] = pixels[n, h, left + t]
                        for t in range(max(first, last), run):
                            p[n, i, j, to + t] = 0


@jit
def window_at(start, stride, count):
    """Which of `count` windows begins `start` pixels into the padded image; -1 if none does."""
    i, rest = divmod(start, stride)
    return i if rest == 0 and 0 <= i < count else -1


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
                    i = window_at(h + padding - a, stride, Ho)
                    if i < 0:
                        continue
                    for b in range(kernel):
                        j = window_at(w + padding - b, stride, Wo)
                        if j < 0:
                            continue
                        start = (a * kernel + b) * C
                        for c in range(C):
                            dx[n, h, w, c] += dp[n, i, j, start + c]
