"""The threads of a backend: where they run, how they share jobs, and what becomes of an exception."""

import os
import threading
import time
import warnings
from collections import deque
from functools import partial

import numpy as np
import pytest

from engine.runtime.cpu import CpuBackend, available_threads
from engine.runtime.pool import InThisThread, run_together


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not let a thread choose processors")
@pytest.mark.parametrize("more", [0, 1])
def test_threads_that_have_every_processor_keep_to_one_each_and_others_to_none(more):
    threads, before = available_threads() + more, os.sched_getaffinity(0)
    together, kept = threading.Barrier(threads, timeout=60), set()

    def work(ctx, start, stop):
        kept.add(frozenset(os.sched_getaffinity(0)))
        together.wait()

    CpuBackend([], threads=threads, chunk=1).run(threads, work)
    assert kept == ({frozenset(before)} if more else {frozenset({processor}) for processor in before})
    assert os.sched_getaffinity(0) == before


def test_an_exception_in_a_job_is_raised_again():
    def work(ctx, start, stop):
        ctx.parallel_for([partial(int, "7"), partial(int, "seven")])

    with pytest.raises(ValueError, match="seven"):
        CpuBackend([], threads=2, chunk=1).run(2, work, training=True)


@pytest.mark.parametrize("failing", ["owner", "helper 1", "helper 2"])
def test_an_exception_in_a_job_is_raised_when_the_others_have_ended(failing):
    started, running = threading.Barrier(3, timeout=60), set()

    def work(ctx, start, stop):
        owner, names = threading.get_ident(), deque(["helper 1", "helper 2"])

        def job():
            name = "owner" if threading.get_ident() == owner else names.popleft()
            running.add(name)
            started.wait()
            if name == failing:
                running.remove(name)
                raise ValueError(name)
            time.sleep(0.1)  # so that the exception comes first
            running.remove(name)

        ctx.parallel_for([job] * 3)

    with pytest.raises(ValueError, match=failing):
        CpuBackend([], threads=3).run(1, work)
    assert not running


def test_after_an_exception_no_thread_takes_another_job():
    begun = []
    with pytest.raises(ValueError, match="seven"):
        run_together(InThisThread(), 1, [partial(int, "seven"), partial(begun.append, 8)])
    assert not begun


def test_of_two_exceptions_the_own_thread_s_is_raised():
    failed = threading.Barrier(2, timeout=60)

    def work(ctx, start, stop):
        owner = threading.get_ident()

        def job():
            failed.wait()
            raise ValueError("owner" if threading.get_ident() == owner else "helper")

        ctx.parallel_for([job, job])

    with pytest.raises(ValueError, match="owner"):
        CpuBackend([], threads=2).run(1, work)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_overflow_in_a_pass_is_silent_because_the_loss_shows_it(threads):
    found, every_thread = [], threading.Barrier(threads, timeout=60)

    def job():
        every_thread.wait()
        large = np.full(3, 3e38, np.float32)
        found.append([10 * large, 10 * large - 10 * large])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CpuBackend([], threads=threads).run(1, lambda ctx, start, stop: ctx.parallel_for([job] * threads))
    assert len(found) == threads
    assert np.isinf([over for over, _ in found]).all()
    assert np.isnan([invalid for _, invalid in found]).all()
