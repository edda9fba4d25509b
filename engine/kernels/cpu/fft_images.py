"""Images to spectra and back: two-dimensional FFTs of pairs of images; see engine.ops.fft_convolution for the mathematics.

CPU only: on a GPU convolutions are matrix products.

`plane` (2, L, L + 1, LINE) is scratch: real and imaginary parts of a pair of images in LINE channels, so that whole cache lines
are read and written. A kernel loads a pair into it, transforms rows and columns, and stores the result.
"""

import numpy as np

from engine.codegen.fft import fft
from engine.codegen.jit import jit
from engine.codegen.pointers import keep_alive, load, load_partial, pointer, prefetch, store, store_partial
from engine.codegen.simd import LANES, LINE, select_gt, zeros_like


@jit
def forward_transform(images, outputs, masked, spectrum, sign, plane, order, natural, reversed_, radices, roots):
    """Spectrum (F, 2, M + 1, C) of images (N, H, W, C): a pair has the rows z^_f and conj(z^_(-f)); sign -1 conjugates both.

    If `masked`, images are gradients behind a ReLU and count as 0 where its outputs are not positive.
    """
    N, H, W, C = images.shape
    F, L, part = len(natural), len(order), spectrum.shape[2] * C  # part: elements of the real or the imaginary part
    pitch, scratch = (L + 1) * LINE, np.zeros((2, LANES), images.dtype)
    re, im, zero, buffer = pointer(plane[0]), pointer(plane[1]), load(pointer(scratch[0]), 0), pointer(scratch[1])
    source, relu, target, roots = pointer(images), pointer(outputs), pointer(spectrum), pointer(roots)
    for n in range(0, N, 2):
        for c in range(0, C, LINE):
            width = min(LINE, C - c)
            for i in range(L):
                for j in range(L):
                    point, first = order[i] * pitch + order[j] * LINE, ((n * H + i) * W + j) * C + c
                    if i < H and j < W:  # prefetch the same pixel of the next channels, or of the next pair
                        following = first + (LINE if c + LINE < C else 2 * H * W * C - c)
                        prefetch(source, following)
                        prefetch(source, following + H * W * C)
                        if masked:
                            prefetch(relu, following)
                            prefetch(relu, following + H * W * C)
                    for k in range(0, width, LANES):
                        a, b = zero, zero
                        if i < H and j < W:
                            a = load_partial(source, first + k, width - k, buffer)
                            if masked:
                                a = select_gt(load_partial(relu, first + k, width - k, buffer), zero, a, zero)
                            if n + 1 < N:
                                second = first + k + H * W * C
                                b = load_partial(source, second, width - k, buffer)
                                if masked:
                                    b = select_gt(load_partial(relu, second, width - k, buffer), zero, b, zero)
                        store(re, point + k, a)
                        store(im, point + k, b)
            for k in range(0, width, LANES):
                for i in range(H):
                    fft(re, im, order[i] * pitch + k, LINE, L, radices, roots)
                for j in range(L):
                    fft(re, im, j * LINE + k, pitch, L, radices, roots)
            for f in range(F):
                for minus in range(2):
                    point, to = natural[f, minus] * LINE, 2 * f * part + (n + minus) * C + c
                    for k in range(0, width, LANES):
                        store_partial(target, to + k, load(re, point + k), width - k, buffer)
                        imaginary = (sign - 2 * sign * minus) * load(im, point + k)
                        store_partial(target, to + part + k, imaginary, width - k, buffer)
    keep_alive(scratch)


@jit
def inverse_transform(spectrum, images, bias, clip_min, sign, plane, order, natural, reversed_, radices, roots):
    """Images (N, H, W, C) = max(inverse + bias, clip_min) of a spectrum (F, 2, M + 1, C); without the factor 1 / L^2."""
    N, H, W, C = images.shape
    F, L, part = len(natural), len(order), spectrum.shape[2] * C
    pitch, scratch = (L + 1) * LINE, np.zeros(LANES, images.dtype)
    re, im, buffer = pointer(plane[0]), pointer(plane[1]), pointer(scratch)
    source, target, offset, roots = pointer(spectrum), pointer(images), pointer(bias), pointer(roots)
    for n in range(0, N, 2):
        for c in range(0, C, LINE):
            width = min(LINE, C - c)
            for f in range(F):
                for minus in range(2):
                    point, origin = reversed_[f, minus] * LINE, 2 * f * part + (n + minus) * C + c
                    for k in range(0, width, LANES):
                        store(re, point + k, load_partial(source, origin + k, width - k, buffer))
                        imaginary = load_partial(source, origin + k + part, width - k, buffer)
                        store(im, point + k, (sign - 2 * sign * minus) * imaginary)
            _prefetch_next(source, n, c, C, N, F, part)
            for pixel in range(H * W):  # and what this pair writes
                prefetch(target, (n * H * W + pixel) * C + c)
                prefetch(target, ((n + 1) * H * W + pixel) * C + c)
            for k in range(0, width, LANES):
                for j in range(L):
                    fft(im, re, j * LINE + k, pitch, L, radices, roots)
                for i in range(H):
                    fft(im, re, i * pitch + k, LINE, L, radices, roots)
            for i in range(H):
                for j in range(W):
                    point, first = i * pitch + j * LINE, ((n * H + i) * W + j) * C + c
                    for k in range(0, width, LANES):
                        b = load_partial(offset, c + k, width - k, buffer)
                        least = clip_min + zeros_like(b)
                        y1, y2 = load(re, point + k) + b, load(im, point + k) + b
                        store_partial(target, first + k, select_gt(least, y1, least, y1), width - k, buffer)
                        if n + 1 < N:
                            second = first + k + H * W * C
                            store_partial(target, second, select_gt(least, y2, least, y2), width - k, buffer)
    keep_alive(scratch)


@jit
def _prefetch_next(spectrum, n, c, C, N, F, part):
    """Prefetch what the next channels, or the next pair, read of a spectrum: a line at every frequency."""
    c += LINE
    if c >= C:
        n, c = n + 2, 0
    if n < N:
        for f in range(2 * F):
            prefetch(spectrum, f * part + n * C + c)
            prefetch(spectrum, f * part + (n + 1) * C + c)
