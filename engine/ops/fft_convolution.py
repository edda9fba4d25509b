"""Convolution by the fast Fourier transform, for kernels of many taps between many channels.

**The theorem.** On a circle of L points, with x^_f = sum_i x[i] e^(-2 pi i f i / L), the correlation
y[i] = sum_a x[i + a - p] w[a] has the transform y^_f = x^_f v_f, where v_f = sum_a w[a] e^(2 pi i f (a - p) / L). In two
dimensions f and i are pairs. Over C channels in and D out, v_f is a C x D matrix and x^_f a row of C numbers: a convolution
is a matrix product a frequency.

**The circle's size.** An output reads x at -p .. H + p - 1, so a circle of L >= H + p points is exact: what lies left of the
image and what lies right of it are then the same zeros, and p need not be added twice. The backward pass reads no further.
L is the next number 2^a 3^b: 16 for a 5 x 5 kernel on 14 x 14, 9 for 5 x 5 or 3 x 3 on 7 x 7, 36 for 5 x 5 on 32 x 32.

**Two images in one.** The kernel is real, so the convolution of z = x_1 + i x_2 is y_1 + i y_2: images travel in pairs through
complex transforms. v_(-f) = conj(v_f) lets frequency -f share the matrix of f: a pair's two rows are z^_f and conj(z^_(-f)).
F = (L^2 + s) / 2 frequencies remain, where s of them, 4 for even L and 1 for odd, are their own negatives.

**Three products for four.** A product of complex matrices is made of three real ones; see engine.ops.spectra. Real and imaginary
parts are kept in planes of their own.

**Backward.** With e = conj(dy^), so that nothing needs a conjugate transpose: conj(dx^)_f = e_f v_f' (v_f' transposed over the
channels) and dv_f = x^_f' e_f, summed over the rows. dw[a] = Re sum_f dv_f e^(2 pi i f (a - p) / L), halved at the frequencies
that are their own negatives because both halves of their rows say the same. The factor 1 / L^2 of the inverse sits in v.

**Cost.** 6 F N C D floating-point operations for each of the three products, against 2 k^2 Ho Wo N C D directly, plus about
10 L^2 log2(L) for an image and channel; 780 N C D against 9800 N C D for 5 x 5 on 14 x 14.
"""

from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from engine.codegen import gemm as tile
from engine.codegen.fft import Transform, fft, good_size
from engine.codegen.jit import jit
from engine.codegen.simd import LANES, LINE, keep_alive, load, pointer, prefetch, select_gt, store, zeros_like
from engine.memory import aligned
from engine.ops import spectra


class FourierConvolution:
    """Plan of a convolution of (N, height, width, C) images with (k, k, C, D) weights, stride 1 and zero padding p < k."""

    def __init__(self, height: int, width: int, kernel: int, padding: int):
        self.height, self.width, self.kernel, self.padding = height, width, kernel, padding
        self.out_height, self.out_width = (side + 2 * padding - kernel + 1 for side in (height, width))
        self.size = good_size(max(height, width) + padding)

    @cached_property
    def frequencies(self) -> int:
        """F, the number of frequencies that are kept."""
        return (self.size**2 + (1 if self.size % 2 else 4)) // 2

    @property
    def _tile_shape(self) -> tuple[int, int, int, int]:
        """Real and imaginary parts of a pair of images, a line of channels at a time.

        A row more than the circle has: it keeps columns from being a power of two apart, where caches hold only a few of them.
        """
        return 2, self.size, self.size + 1, int(LINE)

    @staticmethod
    def rows(n: int) -> int:
        """M, the rows that n images take in a spectrum: they travel in pairs."""
        return n + n % 2

    def image_shape(self, n: int, channels: int) -> tuple[int, int, int, int]:
        """Shape (F, 2, M + 1, C) of the spectrum of n images, M of `rows(n)`.

        The row more is never used: it keeps the planes from being a power of two apart, where caches hold only a few of them.
        """
        return self.frequencies, 2, self.rows(n) + 1, channels

    def weight_shape(self, channels: int, out_channels: int) -> tuple[int, int, int, int]:
        """Shape (F, 2, C, D) of the spectrum of weights (k, k, C, D), and of its gradient."""
        return self.frequencies, 2, channels, out_channels

    def products(self, n: int, channels: int, out_channels: int) -> int:
        """Real multiplications in the matrix product of one forward pass of n images."""
        return 3 * self.frequencies * self.rows(n) * channels * out_channels

    def weight_spectrum(self, w, out):
        """Write v of w (k, k, C, D) to out (F, 2, C, D)."""
        k, _, C, D = w.shape
        waves = _tables(self.size, k, self.padding, w.dtype).waves  # (2 F, k k)
        tile.multiply(waves, w.reshape(k * k, C * D), out.reshape(-1, C * D))

    def weight_gradient(self, dspectrum, dw):
        """Add the gradient that dspectrum (F, 2, C, D) holds to dw (k, k, C, D)."""
        k, _, C, D = dw.shape
        back = _tables(self.size, k, self.padding, dw.dtype).back  # (k k, 2 F)
        dw += np.matmul(back, dspectrum.reshape(-1, C * D)).reshape(dw.shape)

    def forward(self, x, spectrum, bias, floor, y, X, empty=aligned):
        """y (N, Ho, Wo, D) = max(x * w + bias, floor) for x (N, H, W, C); the spectrum of x in X (`image_shape(N, C)`)."""
        transform = _tables(self.size, self.kernel, self.padding, x.dtype).of_transform
        tile = empty(self._tile_shape, x.dtype)
        _analyse(x, x, False, X, 1.0, tile, *transform)
        Y = empty(self.image_shape(len(x), y.shape[3]), x.dtype)
        spectra.multiply(X, spectrum, Y, self.rows(len(x)), empty)
        _synthesise(Y, y, bias, x.dtype.type(floor), 1.0, tile, *transform)

    def backward(self, dy, y, X, spectrum, dx, dspectrum, begun, db, empty=aligned):
        """Add to dspectrum (F, 2, C, D) and db (D,) and, unless dx is None, overwrite dx (N, H, W, C).

        X is what `forward` left; dy counts only where y > 0, or everywhere if y is None. dspectrum is overwritten if it has not
        `begun`.
        """
        transform = _tables(self.size, self.kernel, self.padding, dy.dtype).of_transform
        n, tile = self.rows(len(dy)), empty(self._tile_shape, dy.dtype)
        E = empty(self.image_shape(len(dy), dy.shape[3]), dy.dtype)
        _analyse(dy, dy if y is None else y, y is not None, E, -1.0, tile, *transform)
        db += E[0, 0, 0:n:2].sum(axis=0) + E[0, 1, 1:n:2].sum(axis=0)  # frequency 0 of the first and the second images
        spectra.accumulate(X, E, dspectrum, n, empty, begun)
        if dx is not None:
            dX = empty(X.shape, dy.dtype)
            spectra.multiply(E, spectrum, dX, n, empty, transposed=True)
            _synthesise(dX, dx, np.zeros(dx.shape[3], dx.dtype), -dx.dtype.type(np.inf), -1.0, tile, *transform)


class _Tables(NamedTuple):
    of_transform: tuple  # what the kernels take: see `_analyse`
    waves: np.ndarray  # (2 F, k k): planes of e^(2 pi i f (a - p) / L) / L^2
    back: np.ndarray  # (k k, 2 F): what turns real and imaginary parts of dv into dw


@lru_cache(maxsize=64)
def _tables(size, kernel, padding, dtype) -> _Tables:
    transform = Transform(size, dtype)
    u, v = np.divmod(np.arange(size**2), size)
    negative = (-u % size) * size + -v % size
    kept = np.flatnonzero(np.arange(size**2) <= negative)  # (F,) of each f and -f, the smaller
    pairs = np.stack([kept, negative[kept]], axis=1)  # (F, 2)
    natural = (u * (size + 1) + v)[pairs]  # (F, 2): where a tile, whose rows are size + 1 vectors apart, holds f and -f
    reverse = (transform.order[u] * (size + 1) + transform.order[v])[pairs]
    a, b = np.divmod(np.arange(kernel**2), kernel)
    turns = np.outer(u[kept], a - padding) + np.outer(v[kept], b - padding)
    wave = np.exp(2j * np.pi * (turns % size) / size) / size**2  # (F, k k)
    waves = np.stack([wave.real, wave.imag], axis=1)  # (F, 2, k k)
    own = np.where(pairs[:, 0] == pairs[:, 1], 0.5, 1.0)[:, None]
    back = np.stack([wave.real, -wave.imag], axis=1) * own[:, None]
    return _Tables(
        (transform.order, natural, reverse, transform.radices, transform.roots),
        waves.reshape(-1, kernel**2).astype(dtype),
        np.ascontiguousarray(back.reshape(-1, kernel**2).T, dtype),
    )


@jit
def _analyse(images, outputs, behind, spectrum, sign, tile, order, natural, reverse, radices, roots):
    """Spectrum (F, 2, M + 1, C) of images (N, H, W, C): a pair has the rows z^_f and conj(z^_(-f)); sign -1 conjugates both.

    `behind` a ReLU, whose outputs are given, the images are taken as 0 where these are not positive. LINE channels go
    through the transform together, so that whole lines of the cache are read and written.
    """
    N, H, W, C = images.shape
    F, L, plane = len(natural), len(order), spectrum.shape[2] * C
    pitch, blank = (L + 1) * LINE, np.zeros((2, LANES), images.dtype)
    re, im, zero, spare = pointer(tile[0]), pointer(tile[1]), load(pointer(blank[0]), 0), pointer(blank[1])
    source, relu, target, roots = pointer(images), pointer(outputs), pointer(spectrum), pointer(roots)
    for n in range(0, N, 2):
        for c in range(0, C, LINE):
            width = min(LINE, C - c)
            for i in range(L):
                for j in range(L):
                    at, first = order[i] * pitch + order[j] * LINE, ((n * H + i) * W + j) * C + c
                    if i < H and j < W:  # what the next turn reads is asked for
                        later = first + (LINE if c + LINE < C else 2 * H * W * C - c)
                        prefetch(source, later)
                        prefetch(source, later + H * W * C)
                        if behind:
                            prefetch(relu, later)
                            prefetch(relu, later + H * W * C)
                    for k in range(0, width, LANES):
                        a, b = zero, zero
                        if i < H and j < W:
                            a = _take(source, first + k, width - k, spare)
                            if behind:
                                a = select_gt(_take(relu, first + k, width - k, spare), zero, a, zero)
                            if n + 1 < N:
                                second = first + k + H * W * C
                                b = _take(source, second, width - k, spare)
                                if behind:
                                    b = select_gt(_take(relu, second, width - k, spare), zero, b, zero)
                        store(re, at + k, a)
                        store(im, at + k, b)
            for k in range(0, width, LANES):
                for i in range(H):
                    fft(re, im, order[i] * pitch + k, LINE, L, radices, roots)
                for j in range(L):
                    fft(re, im, j * LINE + k, pitch, L, radices, roots)
            for f in range(F):
                for minus in range(2):
                    at, to = natural[f, minus] * LINE, 2 * f * plane + (n + minus) * C + c
                    for k in range(0, width, LANES):
                        _put(target, to + k, load(re, at + k), width - k, spare)
                        _put(target, to + plane + k, (sign - 2 * sign * minus) * load(im, at + k), width - k, spare)
    keep_alive(blank)


@jit
def _synthesise(spectrum, images, bias, floor, sign, tile, order, natural, reverse, radices, roots):
    """Images (N, H, W, C) of a product's spectrum (F, 2, M + 1, C), the inverse of `_analyse` (times L^2).

    Each is max(its value + bias, floor), the floor being 0 for a ReLU and -infinity for none.
    """
    N, H, W, C = images.shape
    F, L, plane = len(natural), len(order), spectrum.shape[2] * C
    pitch, blank = (L + 1) * LINE, np.zeros(LANES, images.dtype)
    re, im, spare = pointer(tile[0]), pointer(tile[1]), pointer(blank)
    source, target, offset, roots = pointer(spectrum), pointer(images), pointer(bias), pointer(roots)
    for n in range(0, N, 2):
        for c in range(0, C, LINE):
            width = min(LINE, C - c)
            for f in range(F):
                for minus in range(2):
                    at, origin = reverse[f, minus] * LINE, 2 * f * plane + (n + minus) * C + c
                    for k in range(0, width, LANES):
                        store(re, at + k, _take(source, origin + k, width - k, spare))
                        imaginary = _take(source, origin + k + plane, width - k, spare)
                        store(im, at + k, (sign - 2 * sign * minus) * imaginary)
            _soon(source, n, c, C, N, F, plane)
            for pixel in range(H * W):  # and what this one writes
                prefetch(target, (n * H * W + pixel) * C + c)
                prefetch(target, ((n + 1) * H * W + pixel) * C + c)
            for k in range(0, width, LANES):
                for j in range(L):
                    fft(im, re, j * LINE + k, pitch, L, radices, roots)
                for i in range(H):
                    fft(im, re, i * pitch + k, LINE, L, radices, roots)
            for i in range(H):
                for j in range(W):
                    at, first = i * pitch + j * LINE, ((n * H + i) * W + j) * C + c
                    for k in range(0, width, LANES):
                        more = _take(offset, c + k, width - k, spare)
                        least = floor + zeros_like(more)
                        a, b = load(re, at + k) + more, load(im, at + k) + more
                        _put(target, first + k, select_gt(least, a, least, a), width - k, spare)
                        if n + 1 < N:
                            _put(target, first + k + H * W * C, select_gt(least, b, least, b), width - k, spare)
    keep_alive(blank)


@jit
def _soon(spectrum, n, c, C, N, F, plane):
    """Prefetch what the next turn reads of a spectrum, a line here and a line there, while this one computes."""
    c += LINE
    if c >= C:
        n, c = n + 2, 0
    if n < N:
        for f in range(2 * F):
            prefetch(spectrum, f * plane + n * C + c)
            prefetch(spectrum, f * plane + (n + 1) * C + c)


@jit
def _take(source, index, lanes, spare):
    """The vector at index, of which only the first `lanes` numbers may be read."""
    if lanes >= LANES:
        return load(source, index)
    for k in range(lanes):
        spare[k] = source[index + k]
    return load(spare, 0)


@jit
def _put(target, index, vector, lanes, spare):
    """Write the first `lanes` numbers of a vector."""
    if lanes >= LANES:
        store(target, index, vector)
    else:
        store(spare, 0, vector)
        for k in range(lanes):
            target[index + k] = spare[k]
