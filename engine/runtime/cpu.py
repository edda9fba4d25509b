"""Threads over images: a batch is cut into chunks, and each thread takes its share of them through the whole network.

Samples do not meet in a forward or backward pass, so threads share nothing but the parameters, which nobody writes in a
pass. In training a thread has its own chunks and its own gradients, which are added up in a fixed order at the end: for a
given number of threads the result is the same to the last bit. Who is done first helps the others with work that they have
cut into jobs (`Context.together`); a job writes to places of its own, so it does not matter who does it. Where there are no
gradients, a thread takes another chunk whenever it is done with one. Chunks are small so that what one layer writes is still
in the cache when the next layer reads it. The matrix products' own threads are switched off: they would only compete.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from engine.context import Context, Jobs, WeightTransformCache
from engine.memory import Memory
from engine.parameters import FlatBuffer, Parameter
from engine.random import Key

CHUNK = 64  # images; of 16, 32 and 64 the fastest for the networks of the recipes
Work = Callable[[Context, int, int], None]
T = TypeVar("T")


def available_threads() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Backend(Protocol):
    """Who takes a batch through a network's layers: `Workers`, or `engine.runtime.cuda.CudaWorkers`."""

    threads: int

    def run(self, samples: int, work: Work, *, training: bool = False, key: Key | None = None) -> None: ...

    @property
    def gradients(self) -> FlatBuffer: ...

    @property
    def place(self) -> str: ...

    @property
    def nbytes(self) -> int: ...


class CpuBackend:
    """A team of threads for one network's parameters."""

    def __init__(self, parameters: Sequence[Parameter], *, threads: int | None = None, chunk: int = CHUNK) -> None:
        self.threads, self.chunk = threads or available_threads(), chunk
        threadpool_limits(1, user_api="blas")
        self._pool = ThreadPoolExecutor(self.threads)
        self._images = WeightTransformCache()
        self._gradients = [FlatBuffer(parameters) for _ in range(self.threads)]
        self._contexts = [
            Context(memory=Memory(), images=self._images, gradients=gradients.views, parallel_for=self._parallel_for)
            for gradients in self._gradients
        ]

    def run(self, samples: int, work: Work, *, training: bool = False, key: Key | None = None) -> None:
        """Call `work(ctx, start, stop)` for every chunk of a batch of `samples`; the first exception is raised again."""
        images = self._images.renew(self._pool)
        chunk = min(self.chunk, -(-samples // self.threads))  # a small batch is work for all threads too
        chunks = [(start, min(start + chunk, samples)) for start in range(0, samples, chunk)]
        everyones, key = deque(chunks), key or Key(0)
        shares = [deque(chunks[thread :: self.threads]) if training else everyones for thread in range(self.threads)]
        futures = [self._pool.submit(self._share, i, share, work, training, key) for i, share in enumerate(shares)]
        wait([*images, *futures])
        for future in futures:
            future.result()
        if training:
            for other in self._gradients[1:]:
                self.gradients.buffer += other.buffer

    def _share(self, thread: int, chunks: deque[tuple[int, int]], work: Work, training: bool, key: Key) -> None:
        ctx = self._contexts[thread]
        self._gradients[thread].buffer.fill(0)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows shows in the loss
            try:
                for start, stop in _taken(chunks):
                    ctx.restart(training=training, key=key, first=start)
                    work(ctx, start, stop)
            finally:
                ctx.gradients()

    def _parallel_for(self, jobs: Jobs) -> None:
        """Do all jobs; threads that are done with their share of the batch take some of them."""
        left = deque(jobs)
        helpers = [self._pool.submit(_do, left) for _ in range(min(self.threads, len(jobs)) - 1)]
        try:
            _do(left)
        finally:
            for helper in helpers:
                if not helper.cancel():  # it has begun
                    helper.result()

    @property
    def place(self) -> str:
        """Where the work is done."""
        return f"CPU, {self.threads:,} thread{'' if self.threads == 1 else 's'}"

    @property
    def gradients(self) -> FlatBuffer:
        """The sum of all threads' gradients in the last `run`."""
        return self._gradients[0]

    @property
    def nbytes(self) -> int:
        """Scratch memory of all threads, in bytes."""
        return sum(ctx.nbytes for ctx in self._contexts)


def _do(left: deque[Callable[[], None]]) -> None:
    for job in _taken(left):
        job()


def _taken(left: deque[T]) -> Iterator[T]:
    """What is left, one at a time, whoever else takes from it."""
    while True:
        try:
            yield left.popleft()
        except IndexError:
            return


def make_backend(
    device: str, parameters: Sequence[Parameter], *, threads: int | None = None, precision: str = "float32"
) -> Backend:
    """A team of threads, or a GPU, which the parameters move to."""
    if device == "cpu":
        return CpuBackend(parameters, threads=threads)
    from engine.runtime.cuda import CudaBackend

    return CudaBackend(parameters, precision=precision)
