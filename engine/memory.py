"""Scratch memory that is used again, and arrays that begin where a line of the cache does.

A vector that lies across two lines costs two accesses. NumPy's arrays begin at any multiple of 16 bytes, and so half of the
vectors of 32 bytes, and all of 64, would lie across.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from math import prod

import numpy as np

Empty = Callable[[tuple[int, ...], np.typing.DTypeLike], np.ndarray]
LINE, SLAB = 64, 2**25  # bytes: of a cache line, and of a slab
STAGGER = 33 * LINE  # bytes between two blocks


def aligned(shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
    """An array with arbitrary contents that begins at a line of the cache."""
    size = prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(size + LINE, np.uint8)
    start = -room.__array_interface__["data"][0] % LINE
    return room[start : start + size].view(dtype).reshape(shape)


class Memory:
    """Scratch arrays that are used again: `empty` hands one out, `release` takes it back, `reset` takes back all.

    The pool is sorted by size in bytes. A training step asks for the same sizes in the same order every time, so after
    the first step nothing is allocated; and what was released last, still in cache, is handed out first. New blocks are cut
    from large slabs, for which the system uses large pages, each block a little off a round address: what stands at the same
    place in every page competes for the same few lines of a cache.
    """

    def __init__(self) -> None:
        self._idle: dict[int, list[np.ndarray]] = defaultdict(list)
        self._lent: dict[int, np.ndarray] = {}  # by the identity of the array that all views of a block rest on
        self._rest = memoryview(b"")  # of the last slab

    def empty(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
        """An array of this shape with arbitrary contents."""
        size = prod(shape) * np.dtype(dtype).itemsize
        pool = self._idle[size]
        block = pool.pop() if pool else self._cut(size)
        self._lent[id(block)] = block
        return block.view(dtype).reshape(shape)

    def release(self, array: np.ndarray) -> None:
        """Take back a lent array, or the one that it is a view of; any other array is none of ours."""
        block = self._lent.pop(id(array.base), None)
        if block is not None:
            self._idle[block.size].append(block)

    def lent(self) -> set[int]:
        """What is lent at present, for `release_since`."""
        return set(self._lent)

    def release_since(self, before: set[int], kept: np.ndarray) -> None:
        """Take back what was lent since `before`, but for the block that `kept` is a view of."""
        for identity in [i for i in self._lent if i not in before and i != id(kept.base)]:
            block = self._lent.pop(identity)
            self._idle[block.size].append(block)

    def reset(self) -> None:
        """Take back everything that is still lent."""
        for block in reversed(self._lent.values()):
            self._idle[block.size].append(block)
        self._lent.clear()

    @property
    def nbytes(self) -> int:
        """Bytes held, lent and idle."""
        return sum(b.size for b in self._lent.values()) + sum(size * len(pool) for size, pool in self._idle.items())

    def _cut(self, size: int) -> np.ndarray:
        """`size` bytes that start at a cache line."""
        room = -(-size // LINE) * LINE + STAGGER
        if room > len(self._rest):
            self._rest = aligned((max(SLAB, room),), np.uint8).data
        block, self._rest = self._rest[:size], self._rest[room:]
        return np.frombuffer(block, np.uint8)
