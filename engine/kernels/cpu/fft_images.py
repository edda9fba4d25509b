"""Images to spectra and back: two-dimensional FFTs, rows in pairs; see engine.ops.fft_convolution for the mathematics.

CPU only: on a GPU convolutions are matrix products.

`plane` (2, L // 2 + 2, L + 1, LINE) is scratch: real and imaginary parts of an image in LINE channels, so that whole cache
lines are read and written. It has a line of L points for every frequency v = 0 .. L // 2 along a row; the last line is that of
a pair of rows.
"""

from engine.codegen.fft import fft
from engine.codegen.jit import jit
from engine.codegen.pointers import load, load_partial, pointer, prefetch, store, store_partial
from engine.codegen.simd import LANES, LINE, select_gt, zeros_like


@jit
def forward_transform(images, outputs, masked, spectrum, sign, plane, order, natural, reversed_, radices, roots):
    """Spectrum (F, 2, N + 1, C) of images (N, H, W, C): 2 x^_f, a row an image; sign -1 conjugates it.

    If `masked`, images are gradients behind a ReLU and count as 0 where its outputs are not positive.
    """
    N, H, W, C = images.shape
    F, L, part = len(natural), len(order), spectrum.shape[2] * C  # part: elements of the real or the imaginary part
    half, pitch = L // 2 + 1, (L + 1) * LINE
    re, im, pair = pointer(plane[0]), pointer(plane[1]), half * pitch
    zero = zeros_like(load(re, 0))
    source, relu, target, roots = pointer(images), pointer(outputs), pointer(spectrum), pointer(roots)
    for n in range(N):
        for c in range(0, C, LINE):
            left = C - c
            ahead = LINE if left > LINE else H * W * C - c  # to the next channels, or to the next image
            for i in range(0, H, 2):
                for j in range(L):
                    point, pixel = pair + order[j] * LINE, ((n * H + i) * W + j) * C + c
                    has_first, has_second = j < W, j < W and i + 1 < H
                    if has_first:
                        prefetch(source, pixel + ahead)
                        prefetch(source, pixel + W * C + ahead)
                        if masked:
                            prefetch(relu, pixel + ahead)
                            prefetch(relu, pixel + W * C + ahead)
                    for k in range(0, min(LINE, left), LANES):
                        a, b = zero, zero
                        if has_first:
                            a = _load_masked(source, relu, masked, pixel + k, left - k, zero)
                        if has_second:
                            b = _load_masked(source, relu, masked, pixel + W * C + k, left - k, zero)
                        store(re, point + k, a)
                        store(im, point + k, b)
                first, second = order[i] * LINE, (order[i + 1] if i + 1 < L else L) * LINE
                for k in range(0, min(LINE, left), LANES):
                    fft(re, im, pair + k, LINE, L, radices, roots)
                    for v in range(half):  # the rows' transforms, told apart
                        plus, minus, to = pair + v * LINE + k, pair + (L - v) % L * LINE + k, v * pitch + k
                        a, b, a_minus, b_minus = load(re, plus), load(im, plus), load(re, minus), load(im, minus)
                        store(re, to + first, a + a_minus)
                        store(im, to + first, b - b_minus)
                        store(re, to + second, b + b_minus)
                        store(im, to + second, a_minus - a)
            for k in range(0, min(LINE, left), LANES):
                for v in range(half):
                    for i in range(H + H % 2, L):
                        store(re, v * pitch + order[i] * LINE + k, zero)
                        store(im, v * pitch + order[i] * LINE + k, zero)
                    fft(re, im, v * pitch + k, LINE, L, radices, roots)
            for f in range(F):
                point, to = natural[f] * LINE, 2 * f * part + n * C + c
                for k in range(0, min(LINE, left), LANES):
                    store_partial(target, to + k, load(re, point + k), left - k)
                    store_partial(target, to + part + k, sign * load(im, point + k), left - k)


@jit
def _load_masked(source, relu, masked, at, count, zero):
    """The first `count` elements of the vector at `at`; where `masked`, 0 for those whose output is not positive."""
    a = load_partial(source, at, count)
    if masked:
        a = select_gt(load_partial(relu, at, count), zero, a, zero)
    return a


@jit
def inverse_transform(spectrum, images, bias, clip_min, sign, plane, order, natural, reversed_, radices, roots):
    """Images (N, H, W, C) = max(inverse + bias, clip_min) of a spectrum (F, 2, N + 1, C); without the factor 1 / L^2."""
    N, H, W, C = images.shape
    F, L, part = len(natural), len(order), spectrum.shape[2] * C
    half, pitch = L // 2 + 1, (L + 1) * LINE
    re, im, pair = pointer(plane[0]), pointer(plane[1]), half * pitch
    source, target, offset, roots = pointer(spectrum), pointer(images), pointer(bias), pointer(roots)
    for n in range(N):
        for c in range(0, C, LINE):
            left = C - c
            for f in range(F):
                plus, minus, origin = reversed_[f, 0] * LINE, reversed_[f, 1] * LINE, 2 * f * part + n * C + c
                prefetch(source, origin + LINE)  # the next channels, which may be the next image's
                prefetch(source, origin + part + LINE)
                for k in range(0, min(LINE, left), LANES):
                    a = load_partial(source, origin + k, left - k)
                    b = load_partial(source, origin + part + k, left - k)
                    if minus != plus:
                        store(re, minus + k, a)
                        store(im, minus + k, -sign * b)
                    store(re, plus + k, a)
                    store(im, plus + k, sign * b)
            for k in range(0, min(LINE, left), LANES):
                for v in range(half):
                    fft(im, re, v * pitch + k, LINE, L, radices, roots)
            for i in range(0, H, 2):
                row = ((n * H + i) * W) * C + c
                for j in range(W):  # prefetch what is written
                    prefetch(target, row + j * C)
                    prefetch(target, row + (W + j) * C)
                for k in range(0, min(LINE, left), LANES):
                    for v in range(half):  # two rows in one transform
                        plus, minus = pair + order[v] * LINE + k, pair + order[(L - v) % L] * LINE + k
                        first, second = v * pitch + i * LINE + k, v * pitch + min(i + 1, L - 1) * LINE + k
                        a, a_im, b, b_im = load(re, first), load(im, first), load(re, second), load(im, second)
                        store(re, minus, a + b_im)
                        store(im, minus, b - a_im)
                        store(re, plus, a - b_im)
                        store(im, plus, b + a_im)
                    fft(im, re, pair + k, LINE, L, radices, roots)
                for j in range(W):
                    point, to = pair + j * LINE, row + j * C
                    for k in range(0, min(LINE, left), LANES):
                        b = load_partial(offset, c + k, left - k)
                        _store_clipped(target, to + k, load(re, point + k) + b, clip_min, left - k)
                        if i + 1 < H:
                            _store_clipped(target, to + W * C + k, load(im, point + k) + b, clip_min, left - k)


@jit
def _store_clipped(target, to, y, clip_min, count):
    """Of max(y, clip_min) `count` elements."""
    least = clip_min + zeros_like(y)
    store_partial(target, to, select_gt(least, y, least, y), count)
