"""The discrete Fourier transform of LANES sequences at once, of a length 2^a 3^b.

Decimation in time, in place, in mixed radix: a length r m falls into r interleaved sequences of length m, whose transforms are
joined by twiddle factors and r-point butterflies (Cooley and Tukey, 1965). The input is in digit-reversed order (`order`), the
output in natural order. Real and imaginary parts are in two arrays; exchanging them conjugates the transform, so
`fft(im, re, ...)` is the inverse (without its factor 1 / length): there is one routine only.

The first pass transforms up to 16 points in registers, with constants for twiddle factors: a codelet, in the word of FFTW
(Frigo and Johnson, 2005). `codelet` below is that recursion as a Python function; while a kernel is compiled it runs on
emitted values (engine.codegen.emit), and so writes the code.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from engine.codegen.emit import Emitted, vector_at
from engine.codegen.jit import jit
from engine.codegen.pointers import broadcast, load, store
from engine.codegen.simd import LANES, Vector, intrinsic

CODELET_SIZES = (16, 12, 9, 8, 6, 4, 3, 2, 1)  # points; the first radix of a length is the largest that divides it
HALF_SQRT3 = math.sqrt(3) / 2


def good_size(least: int) -> int:
    """Smallest length 2^a 3^b that is at least `least`."""
    length = max(least, 1)
    while not _radices(length):
        length += 1
    return length


def _radices(length: int) -> list[int]:
    """Radices whose product is `length`, the first of CODELET_SIZES and the others 4, 2 or 3; empty where there are none."""
    radices = [next(points for points in CODELET_SIZES if length % points == 0)]
    length //= radices[0]
    for radix in (4, 2, 3):
        while length % radix == 0:
            radices.append(radix)
            length //= radix
    return radices if length == 1 else []


class FFTPlan:
    """What `fft` needs to know of a length: its radices, the order of the input, the roots of unity exp(-2 pi i t / length)."""

    def __init__(self, length: int, dtype):
        self.length = length
        self.radices = np.array(_radices(length), np.intp)
        order = np.arange(self.radices[0])
        for radix in self.radices[1:]:
            index = np.arange(len(order) * radix)
            order = (index % radix) * len(order) + order[index // radix]
        self.order = order  # sequence element i belongs at position order[i]
        angle = 2 * np.pi * np.arange(length) / length
        self.roots = np.stack([np.cos(angle), -np.sin(angle)], axis=1).astype(dtype)  # (length, 2)


def butterfly2(a, b):
    """The transform of two points, each a pair (real part, imaginary part)."""
    (ar, ai), (br, bi) = a, b
    return (ar + br, ai + bi), (ar - br, ai - bi)


def butterfly3(a, b, c):
    """The transform of three points."""
    (ar, ai), (br, bi), (cr, ci) = a, b, c
    sr, si = br + cr, bi + ci
    dr, di = HALF_SQRT3 * (br - cr), HALF_SQRT3 * (bi - ci)
    mr, mi = ar - 0.5 * sr, ai - 0.5 * si
    return (ar + sr, ai + si), (mr + di, mi - dr), (mr - di, mi + dr)


def butterfly4(a, b, c, d):
    """The transform of four points."""
    (ar, ai), (br, bi), (cr, ci), (dr, di) = a, b, c, d
    er, ei, fr, fi = ar + cr, ai + ci, ar - cr, ai - ci
    gr, gi, hr, hi = br + dr, bi + di, br - dr, bi - di
    return (er + gr, ei + gi), (fr + hi, fi - hr), (er - gr, ei - gi), (fr - hi, fi + hr)


def codelet(z):
    """The transform of a list of 2^a 3^b points: of every r-th one by itself, then r-point butterflies."""
    n = len(z)
    if n == 1:
        return z
    r, butterfly = next((r, f) for r, f in ((4, butterfly4), (2, butterfly2), (3, butterfly3)) if n % r == 0)
    parts = [codelet(z[j::r]) for j in range(r)]
    columns = [butterfly(*(_twiddle(part[k], j * k, n) for j, part in enumerate(parts))) for k in range(n // r)]
    return [column[q] for q in range(r) for column in columns]


def _twiddle(z, t, n):
    """The point times exp(-2 pi i t / n)."""
    a, b = z
    if t == 0:
        return a, b
    if 4 * t == n:
        return b, -1.0 * a
    c, s = math.cos(2 * math.pi * t / n), math.sin(2 * math.pi * t / n)
    return c * a + s * b, c * b - s * a


_butterfly2, _butterfly3, _butterfly4 = jit(butterfly2), jit(butterfly3), jit(butterfly4)


@jit
def fft(re, im, start, stride, length, radices, roots):
    """Transform, in place, LANES sequences with element e at [start + e * stride : start + e * stride + LANES]."""
    m = radices[0]
    for first in range(0, length, m):
        _run_codelet(m, re, im, start + first * stride, stride)
    for radix in radices[1:]:
        step = length // (m * radix)  # the root of unity of length m * radix is roots[step]
        leg = m * stride  # between the points of a butterfly
        for first in range(0, length, m * radix):
            for j in range(m):
                index, t = start + (first + j) * stride, j * step
                a = load(re, index), load(im, index)
                b = _load_twiddled(re, im, index + leg, t, roots)
                if radix == 2:
                    a, b = _butterfly2(a, b)
                else:
                    c = _load_twiddled(re, im, index + 2 * leg, 2 * t, roots)
                    if radix == 3:
                        a, b, c = _butterfly3(a, b, c)
                    else:
                        d = _load_twiddled(re, im, index + 3 * leg, 3 * t, roots)
                        a, b, c, d = _butterfly4(a, b, c, d)
                        _store_complex(re, im, index + 3 * leg, d)
                    _store_complex(re, im, index + 2 * leg, c)
                _store_complex(re, im, index, a)
                _store_complex(re, im, index + leg, b)
        m *= radix


@jit
def _load_twiddled(re, im, index, t, roots):
    """The point at `index` times roots[t]."""
    a, b = load(re, index), load(im, index)
    if t > 0:
        c, s = broadcast(roots, 2 * t), broadcast(roots, 2 * t + 1)
        a, b = c * a - s * b, s * a + c * b
    return a, b


@jit
def _store_complex(re, im, index, z):
    store(re, index, z[0])
    store(im, index, z[1])


def _run_codelet(n, re, im, start, stride):
    """Transform, in place, the n points of each sequence that are `stride` apart, by `codelet`."""
    slices = [slice(start + e * stride, start + e * stride + LANES) for e in range(n)]
    for own, result in zip(slices, codelet([(re[s].copy(), im[s].copy()) for s in slices]), strict=True):
        re[own], im[own] = result


@overload(_run_codelet)
def _overload_run_codelet(n, re, im, start, stride):
    return lambda n, re, im, start, stride: _codelet_of_any_size(n, re, im, start, stride)


@intrinsic
def _codelet_of_any_size(typing, n, re, im, start, stride):
    vector, size = Vector(re.dtype), types.intp

    def generate(context, builder, signature, arguments):
        wanted, re, im, start, stride = arguments
        kind, align = context.get_value_type(vector), vector.scalar.bitwidth // 8
        for n in CODELET_SIZES:
            with builder.if_then(builder.icmp_signed("==", wanted, wanted.type(n))):
                indices = [builder.add(start, builder.mul(stride, stride.type(e))) for e in range(n)]
                addresses = [[vector_at(builder, part, index, kind) for part in (re, im)] for index in indices]
                loaded = [[builder.load(address, align=align) for address in pair] for pair in addresses]
                results = codelet([tuple(Emitted(builder, value) for value in pair) for pair in loaded])
                for pair, result in zip(addresses, results, strict=True):
                    for address, part in zip(pair, result, strict=True):
                        builder.store(part.value, address, align=align)
        return context.get_dummy_value()

    return types.void(size, re, im, size, size), generate
