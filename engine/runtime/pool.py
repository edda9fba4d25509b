"""The threads of a backend: they take jobs from a queue, and idle threads take jobs of the others.

Where the threads have every processor, each keeps to one: after a pause of the process, Linux may wake two of them on the same
one, where they stay for the 10 ms that an image takes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from engine.context import Jobs

T = TypeVar("T")


def available_processors() -> list[int]:
    """The numbers of the processors that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


class ThreadPool(ThreadPoolExecutor):
    """So many threads that begin when there is work, each on a processor of its own if that takes all of them."""

    def __init__(self, threads: int) -> None:
        processors = available_processors()
        own = iter(processors if len(processors) == threads and hasattr(os, "sched_setaffinity") else ())
        super().__init__(threads, initializer=_keep_to_next, initargs=(own,))


class InThisThread(Executor):
    """A pool without threads: work runs at once, in the calling thread."""

    def submit(self, work: Callable, /, *arguments: Any, **options: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(work(*arguments, **options))
        except BaseException as error:
            future.set_exception(error)
        return future


def run_together(pool: Executor, threads: int, jobs: Jobs) -> None:
    """Run all jobs in this thread, and in those of the pool that have nothing else to do: so many at most, this one included.

    Once a job has failed, none begins; its exception is raised again when no other runs any more.
    """
    queue = deque(jobs)
    helpers = [pool.submit(_run_jobs, queue) for _ in range(min(threads, len(jobs)) - 1)]
    try:
        _run_jobs(queue)
    finally:
        begun = [helper for helper in helpers if not helper.cancel()]
        failures = [helper.exception() for helper in begun]  # waits
    for failure in failures:
        if failure:
            raise failure


def take_all(queue: deque[T]) -> Iterator[T]:
    """The elements of a queue from which other threads take too."""
    while True:
        try:
            yield queue.popleft()
        except IndexError:
            return


def silent_overflow() -> np.errstate:
    """No warning of an overflow, which shows in the loss; NumPy asks each thread for itself."""
    return np.errstate(over="ignore", invalid="ignore")


def _run_jobs(queue: deque[Callable[[], None]]) -> None:
    with silent_overflow():
        try:
            for job in take_all(queue):
                job()
        except BaseException:
            queue.clear()
            raise


def _keep_to_next(processors: Iterator[int]) -> None:
    for processor in islice(processors, 1):
        with suppress(OSError):
            os.sched_setaffinity(0, {processor})
