"""A pool of scratch memory, and arrays that begin at a cache line.

A vector that straddles two cache lines costs two accesses. NumPy aligns arrays to 16 bytes only, so half of the vectors of
32 bytes, and all of 64, could straddle two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

Empty = Callable[[tuple[int, ...], np.typing.DTypeLike], np.ndarray]
LINE, SLAB = 64, 2**25  # bytes of a cache line, and of a slab
STAGGER = 33 * LINE  # bytes between two blocks


def aligned(shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
    """An array with arbitrary contents that begins at a cache line."""
    size = prod(shape) * np.dtype(dtype).itemsize
    padded = np.empty(size + LINE, np.uint8)
    start = -padded.__array_interface__["data"][0] % LINE
    return padded[start : start + size].view(dtype).reshape(shape)


class _Piece(np.ndarray):
    """Bytes of a slab."""


class _Block(np.ndarray):
    """A piece in use: the array handed out and all its views refer to it, so it dies with the last of them.

    A view of a view normally refers straight to the array that owns the memory. NumPy stops short where the class changes, hence
    a class of its own for blocks and for pieces.
    """

    __slots__ = ("_idle",)
    _idle: list[Any]

    def __del__(self) -> None:
        self._idle.append(self.base)


class Memory:
    """A pool of scratch arrays: `empty` hands one out, and its memory returns to the pool when the last view of it dies.

    The pool is sorted by size in bytes. A training step asks for the same sizes in the same order every time, so after
    the first step nothing is allocated; and what was freed last, still in cache, is handed out first. New pieces are cut
    from large slabs, for which the system uses large pages, each piece a little off a round address: addresses that are equal
    modulo the page size compete for the same few lines of a cache.

    One thread calls `empty`; the arrays may die in any thread (appending to a list is atomic).
    """

    def __init__(self) -> None:
        self.nbytes = 0  # held, in use or idle
        self._idle: dict[int, list[Any]] = defaultdict(list)  # pieces by size
        self._rest: Any = ()  # of the last slab

    def empty(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
        """An array of this shape with arbitrary contents."""
        size = prod(shape) * np.dtype(dtype).itemsize
        idle = self._idle[size]
        return self._array(idle.pop() if idle else self._cut(size), idle, shape, dtype)

    @property
    def nbytes_in_use(self) -> int:
        """Bytes in use by live arrays."""
        return self.nbytes - sum(size * len(pieces) for size, pieces in self._idle.items())

    def _array(self, piece: Any, idle: list[Any], shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
        """An array on a piece, which is appended to `idle` when the array and its views are dead."""
        block = _Block(piece.size, np.uint8, piece)
        block._idle = idle
        return np.ndarray(shape, dtype, block)

    def _cut(self, size: int) -> Any:
        """A new piece of `size` bytes, at a cache line."""
        self.nbytes += size
        length = -(-size // LINE) * LINE + STAGGER
        if length > len(self._rest):
            self._rest = aligned((max(SLAB, length),), np.uint8).view(_Piece)
        piece, self._rest = self._rest[:size], self._rest[length:]
        return piece
