"""Windows of k x k pixels, s apart, over images that are padded by p: how many fit, and their pixels."""

from __future__ import annotations

import numpy as np

from engine.errors import UserError
from engine.typing import Array, Shape, is_whole


def windows(extent: int, kernel: int, stride: int, padding: int, ceil: bool = False) -> int:
    """The number of windows along an axis of `extent` pixels.

        floor mode: floor((extent + 2 p - k) / s) + 1
        ceil mode:  ceil((extent + 2 p - k) / s) + 1, less a last window that would begin in the right padding

    So in ceil mode a window that is less than a stride longer than the padded image still counts as one. Raises UserError where
    none does.

    Source: Caffe, pooling_layer.cpp (the clipping rule); PyTorch follows the same rule.
    """
    slack = extent + 2 * padding - kernel
    if slack < 0 and not (ceil and slack > -stride):
        raise UserError(
            f"a window of {kernel} pixels does not fit an image of {extent} with padding {padding}: "
            "use a smaller kernel or more padding."
        )
    count = (-(-slack // stride) if ceil else slack // stride) + 1
    if ceil and (count - 1) * stride >= extent + padding:
        count -= 1
    return count


def check_window(kernel: int, stride: int, padding: int, pooling: bool = False) -> None:
    """Raise unless kernel and stride are at least 1, and the padding is from 0 to kernel - 1 (half of it in pooling)."""
    if not all(is_whole(n) for n in (kernel, stride, padding)):
        raise UserError(
            f"kernel {kernel!r}, stride {stride!r}, padding {padding!r} make no window: whole numbers are needed."
        )
    most = max(kernel // 2 if pooling else kernel - 1, 0)
    if kernel < 1 or stride < 1 or not 0 <= padding <= most:
        raise UserError(
            f"kernel {kernel}, stride {stride}, padding {padding} make no window: kernel and stride must be 1 or more, "
            f"and the padding from 0 to {most}."
        )


def gather_windows(x: Array, window: tuple[int, int, int], shape: Shape, outside: float = 0.0) -> Array:
    """V (N, Ho, Wo, k k, C): V_nij,(a k + b),c = x_n,(i s - p + a),(j s - p + b),c, and `outside` beyond the image.

    x (N, H, W, C), window (k, s, p), shape (Ho, Wo, ...). Plain NumPy, for the layers' references.

    >>> x = np.arange(6.0).reshape(1, 2, 3, 1)
    >>> gather_windows(x, (2, 1, 0), (1, 2)).reshape(2, 4).tolist()
    [[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0]]
    """
    (k, s, p), (Ho, Wo) = window, shape[:2]
    pad = (p, p + s)  # in ceil mode the last window ends less than a stride behind the padding
    padded = np.pad(x, ((0, 0), pad, pad, (0, 0)), constant_values=outside)
    taps = [padded[:, a : a + s * Ho : s, b : b + s * Wo : s] for a in range(k) for b in range(k)]
    return np.stack(taps, axis=3)


def scatter_windows(dV: Array, window: tuple[int, int, int], shape: Shape) -> Array:
    """dx (N, H, W, C), the adjoint of `gather_windows`: a pixel's dx is the sum of dV over all windows that hold it.

    dV (N, Ho, Wo, k k, C), window (k, s, p), shape that of x.

    >>> scatter_windows(np.ones((1, 1, 2, 4, 1)), (2, 1, 0), (1, 2, 3, 1)).reshape(2, 3).tolist()
    [[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]
    """
    (k, s, p), (N, H, W, C), (_, Ho, Wo, *_) = window, shape, dV.shape
    padded = np.zeros((N, H + 2 * p + s, W + 2 * p + s, C), dV.dtype)
    for a in range(k):
        for b in range(k):
            padded[:, a : a + s * Ho : s, b : b + s * Wo : s] += dV[:, :, :, a * k + b]
    return padded[:, p : p + H, p : p + W]
