"""The discrete Fourier transform of LANES sequences at once, of a length 2^a 3^b.

Decimation in time, in place, in mixed radix: a length r m falls into r interleaved sequences of length m, whose transforms are
joined by a twiddle factor and an r-point transform (Cooley and Tukey 1965). The input stands in the order of the digits of
its index reversed (`order`), the output in its natural order. Real and imaginary parts live in two arrays; exchanging them
conjugates the transform, so `fft(im, re, ...)` is the inverse (without its factor 1/length): there is one routine only.

Up to 16 points are transformed at once, in registers and with constants for twiddle factors: `points` below is that recursion as
a Python function, which runs when the kernel is compiled, on values that stand for LLVM's vectors, and so writes its code.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from engine.codegen.jit import jit
from engine.codegen.simd import LANES, Emitted, Vector, broadcast, intrinsic, load, store, vector_at

AT_ONCE = (16, 12, 9, 8, 6, 4, 3, 2, 1)  # points that are transformed at once, as the first radix
HALF_SQRT3 = math.sqrt(3) / 2


def good_size(least: int) -> int:
    """Smallest length 2^a 3^b that is at least `least`."""
    length = max(least, 1)
    while not _radices(length):
        length += 1
    return length


def _radices(length: int) -> list[int]:
    """Radices whose product is `length`, the first of AT_ONCE and the others 4, 2 or 3; empty where there are none."""
    radices = [next(points for points in AT_ONCE if length % points == 0)]
    length //= radices[0]
    for radix in (4, 2, 3):
        while length % radix == 0:
            radices.append(radix)
            length //= radix
    return radices if length == 1 else []


class Transform:
    """What `fft` needs to know of a length: its radices, the input's order, the roots of unity exp(-2 pi i t / length)."""

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


def join2(a, b):
    """The transform of two points, each a pair (real part, imaginary part)."""
    (ar, ai), (br, bi) = a, b
    return (ar + br, ai + bi), (ar - br, ai - bi)


def join3(a, b, c):
    """The transform of three points."""
    (ar, ai), (br, bi), (cr, ci) = a, b, c
    sr, si = br + cr, bi + ci
    dr, di = HALF_SQRT3 * (br - cr), HALF_SQRT3 * (bi - ci)
    mr, mi = ar - 0.5 * sr, ai - 0.5 * si
    return (ar + sr, ai + si), (mr + di, mi - dr), (mr - di, mi + dr)


def join4(a, b, c, d):
    """The transform of four points."""
    (ar, ai), (br, bi), (cr, ci), (dr, di) = a, b, c, d
    er, ei, fr, fi = ar + cr, ai + ci, ar - cr, ai - ci
    gr, gi, hr, hi = br + dr, bi + di, br - dr, bi - di
    return (er + gr, ei + gi), (fr + hi, fi - hr), (er - gr, ei - gi), (fr - hi, fi + hr)


def points(z):
    """The transform of a list of 2^a 3^b points: of every r-th one by itself, and then joined r by r."""
    n = len(z)
    if n == 1:
        return z
    r, join = next((r, join) for r, join in ((4, join4), (2, join2), (3, join3)) if n % r == 0)
    parts = [points(z[j::r]) for j in range(r)]
    columns = [join(*(turned(part[k], j * k, n) for j, part in enumerate(parts))) for k in range(n // r)]
    return [column[q] for q in range(r) for column in columns]


def turned(z, t, n):
    """The point times exp(-2 pi i t / n)."""
    a, b = z
    if t == 0:
        return a, b
    if 4 * t == n:
        return b, -1.0 * a
    c, s = math.cos(2 * math.pi * t / n), math.sin(2 * math.pi * t / n)
    return c * a + s * b, c * b - s * a


_join2, _join3, _join4 = jit(join2), jit(join3), jit(join4)


@jit
def fft(re, im, start, stride, length, radices, roots):
    """Transform, in place, LANES sequences with element e at [start + e * stride : start + e * stride + LANES]."""
    m = radices[0]
    for first in range(0, length, m):
        _transform(m, re, im, start + first * stride, stride)
    for radix in radices[1:]:
        step = length // (m * radix)  # the root of unity of length m * radix is roots[step]
        hop = m * stride
        for first in range(0, length, m * radix):
            for j in range(m):
                at, turn = start + (first + j) * stride, j * step
                a = load(re, at), load(im, at)
                b = _twiddled(re, im, at + hop, turn, roots)
                if radix == 2:
                    a, b = _join2(a, b)
                else:
                    c = _twiddled(re, im, at + 2 * hop, 2 * turn, roots)
                    if radix == 3:
                        a, b, c = _join3(a, b, c)
                    else:
                        d = _twiddled(re, im, at + 3 * hop, 3 * turn, roots)
                        a, b, c, d = _join4(a, b, c, d)
                        _put(re, im, at + 3 * hop, d)
                    _put(re, im, at + 2 * hop, c)
                _put(re, im, at, a)
                _put(re, im, at + hop, b)
        m *= radix


@jit
def _twiddled(re, im, at, turn, roots):
    a, b = load(re, at), load(im, at)
    if turn > 0:
        c, s = broadcast(roots, 2 * turn), broadcast(roots, 2 * turn + 1)
        a, b = c * a - s * b, s * a + c * b
    return a, b


@jit
def _put(re, im, at, z):
    store(re, at, z[0])
    store(im, at, z[1])


def _transform(n, re, im, at, hop):
    """Transform, in place, the n points of each sequence that stand `hop` apart, by `points`."""
    places = [slice(at + e * hop, at + e * hop + LANES) for e in range(n)]
    for place, result in zip(places, points([(re[p].copy(), im[p].copy()) for p in places]), strict=True):
        re[place], im[place] = result


@overload(_transform)
def _overload_transform(n, re, im, at, hop):
    return lambda n, re, im, at, hop: _transform_at_once(n, re, im, at, hop)


@intrinsic
def _transform_at_once(typing, n, re, im, at, hop):
    vector, size = Vector(re.dtype), types.intp

    def generate(context, builder, signature, arguments):
        wanted, re, im, at, hop = arguments
        kind, align = context.get_value_type(vector), vector.scalar.bitwidth // 8
        for n in AT_ONCE:
            with builder.if_then(builder.icmp_signed("==", wanted, wanted.type(n))):
                indices = [builder.add(at, builder.mul(hop, hop.type(e))) for e in range(n)]
                places = [[vector_at(builder, part, index, kind) for part in (re, im)] for index in indices]
                loaded = [[builder.load(place, align=align) for place in pair] for pair in places]
                results = points([tuple(Emitted(builder, value) for value in pair) for pair in loaded])
                for pair, result in zip(places, results, strict=True):
                    for place, part in zip(pair, result, strict=True):
                        builder.store(part.value, place, align=align)
        return context.get_dummy_value()

    return types.void(size, re, im, size, size), generate
