"""Data parallelism over threads: a batch is cut into chunks, and each thread takes its chunks through the whole network.

Samples do not interact in a forward or backward pass, so threads share nothing but the parameters, which are read-only during a
pass. In training each thread has its own chunks and its own gradients, which are reduced in a fixed order at the end: for a
given number of threads the result is the same to the last bit. A backward pass is split into jobs with private accumulators so
that idle threads can steal work (`Context.parallel_for`); the accumulators are reduced in job order, so results do not depend
on scheduling. Large weights have one gradient for all threads, a product over the whole batch that all threads compute together
when the pass is over (engine.ops.large_linear). Without gradients (inference) all threads take chunks from one queue.

Where a batch has fewer images than threads, those without a chunk help with the others': an operation is divided among them
(`Context.shares`), and in inference a network's segments run at the same time (layers.segments). The bits remain the same.

Chunks are small so that what one layer writes is still in the cache when the next one reads it. The BLAS's own threads are
switched off: they would only compete.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, wait
from functools import partial
from operator import itemgetter

import numpy as np
from threadpoolctl import threadpool_limits

from engine.context import Context, Jobs, Products, WeightTransformCache
from engine.errors import UserError
from engine.memory import Memory
from engine.ops import large_linear
from engine.parameters import FlatBuffer, Parameter
from engine.random import Key
from engine.runtime.communicator import ALONE, Communicator
from engine.runtime.overlap import Overlap
from engine.runtime.pool import InThisThread, ThreadPool, available_processors, run_together, silent_overflow, take_all

MAX_THREADS = 1024
CHUNK = 64  # images; of 16, 32 and 64 the fastest for networks on small images
CHUNK_BYTES, SMALLEST = 2**29, 4  # the limit for all layers' outputs of a chunk; a chunk has SMALLEST images or more
Work = Callable[[Context, int, int], None]


def available_threads() -> int:
    """How many processors this process may use, MAX_THREADS at most."""
    return min(len(available_processors()), MAX_THREADS)


def chunk_of(sample_bytes: int) -> int:
    """How many images a thread takes through a network at once, given the bytes of all layers' outputs for one image.

    >>> chunk_of(10**6), chunk_of(60 * 10**6), chunk_of(10**9)
    (64, 8, 4)
    """
    return max(SMALLEST, min(CHUNK, 1 << max(CHUNK_BYTES // max(sample_bytes, 1), 1).bit_length() - 1))


class CpuBackend:
    """A pool of threads for one network's parameters; in training each rank takes its slice of the batch."""

    def __init__(
        self,
        parameters: Sequence[Parameter],
        *,
        threads: int | None = None,
        chunk: int = CHUNK,
        comm: Communicator = ALONE,
    ) -> None:
        self.threads, self.chunk, self.comm = threads or available_threads(), chunk, comm
        threadpool_limits(1, user_api="blas")
        is_alone = self.threads == 1 and comm.size == 1  # otherwise this thread sends and receives while others compute
        self._pool: Executor = InThisThread() if is_alone else ThreadPool(self.threads)
        self._weight_cache = WeightTransformCache()
        self._one_run = threading.Lock()  # contexts and gradients are those of one run
        self._here = threading.local()  # `at_work` in the threads of a run
        self._memory, self._products = Memory(), [Products() for _ in range(self.threads)]
        self._gradients = FlatBuffer(parameters)
        self._shared = {p for p in parameters if large_linear.is_shared(p)}
        own = [p for p in parameters if p not in self._shared]
        first = {p: self._gradients.views[p] for p in own}
        self._views: list[dict[Parameter, np.ndarray]] = [first]  # by thread
        self._views += [FlatBuffer(own).views for _ in range(self.threads - 1)]
        self._contexts = [
            Context(
                weight_cache=self._weight_cache, gradients=views, products=products, parallel_for=self._parallel_for
            )
            for views, products in zip(self._views, self._products, strict=True)
        ]
        total = comm.gradient_sum(self._gradients)
        self._overlap = total and Overlap(total, self._gradients, self.threads, self._reduce)

    def run(self, samples: int, work: Work, *, training: bool = False, key: Key | None = None) -> None:
        """Call `work(ctx, start, stop)` for every chunk of a batch of `samples`; the first exception is raised again.

        In training the chunks are those of this rank's slice, and the gradients are summed over the ranks. Runs that several
        threads ask for follow one another.

        Raises:    UserError inside the `work` of a run, which would wait for this one for ever.
        """
        if getattr(self._here, "at_work", False):
            raise UserError(
                "a run was begun inside another one of this backend: begin it before, or on another backend."
            )
        with self._one_run:
            self._run(samples, work, training, key or Key(0))

    def _run(self, samples: int, work: Work, training: bool, key: Key) -> None:
        refreshes = self._weight_cache.refresh(self._pool)
        if training and self._overlap:
            self._overlap.begin()
        own = self.comm.share(samples) if training else slice(0, samples)
        each = -(-(own.stop - own.start) // self.threads)
        chunk = min(self.chunk, max(1, each))  # a small batch is spread over all threads, too
        chunks = [(start, min(start + chunk, own.stop)) for start in range(own.start, own.stop, chunk)]
        sharing = self.threads // max(len(chunks), 1)
        if training:
            queues = [deque(chunks[thread :: self.threads]) for thread in range(self.threads)]
        else:
            queues = [deque(chunks)] * min(self.threads, len(chunks))  # one for all; the same few contexts every time
        futures = [
            self._pool.submit(self._run_chunks, i, queue, work, training, key, sharing)
            for i, queue in enumerate(queues)
        ]
        try:
            if training and self._overlap:
                self._overlap.wait([*refreshes, *futures])
                return
            wait([*refreshes, *futures])
        except BaseException:  # Ctrl-C: no chunk begins, and the contexts are free when those under way have ended
            for queue in queues:
                queue.clear()
            wait([*refreshes, *futures])
            raise
        for future in futures:
            future.result()
        if training:
            for parameter in self._gradients.views:
                self._reduce(parameter)

    def _reduce(self, parameter: Parameter) -> None:
        """Compute the products that the threads have left, sample by sample, and add their gradients, thread by thread."""
        total = self._gradients.views[parameter]
        parts = [part for products in self._products for part in products.pop(parameter, ())]
        if parts:
            _, xs, dys = zip(*sorted(parts, key=itemgetter(0)), strict=True)
            self._parallel_for(large_linear.weight_gradient(xs, dys, total, self._memory.empty))
        elif parameter in self._shared:
            total.fill(0)
        for views in self._views:
            if parameter in views and views[parameter] is not total:
                total += views[parameter]

    def _run_chunks(
        self, thread: int, chunks: deque[tuple[int, int]], work: Work, training: bool, key: Key, sharing: int
    ) -> None:
        """One thread's part of `run`; `sharing` threads are there for a chunk."""
        ctx = self._contexts[thread]
        self._products[thread].clear()
        for gradient in self._views[thread].values() if training else ():
            gradient.fill(0)
        overlap = self._overlap if training and self.comm.overlap else None
        if overlap and not chunks:
            overlap.finished(thread, ctx, self._gradients.views)
        with silent_overflow():
            self._here.at_work = True
            try:
                for start, stop in take_all(chunks):
                    ctx.restart(training=training, key=key, first_sample=start, threads=max(sharing, 1))
                    if overlap and not chunks:  # the thread's last one
                        ctx.on_finished = partial(overlap.finished, thread, ctx)
                    work(ctx, start, stop)
            finally:
                self._here.at_work = False
                ctx.on_finished = None
                ctx.gradients()

    def _parallel_for(self, jobs: Jobs) -> None:
        """Run all jobs; threads that have finished their chunks of the batch take some of them."""
        run_together(self._pool, self.threads, jobs)

    def __reduce__(self) -> tuple:
        """A copy, or what is pickled: a new pool and new memory for (copies of) the same parameters."""
        return partial(CpuBackend, threads=self.threads, chunk=self.chunk), (list(self._gradients.views),)

    @property
    def device_name(self) -> str:
        """The device in words."""
        threads = f"CPU, {self.threads:,} thread{'' if self.threads == 1 else 's'}"
        return threads if self.comm.size == 1 else f"{threads} on each of {self.comm.size:,} ranks"

    @property
    def gradients(self) -> FlatBuffer:
        """The sum of all threads' gradients in the last `run`."""
        return self._gradients

    @property
    def nbytes(self) -> int:
        """Bytes of scratch memory held by all threads."""
        return self._memory.nbytes + sum(ctx.nbytes for ctx in self._contexts)
