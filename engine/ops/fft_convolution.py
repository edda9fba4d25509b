"""Convolution by the fast Fourier transform, for kernels of many taps between many channels.

**The theorem.** On a circle of L points, with x^_f = sum_i x[i] e^(-2 pi i f i / L), the correlation
y[i] = sum_a x[i + a - p] w[a] has the transform y^_f = x^_f v_f, where v_f = sum_a w[a] e^(2 pi i f (a - p) / L). In two
dimensions f and i are pairs. Over C channels in and D out, v_f is a C x D matrix and x^_f a row of C numbers: a convolution
is a matrix product a frequency.

**The circle's size.** An output reads x at -p .. H + p - 1, so a circle of L >= H + p points is exact: what is left of the
image and what is right of it are then the same zeros, and p need not be added twice. The backward pass reads no further.
L is the next number 2^a 3^b: 16 for a 5 x 5 kernel on 14 x 14, 9 for 5 x 5 or 3 x 3 on 7 x 7, 36 for 5 x 5 on 32 x 32.

**Two rows in one.** Images are real, so x^_(-f) = conj(x^_f), and likewise for v and y: F = (L^2 + s) / 2 frequencies
suffice, where s of them, 4 for even L and 1 for odd, are their own negatives. Two rows of an image travel through one complex
transform, z = x_1 + i x_2, and are told apart behind it:

    2 x^_1,f = z^_f + conj(z^_(-f)),   2 x^_2,f = -i (z^_f - conj(z^_(-f)))

The columns of what they give, at L // 2 + 1 frequencies, are then transformed as they are. The 2 is left in x^, and half of
1 / L^2 in v. Images do not share a transform: one that is NaN, or a million times larger, would show in the other.

**Three products for four.** A product of complex matrices is made of three real ones; see engine.ops.spectra. Real and imaginary
parts are kept in two arrays.

**Backward.** With e = conj(dy^), so that nothing needs a conjugate transpose: conj(dx^)_f = e_f v_f' (v_f' transposed over the
channels) and dv_f = x^_f' e_f, summed over the images. dw[a] = Re sum_f dv_f e^(2 pi i f (a - p) / L) / L^2 over all L^2
frequencies: twice those that are kept, but once those that are their own negatives.

**Groups** of channels have products of their own, each of C / G columns of x^ and D / G of y^.

**Cost.** 6 F N C D floating-point operations for each of the three products, against 2 k^2 Ho Wo N C D directly, plus about
10 L^2 log2(L) for an image and channel; 780 N C D against 9800 N C D for 5 x 5 on 14 x 14.
"""

from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from engine.codegen import gemm
from engine.codegen.fft import FFTPlan, good_size
from engine.codegen.simd import LINE
from engine.kernels.cpu.fft_images import forward_transform, inverse_transform
from engine.memory import Empty, aligned
from engine.ops import spectra
from engine.typing import Array


def fft_convolution_reference(x: Array, w: Array, b: Array, padding: int) -> Array:
    """y (N, Ho, Wo, D) = x * w + b by the theorem, with NumPy's transforms of single images: x (N, H, W, C), w (k, k, C, D)."""
    (H, W), p = x.shape[1:3], padding
    L = max(H, W) + 2 * p
    X = np.fft.fft2(x, (L, L), axes=(1, 2))  # x^ (N, L, L, C)
    V = np.fft.fft2(
        w, (L, L), axes=(0, 1)
    ).conj()  # v (L, L, C, D), but for the factor e^(-2 pi i f p / L): a shift by p
    Y = np.einsum("nuvc,uvcd->nuvd", X, V)  # y^_f = x^_f v_f
    y = np.roll(np.fft.ifft2(Y, axes=(1, 2)).real, p, axis=(1, 2))
    return y[:, : H + 2 * p - len(w) + 1, : W + 2 * p - len(w) + 1] + b


class FFTConvolution:
    """Plan of a convolution of (N, height, width, C) images with (k, k, C, D) weights, stride 1 and zero padding p < k."""

    def __init__(self, height: int, width: int, kernel: int, padding: int) -> None:
        self.height, self.width, self.kernel, self.padding = height, width, kernel, padding
        self.out_height, self.out_width = (side + 2 * padding - kernel + 1 for side in (height, width))
        self.size = good_size(max(height, width) + padding)

    @cached_property
    def frequencies(self) -> int:
        """F, the number of frequencies that are kept."""
        return (self.size**2 + (1 if self.size % 2 else 4)) // 2

    @property
    def _plane_shape(self) -> tuple[int, int, int, int]:
        """Real and imaginary parts of an image in a cache line of channels, see engine.kernels.cpu.fft_images.

        The lines are L + 1 points apart: at a power of two, all points of a column would fall into a few sets of the cache.
        """
        return 2, self.size // 2 + 2, self.size + 1, int(LINE)

    def image_shape(self, n: int, channels: int) -> tuple[int, int, int, int]:
        """Shape (F, 2, n + 1, C) of the spectrum of n images; the last row is unused, for the reason above."""
        return self.frequencies, 2, n + 1, channels

    def weight_shape(self, channels: int, out_channels: int) -> tuple[int, int, int, int]:
        """Shape (F, 2, C / G, D) of the spectrum of weights (k, k, C / G, D), and of its gradient."""
        return self.frequencies, 2, channels, out_channels

    def products(self, n: int, channels: int, out_channels: int) -> int:
        """Real multiplications in the matrix product of one forward pass of n images; channels of a group."""
        return 3 * self.frequencies * n * channels * out_channels

    def weight_spectrum(self, w: Array, V: Array) -> None:
        """Write v of w (k, k, C, D) to V (F, 2, C, D)."""
        k, _, C, D = w.shape
        waves = _tables(self.size, k, self.padding, w.dtype).waves  # (2 F, k k)
        gemm.matmul(waves, w.reshape(k * k, C * D), V.reshape(-1, C * D))

    def weight_gradient(self, dV: Array, dw: Array) -> None:
        """Add the gradient of the spectrum, dV (F, 2, C, D), carried back to the weights, to dw (k, k, C, D)."""
        k, _, C, D = dw.shape
        adjoint = _tables(self.size, k, self.padding, dw.dtype).adjoint  # (k k, 2 F)
        dw += np.matmul(adjoint, dV.reshape(-1, C * D)).reshape(dw.shape)

    def forward(
        self, x: Array, V: Array, b: Array, clip_min: float, y: Array, X: Array, groups: int = 1, empty: Empty = aligned
    ) -> None:
        """y (N, Ho, Wo, D) = max(x * w + b, clip_min) for x (N, H, W, C) and V of w; the spectrum of x in X (`image_shape`)."""
        tables = _tables(self.size, self.kernel, self.padding, x.dtype).of_transform
        plane = empty(self._plane_shape, x.dtype)
        forward_transform(x, x, False, X, 1.0, plane, *tables)
        Y = empty(self.image_shape(len(x), y.shape[3]), x.dtype)
        spectra.multiply(X, V, Y, len(x), groups, empty)
        inverse_transform(Y, y, b, x.dtype.type(clip_min), 1.0, plane, *tables)

    def backward(
        self,
        dy: Array,
        y: Array | None,
        X: Array,
        V: Array,
        dx: Array | None,
        dV: Array,
        db: Array,
        groups: int = 1,
        empty: Empty = aligned,
        *,
        overwrite: bool = False,
    ) -> None:
        """Add to dV (F, 2, C, D) (or `overwrite` it) and to db (D,) and, unless dx is None, write dx (N, H, W, C).

        X is what `forward` left; dy counts where y > 0, or everywhere if y is None.
        """
        tables = _tables(self.size, self.kernel, self.padding, dy.dtype).of_transform
        N, plane = len(dy), empty(self._plane_shape, dy.dtype)
        E = empty(self.image_shape(len(dy), dy.shape[3]), dy.dtype)
        forward_transform(dy, dy if y is None else y, y is not None, E, -1.0, plane, *tables)
        db += E[0, 0, :N].sum(axis=0) / 2  # frequency 0
        spectra.accumulate(X, E, dV, N, groups, empty, overwrite=overwrite)
        if dx is not None:
            dX = empty(X.shape, dy.dtype)
            spectra.multiply(E, V, dX, N, groups, empty, transposed=True)
            zero_bias, neg_inf = np.zeros(dx.shape[3], dx.dtype), -dx.dtype.type(np.inf)
            inverse_transform(dX, dx, zero_bias, neg_inf, -1.0, plane, *tables)


class _Tables(NamedTuple):
    of_transform: tuple  # order, natural, reversed_, radices, roots: see `forward_transform`
    waves: Array  # (2 F, k k): real and imaginary parts of e^(2 pi i f (a - p) / L) / (2 L^2)
    adjoint: Array  # (k k, 2 F): takes real and imaginary parts of dv to dw


@lru_cache(maxsize=64)
def _tables(size: int, kernel: int, padding: int, dtype: np.dtype) -> _Tables:
    plan = FFTPlan(size, dtype)
    v, u = np.divmod(np.arange((size // 2 + 1) * size), size)  # frequencies along a row, and along a column
    v_is_own = 2 * v % size == 0
    kept = np.flatnonzero(~v_is_own | (2 * u <= size))  # (F,) of each f and -f, the smaller
    u, v, v_is_own = u[kept], v[kept], v_is_own[kept]
    line, minus_u = v * (size + 1), np.where(v_is_own, -u % size, u)  # of -f, where a plane has it
    natural = line + u  # (F,): index in a plane, whose lines are size + 1 points apart
    reversed_ = line[:, None] + plan.order[np.stack([u, minus_u], axis=1)]  # (F, 2): digit-reversed
    a, b = np.divmod(np.arange(kernel**2), kernel)
    turns = np.outer(u, a - padding) + np.outer(v, b - padding)
    wave = np.exp(2j * np.pi * (turns % size) / size) / (2 * size**2)  # (F, k k)
    waves = np.stack([wave.real, wave.imag], axis=1)  # (F, 2, k k)
    own_negative = np.where(v_is_own & (2 * u % size == 0), 0.5, 1.0)[:, None]
    adjoint = np.stack([wave.real, -wave.imag], axis=1) * own_negative[:, None]
    return _Tables(
        (plan.order, natural, reversed_, plan.radices, plan.roots),
        waves.reshape(-1, kernel**2).astype(dtype),
        np.ascontiguousarray(adjoint.reshape(-1, kernel**2).T, dtype),
    )
