"""The discrete Fourier transform of LANES sequences at once, of a length 2^a 3^b.

Decimation in time, in place, in mixed radix: a length r m falls into r interleaved sequences of length m, whose transforms are
joined by a twiddle factor and an r-point transform (Cooley and Tukey 1965). The input stands in the order of the digits of
its index reversed (`order`), the output in its natural order. Real and imaginary parts live in two arrays; exchanging them
conjugates the transform, so `fft(im, re, ...)` is the inverse (without its factor 1/length): there is one routine only.
"""

import math

import numpy as np

from .jit import jit
from .simd import load, spread, store

HALF_SQRT3 = math.sqrt(3) / 2


def good_size(least: int) -> int:
    """Smallest length 2^a 3^b that is at least `least`."""
    length = max(least, 1)
    while not _radices(length):
        length += 1
    return length


def _radices(length: int) -> list[int]:
    """Radices 4, 2, 3 whose product is `length`, empty where there are none."""
    radices = []
    for radix in (4, 2, 3):
        while length % radix == 0:
            radices.append(radix)
            length //= radix
    return (radices or [1]) if length == 1 else []


class Transform:
    """What `fft` needs to know of a length: its radices, the input's order, the roots of unity exp(-2 pi i t / length)."""

    def __init__(self, length: int, dtype):
        self.length = length
        self.radices = np.array(_radices(length), np.intp)
        order = np.zeros(1, np.intp)
        for radix in self.radices:
            index = np.arange(len(order) * radix)
            order = (index % radix) * len(order) + order[index // radix]
        self.order = order  # sequence element i belongs at position order[i]
        angle = 2 * np.pi * np.arange(length) / length
        self.roots = np.stack([np.cos(angle), -np.sin(angle)], axis=1).astype(dtype)  # (length, 2)


@jit
def fft(re, im, start, stride, length, radices, roots):
    """Transform, in place, LANES sequences with element e at [start + e * stride : start + e * stride + LANES]."""
    m = 1
    for radix in radices:
        step = length // (m * radix)  # the root of unity of length m * radix is roots[step]
        hop = m * stride
        for first in range(0, length, m * radix):
            for j in range(m):
                at = start + (first + j) * stride
                if radix == 4:
                    _radix4(re, im, at, hop, j * step, roots)
                elif radix == 3:
                    _radix3(re, im, at, hop, j * step, roots)
                elif radix == 2:
                    _radix2(re, im, at, hop, j * step, roots)
        m *= radix


@jit
def _twiddled(re, im, at, turn, roots):
    a, b = load(re, at), load(im, at)
    if turn > 0:
        c, s = spread(roots, 2 * turn), spread(roots, 2 * turn + 1)
        a, b = c * a - s * b, s * a + c * b
    return a, b


@jit
def _put(re, im, at, a, b):
    store(re, at, a)
    store(im, at, b)


@jit
def _radix2(re, im, at, hop, turn, roots):
    ar, ai = load(re, at), load(im, at)
    br, bi = _twiddled(re, im, at + hop, turn, roots)
    _put(re, im, at, ar + br, ai + bi)
    _put(re, im, at + hop, ar - br, ai - bi)


@jit
def _radix3(re, im, at, hop, turn, roots):
    ar, ai = load(re, at), load(im, at)
    br, bi = _twiddled(re, im, at + hop, turn, roots)
    cr, ci = _twiddled(re, im, at + 2 * hop, 2 * turn, roots)
    sr, si = br + cr, bi + ci
    dr, di = HALF_SQRT3 * (br - cr), HALF_SQRT3 * (bi - ci)
    mr, mi = ar - 0.5 * sr, ai - 0.5 * si
    _put(re, im, at, ar + sr, ai + si)
    _put(re, im, at + hop, mr + di, mi - dr)
    _put(re, im, at + 2 * hop, mr - di, mi + dr)


@jit
def _radix4(re, im, at, hop, turn, roots):
    ar, ai = load(re, at), load(im, at)
    br, bi = _twiddled(re, im, at + hop, turn, roots)
    cr, ci = _twiddled(re, im, at + 2 * hop, 2 * turn, roots)
    dr, di = _twiddled(re, im, at + 3 * hop, 3 * turn, roots)
    er, ei, fr, fi = ar + cr, ai + ci, ar - cr, ai - ci
    gr, gi, hr, hi = br + dr, bi + di, br - dr, bi - di
    _put(re, im, at, er + gr, ei + gi)
    _put(re, im, at + hop, fr + hi, fi - hr)
    _put(re, im, at + 2 * hop, er - gr, ei - gi)
    _put(re, im, at + 3 * hop, fr - hi, fi + hr)
