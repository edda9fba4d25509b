"""Rows of an array in the CPU's memory, copied to the GPU while it computes on the rows before.

Double buffering: each of two turns has a pinned buffer, from which the GPU copies by itself, and a buffer on the GPU. The copies
have a stream of their own; the consumer's stream waits for an event that marks the end of a copy, the CPU does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy
import cupyx
import numpy as np

from engine.typing import CudaArray, Shape


class Prefetcher:
    """Batches of uint8 rows, at most `most` rows of one shape at a time; `read(indices, out)` writes rows into memory."""

    def __init__(self, read: Callable[[np.ndarray, np.ndarray], None], row: Shape, most: int) -> None:
        shape = most, *row
        self._read = read
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._pinned = [cupyx.empty_pinned(shape, np.uint8) for _ in range(2)]
        self._on_gpu = [cupy.empty(shape, np.uint8) for _ in range(2)]
        self._copied = [cupy.cuda.Event(disable_timing=True) for _ in range(2)]
        self._turn, self._index = 0, np.empty(0, np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes on the GPU."""
        return sum(rows.nbytes for rows in self._on_gpu)

    def start(self, index: np.ndarray) -> None:
        """Start to copy the rows `index`; readers of the rows copied two calls ago must have finished."""
        self._turn, self._index = 1 - self._turn, index
        pinned, on_gpu = (buffers[self._turn][: len(index)] for buffers in (self._pinned, self._on_gpu))
        self._copied[self._turn].synchronize()  # the pinned buffer may still be being copied
        self._read(index, pinned)
        on_gpu.set(pinned, stream=self._stream)
        self._copied[self._turn].record(self._stream)

    def to_device(self, index: np.ndarray, to: CudaArray, stream: Any) -> None:
        """to = the rows `index`, in `stream`; a copy on the GPU alone where they were the last to be started."""
        if not np.array_equal(index, self._index):
            self.start(index)
        stream.wait_event(self._copied[self._turn])
        to[...] = self._on_gpu[self._turn][: len(index)]
