"""Images to spectra and back: two-dimensional FFTs, channels in pairs; see engine.ops.fft_convolution for the mathematics.

CPU only: on a GPU convolutions are matrix products.

`plane` (2, L, L + 1, LINE) is scratch: real and imaginary parts are LINE channels of an image and the LINE behind them, so that
whole cache lines are read and written. A kernel loads them into it, transforms rows and columns, and stores the result.
"""

import numpy as np

from engine.codegen.fft import fft
from engine.codegen.jit import jit
from engine.codegen.pointers import keep_alive, load, load_partial, pointer, prefetch, store, store_partial
from engine.codegen.simd import LANES, LINE, select_gt, zeros_like


@jit
def forward_transform(images, outputs, masked, spectrum, sign, plane, order, natural, reversed_, radices, roots):
    """Spectrum (F, 2, N + 1, C) of images (N, H, W, C): 2 x^_f, a row an image; sign -1 conjugates it.

    If `masked`, images are gradients behind a ReLU and count as 0 where its outputs are not positive.
    """
    N, H, W, C = images.shape
    F, L, part = len(natural), len(order), spectrum.shape[2] * C  # part: elements of the real or the imaginary part
    pitch, scratch = (L + 1) * LINE, np.zeros((2, LANES), images.dtype)
    re, im, zero, buffer = pointer(plane[0]), pointer(plane[1]), load(pointer(scratch[0]), 0), pointer(scratch[1])
    source, relu, target, roots = pointer(images), pointer(outputs), pointer(spectrum), pointer(roots)
    for n in range(N):
        for c in range(0, C, 2 * LINE):
            left = C - c  # channels from the first one on, of which the second ones begin a line later
            for i in range(L):
                for j in range(L):
                    point, pixel = order[i] * pitch + order[j] * LINE, ((n * H + i) * W + j) * C + c
                    is_inside = i < H and j < W
                    if is_inside:  # prefetch the same pixel of the next channels, or of the next image
                        following = pixel + (2 * LINE if left > 2 * LINE else H * W * C - c)
                        prefetch(source, following)
                        prefetch(source, following + LINE)
                        if masked:
                            prefetch(relu, following)
                            prefetch(relu, following + LINE)
                    for k in range(0, min(LINE, left), LANES):
                        a, b = zero, zero
                        if is_inside:
                            a = _load_masked(source, relu, masked, pixel + k, left - k, zero, buffer)
                            if left - k > LINE:
                                b = _load_masked(source, relu, masked, pixel + k + LINE, left - k - LINE, zero, buffer)
                        store(re, point + k, a)
                        store(im, point + k, b)
            for k in range(0, min(LINE, left), LANES):
                for i in range(H):
                    fft(re, im, order[i] * pitch + k, LINE, L, radices, roots)
                for j in range(L):
                    fft(re, im, j * LINE + k, pitch, L, radices, roots)
            for f in range(F):
                plus, minus, to = natural[f, 0] * LINE, natural[f, 1] * LINE, 2 * f * part + n * C + c
                for k in range(0, min(LINE, left), LANES):
                    a, b, a_minus, b_minus = (
                        load(re, plus + k),
                        load(im, plus + k),
                        load(re, minus + k),
                        load(im, minus + k),
                    )
                    store_partial(target, to + k, a + a_minus, left - k, buffer)
                    store_partial(target, to + part + k, sign * (b - b_minus), left - k, buffer)
                    if left - k > LINE:
                        store_partial(target, to + LINE + k, b + b_minus, left - k - LINE, buffer)
                        store_partial(target, to + part + LINE + k, sign * (a_minus - a), left - k - LINE, buffer)
    keep_alive(scratch)


@jit
def _load_masked(source, relu, masked, at, count, zero, buffer):
    """The vector at `at`, `count` elements of it, and where `masked` 0 for those whose output is not positive."""
    a = _load_padded(source, at, count, zero, buffer)
    if masked:
        a = select_gt(_load_padded(relu, at, count, zero, buffer), zero, a, zero)
    return a


@jit
def _load_padded(source, at, count, zero, buffer):
    """The vector at `at`, 0 behind its first `count` elements: what lies there must not enter a pair's other channel."""
    if count < LANES:
        store(buffer, 0, zero)
    return load_partial(source, at, count, buffer)


@jit
def inverse_transform(spectrum, images, bias, clip_min, sign, plane, order, natural, reversed_, radices, roots):
    """Images (N, H, W, C) = max(inverse + bias, clip_min) of a spectrum (F, 2, N + 1, C); without the factor 1 / L^2."""
    N, H, W, C = images.shape
    F, L, part = len(natural), len(order), spectrum.shape[2] * C
    pitch, scratch = (L + 1) * LINE, np.zeros((2, LANES), images.dtype)
    re, im, zero, buffer = pointer(plane[0]), pointer(plane[1]), load(pointer(scratch[0]), 0), pointer(scratch[1])
    source, target, offset, roots = pointer(spectrum), pointer(images), pointer(bias), pointer(roots)
    for n in range(N):
        for c in range(0, C, 2 * LINE):
            left = C - c
            for f in range(F):
                plus, minus, origin = reversed_[f, 0] * LINE, reversed_[f, 1] * LINE, 2 * f * part + n * C + c
                for line in range(
                    2 * LINE, 4 * LINE, LINE
                ):  # prefetch the next channels, which may be the next image's
                    prefetch(source, origin + line)
                    prefetch(source, origin + part + line)
                for k in range(0, min(LINE, left), LANES):
                    a, b = _load_padded(source, origin + k, left - k, zero, buffer), zero
                    a_im, b_im = sign * _load_padded(source, origin + part + k, left - k, zero, buffer), zero
                    if left - k > LINE:
                        b = _load_padded(source, origin + LINE + k, left - k - LINE, zero, buffer)
                        b_im = sign * _load_padded(source, origin + part + LINE + k, left - k - LINE, zero, buffer)
                    store(re, minus + k, a + b_im)
                    store(im, minus + k, b - a_im)
                    store(re, plus + k, a - b_im)
                    store(im, plus + k, b + a_im)
            for pixel in range(H * W):  # and what these channels write
                prefetch(target, (n * H * W + pixel) * C + c)
                prefetch(target, (n * H * W + pixel) * C + c + LINE)
            for k in range(0, min(LINE, left), LANES):
                for j in range(L):
                    fft(im, re, j * LINE + k, pitch, L, radices, roots)
                for i in range(H):
                    fft(im, re, i * pitch + k, LINE, L, radices, roots)
            for i in range(H):
                for j in range(W):
                    point, to = i * pitch + j * LINE, ((n * H + i) * W + j) * C + c
                    for k in range(0, min(LINE, left), LANES):
                        _store_clipped(target, to + k, load(re, point + k), offset, c + k, clip_min, left - k, buffer)
                        if left - k > LINE:
                            y, b = load(im, point + k), c + k + LINE
                            _store_clipped(target, to + k + LINE, y, offset, b, clip_min, left - k - LINE, buffer)
    keep_alive(scratch)


@jit
def _store_clipped(target, to, y, offset, b, clip_min, count, buffer):
    """Of max(y + bias, clip_min) `count` elements."""
    total = y + load_partial(offset, b, count, buffer)
    least = clip_min + zeros_like(total)
    store_partial(target, to, select_gt(least, total, least, total), count, buffer)
