"""Randomness is a key, not a state: every random number is a pure function of a key and a counter.

The generator is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011,
section 3.3): ten rounds of multiply-and-mix turn a 128-bit counter and a 64-bit key into 128 random bits. Two elements
never share a counter, so the result does not depend on the order of the draws, the chunks of a batch or the device, and a
resumed run draws what an uninterrupted run draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import overload

from engine.codegen.emit import EmittedInteger, splat, vector_at
from engine.codegen.jit import exact
from engine.codegen.simd import LANES, intrinsic

MASK = 0xFFFFFFFF
SLICE = 2**21  # numbers drawn at a time, to bound the temporary memory
_MASK, _SHIFT = np.uint64(MASK), np.uint64(32)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)  # the multipliers of Philox4x32
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)  # the steps of its key (golden ratio, sqrt(3) - 1)


def _philox(c0, c1, c2, c3, k0, k1):
    """128 random bits, as four 32-bit words in uint64, for the counter (c0..c3) under the key (k0, k1)."""
    for _ in range(10):
        a, b = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (b >> _SHIFT) ^ c1 ^ k0, b & _MASK, (a >> _SHIFT) ^ c3 ^ k1, a & _MASK
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return c0, c1, c2, c3


philox = exact(_philox)


def philox_in_lanes(words, block, row, k0, k1):
    """The words of LANES counters (block, row, 0, 0), (block + 1, row, 0, 0) and so on: word i of lane l is words[i LANES + l].

    Compiled, it is `philox` on values that represent LLVM's vectors, as for `engine.codegen.fft.codelet`.
    """
    for lane in range(LANES):
        words[lane : 4 * LANES : LANES] = _philox(block + np.uint64(lane), row, np.uint64(0), np.uint64(0), k0, k1)


@overload(philox_in_lanes)
def _overload_philox_in_lanes(words, block, row, k0, k1):
    return lambda words, block, row, k0, k1: _philox_emitted(words, block, row, k0, k1)


@intrinsic
def _philox_emitted(typing, words, block, row, k0, k1):
    def generate(context, builder, signature, arguments):
        words, *scalars = arguments
        kind = ir.VectorType(ir.IntType(64), LANES)

        def broadcast(scalar):  # LLVM multiplies halves of 64 bits where it sees that the other halves are 0
            return EmittedInteger(builder, splat(builder, scalar, kind)) & _MASK

        block, row, k0, k1 = map(broadcast, scalars)
        lanes = EmittedInteger(builder, ir.Constant(kind, list(range(LANES))))
        for i, word in enumerate(_philox((block + lanes) & _MASK, row, lanes & 0, lanes & 0, k0, k1)):
            builder.store(word.value, vector_at(builder, words, ir.Constant(ir.IntType(64), i * LANES), kind), align=8)
        return context.get_dummy_value()

    return types.void(words, *[types.uint64] * 4), generate


@exact
def child(low, high, k0, k1):
    """The key, low and high half, of the child (low, high) of a key: a counter that no drawn number uses."""
    a, b, _, _ = philox(low, high, np.uint64(1), np.uint64(0), k0, k1)
    return a, b


@exact
def _fill(words, first, row, k0, k1):
    """Words (n,) uint64: the words number first .. first + n - 1 of row `row` of the key's infinite table of words."""
    for block in range(first // 4, (first + len(words) + 3) // 4):
        four = philox(np.uint64(block), row, np.uint64(0), np.uint64(0), k0, k1)
        for i in range(4):
            if 0 <= 4 * block + i - first < len(words):
                words[4 * block + i - first] = four[i]


@dataclass(frozen=True)
class Key:
    """A 64-bit key. `key.fold(n)` derives an independent key: Key(seed).fold(epoch).fold(step) and so on."""

    word: int

    @property
    def halves(self) -> tuple[np.uint64, np.uint64]:
        """The low and the high 32 bits, as the kernels take them."""
        return np.uint64(self.word & MASK), np.uint64((self.word >> 32) & MASK)

    def fold(self, n: int) -> Key:
        """The key of the n-th child: philox at counter (n, 0, 1), a counter that no drawn number uses."""
        low, high = np.uint64(n & MASK), np.uint64((n >> 32) & MASK)
        a, b = child(low, high, *self.halves)
        return Key(int(a) | int(b) << 32)

    def words(self, n: int, first: int = 0) -> np.ndarray:
        """n random 32-bit words, (n,) uint64, from number `first` on."""
        words = np.empty(n, np.uint64)
        _fill(words, np.intp(first), np.uint64(0), *self.halves)
        return words

    def uniform(self, shape: tuple[int, ...]) -> np.ndarray:
        """Uniform float64 in (0, 1): the centres of 2^32 equal cells, so neither 0 nor 1 occurs."""
        numbers = np.empty(math.prod(shape))
        for first in range(0, numbers.size, SLICE):
            numbers[first : first + SLICE] = self._uniform(first, min(SLICE, numbers.size - first))
        return numbers.reshape(shape)

    def normal(self, shape: tuple[int, ...]) -> np.ndarray:
        """Standard normal float64 by Box and Muller: sqrt(-2 log u) cos(2 pi v)."""
        numbers = np.empty(math.prod(shape))
        for first in range(0, numbers.size, SLICE):
            count = min(SLICE, numbers.size - first)
            u, v = self._uniform(first, count), self._uniform(numbers.size + first, count)
            numbers[first : first + count] = np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)
        return numbers.reshape(shape)

    def _uniform(self, first: int, count: int) -> np.ndarray:
        return (self.words(count, first) + 0.5) / 2.0**32

    def permutation(self, n: int) -> np.ndarray:
        """A random order of 0..n-1: the order that sorts n random 64-bit words."""
        words = self.words(2 * n)
        return np.argsort(words[:n] << _SHIFT | words[n:], kind="stable")
