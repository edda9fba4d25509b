"""Prefetching for a split that is slow to read: separate threads read the next batch while the current one is trained on.

Reading and decoding mostly release the GIL, so the threads use every core that the training leaves idle: while a step computes
they share the cores with it, and while they wait for the disk it has all of them.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from data.dataset import Split, VariedSplit
from engine.random import Key
from engine.typing import Array, Shape

PIECE = 4  # images that a thread takes at a time


class ReadAhead:
    """A `Split` that holds two batches: the one that was prepared, and the next one, which is being read.

    `waited` is how many seconds `prepare` has waited for images since the last `take_waited`.
    """

    def __init__(self, split: VariedSplit, threads: int) -> None:
        self.split, self.threads, self.waited = split, threads, 0.0
        self._drawn: Split = split
        self._begun: tuple[Key | None, Split] = None, split  # what the batch that was begun last is drawn from
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="read")
        self._buffers = [np.empty((0, *split.shape), np.uint8) for _ in range(2)]
        self._indices = np.empty(0, np.int64)  # of the batch that was begun last
        self._pieces: list[Future] = []
        self._images, self._rows = self._buffers[0], dict[int, int]()

    def __len__(self) -> int:
        return len(self.split)

    @property
    def labels(self) -> Array:
        """(N,)."""
        return self.split.labels

    @property
    def shape(self) -> Shape:
        """(H, W, C)."""
        return self.split.shape

    @property
    def fingerprint(self) -> str:
        """That of the split."""
        return self.split.fingerprint

    def vary(self, key: Key) -> None:
        """From now on draw the images from this key (see `VariedSplit.varied`)."""
        self._rows = {}
        if self._begun[0] == key:  # they are being read already
            self._drawn = self._begun[1]
            return
        self._finish()
        self._drawn, self._indices = self.split.varied(key), np.empty(0, np.int64)

    def prepare(self, batch: Array, next_batch: Array, next_key: Key | None = None) -> None:
        """Have the images `batch` ready, and begin to read those of `next_batch`, which may be empty.

        next_key -- the key of the next batch where it differs, as for the first batch of an epoch: `vary` will be called with it
        """
        began = time.perf_counter()
        if not self._is_begun(batch):
            self._finish()
            self._begin(batch)
        self._finish()
        self.waited += time.perf_counter() - began
        self._images, self._rows = self._buffers[0], {int(i): row for row, i in enumerate(batch)}
        if len(next_batch):
            self._begin(next_batch, next_key)

    def take_waited(self) -> float:
        """How many seconds were waited since the last call."""
        waited, self.waited = self.waited, 0.0
        return waited

    def read(self, indices: Array, out: Array) -> None:
        """Copy images of the prepared batch, or all of the next one, to `out`; others are read now."""
        rows = [self._rows.get(int(i), -1) for i in indices]
        if self._is_begun(indices) and len(indices):
            self._finish()
            np.copyto(out, self._buffers[0][: len(indices)])
        elif min(rows, default=0) < 0:
            self._drawn.read(indices, out)
        else:
            np.take(self._images, rows, axis=0, out=out)

    def __reduce__(self) -> tuple:
        """A copy, or what is pickled: it has read nothing yet."""
        return ReadAhead, (self.split, self.threads)

    def _is_begun(self, batch: Array) -> bool:
        """Whether the batch that was begun last is this one, as it is drawn now."""
        return self._begun[1] is self._drawn and np.array_equal(batch, self._indices)

    def _begin(self, batch: Array, key: Key | None = None) -> None:
        """Read a batch into the buffer that is not in use; drawn from the key, where there is one."""
        self._begun = (None, self._drawn) if key is None else (key, self.split.varied(key))
        self._buffers.reverse()
        if len(self._buffers[0]) < len(batch):
            self._buffers[0] = np.empty((len(batch), *self.shape), np.uint8)
        images, read = self._buffers[0], self._begun[1].read
        parts = [slice(start, min(start + PIECE, len(batch))) for start in range(0, len(batch), PIECE)]
        self._pieces = [self._pool.submit(read, batch[part], images[part]) for part in parts]
        self._indices = batch

    def _finish(self) -> None:
        """Wait for what was begun; the first exception is raised again, once nothing is being written any more."""
        pieces, self._pieces = self._pieces, []
        errors = [piece.exception() for piece in pieces]
        for error in errors:
            if error is not None:
                self._indices = np.empty(0, np.int64)
                raise error
