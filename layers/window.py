"""How many windows of k pixels, s apart, fit an image that is padded by p on each side."""

from __future__ import annotations

from engine.errors import UserError


def windows(extent: int, kernel: int, stride: int, padding: int, ceil: bool = False) -> int:
    """The number of windows along an axis of `extent` pixels.

        floor mode: floor((extent + 2 p - k) / s) + 1
        ceil mode:  ceil((extent + 2 p - k) / s) + 1, less a last window that would begin in the right padding

    Source: Caffe, pooling_layer.cpp (the clipping rule); PyTorch follows the same rule.
    """
    room = extent + 2 * padding - kernel
    if room < 0:
        raise UserError(
            f"a window of {kernel} pixels does not fit an image of {extent} with padding {padding}: "
            "use a smaller kernel or more padding."
        )
    count = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= extent + padding:
        count -= 1
    return count


def check_window(kernel: int, stride: int, padding: int, pooling: bool = False) -> None:
    """Raise unless kernel and stride are at least 1, and the padding is from 0 to kernel - 1 (half of it in pooling)."""
    most = max(kernel // 2 if pooling else kernel - 1, 0)
    if kernel < 1 or stride < 1 or not 0 <= padding <= most:
        raise UserError(
            f"kernel {kernel}, stride {stride}, padding {padding} make no window: kernel and stride must be 1 or more, "
            f"and the padding from 0 to {most}."
        )
