"""Rows of an array in the CPU's memory, copied to the GPU while it works on the rows before.

Two pairs of buffers take turns, each a pinned one, which the GPU reads by itself, and one on the GPU. The copies have a stream
of their own; an event says where one ends, and whoever reads the rows waits for it on the GPU, not on the CPU.
"""

from __future__ import annotations

from typing import Any

import cupy
import cupyx
import numpy as np

from engine.typing import CudaArray


class Prefetcher:
    """Rows of `source` (n, ...), at most `most` at a time."""

    def __init__(self, source: np.ndarray, most: int) -> None:
        shape = most, *source.shape[1:]
        self._source = source
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._pinned = [cupyx.empty_pinned(shape, source.dtype) for _ in range(2)]
        self._there = [cupy.empty(shape, source.dtype) for _ in range(2)]
        self._copied = [cupy.cuda.Event(disable_timing=True) for _ in range(2)]
        self._turn, self._index = 0, np.empty(0, np.int64)

    @property
    def nbytes(self) -> int:
        """On the GPU."""
        return sum(rows.nbytes for rows in self._there)

    def start(self, index: np.ndarray) -> None:
        """Begin to copy the rows `index` (at most `most`); whatever reads the rows before the last has ended."""
        self._turn, self._index = 1 - self._turn, index
        pinned, there = (buffers[self._turn][: len(index)] for buffers in (self._pinned, self._there))
        self._copied[self._turn].synchronize()  # until the buffer's last rows are off
        np.take(self._source, index, axis=0, out=pinned)
        there.set(pinned, stream=self._stream)
        self._copied[self._turn].record(self._stream)

    def bring(self, index: np.ndarray, to: CudaArray, stream: Any) -> None:
        """to = the rows `index`, in `stream`; nothing is left to copy from the CPU if they were the last to be started."""
        if not np.array_equal(index, self._index):
            self.start(index)
        stream.wait_event(self._copied[self._turn])
        to[...] = self._there[self._turn][: len(index)]
