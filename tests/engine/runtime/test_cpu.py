"""Threads and chunks: the same gradients whatever the cut, and the same bits every time."""

import copy
import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from cldl.loss import cldl_loss
from engine.errors import UserError
from engine.gradcheck import grid
from engine.initialisers import normal
from engine.parameters import Parameter, cast, initialise
from engine.random import Key
from engine.runtime import cpu
from engine.runtime.cpu import (
    CHUNK,
    CHUNK_BYTES,
    MAX_THREADS,
    SMALLEST,
    CpuBackend,
    available_threads,
    chunk_of,
)
from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.linear import Linear
from layers.pooling import GlobalAvgPool, MaxPool2d
from layers.relu import ReLU
from layers.sequential import Sequential
from tests.networks import stack

N = 7
X = grid((N, 6, 6, 2), Key(1))
LABELS = np.arange(N) % 3


def network(dtype=np.float64):
    bias = normal(0.5)
    first = Conv2d(2, 3, 3, padding=1, bias=bias, algorithm="fft")
    blocks = [Sequential(first, ReLU(), MaxPool2d(2), Dropout(0.5)), Sequential(Conv2d(3, 3, 1, bias=bias), ReLU())]
    made = stack(blocks, [Sequential(GlobalAvgPool(), Linear(3, 3)), GlobalAvgPool()], (6, 6, 2))
    initialise(made.parameters(), Key(3))
    cast(made.parameters(), dtype)
    return made


def gradients(net, backend, x, key=None):
    samples = len(x)

    def work(ctx, start, stop):
        logits, cache = net.forward(x[start:stop], ctx)
        result = cldl_loss(logits, LABELS[start:stop], samples=samples)
        net.backward(result.gradients, cache, ctx, need_dx=False)

    backend.run(samples, work, training=True, key=key or Key(9))
    return backend.gradients.buffer.copy()


def outputs(net, backend, x):
    """The logits of the chunks, as the pass made them, in inference."""
    found = {}

    def work(ctx, start, stop):
        ctx.needs_backward = False
        found[start], _ = net.forward(x[start:stop], ctx)

    backend.run(len(x), work)
    return [z for start in sorted(found) for z in found[start]]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 16])
def test_any_number_of_threads_and_chunks_gives_the_same_gradients(threads, chunk):
    net = network()
    whole = gradients(net, CpuBackend(net.parameters(), threads=1, chunk=N), X)
    cut = gradients(net, CpuBackend(net.parameters(), threads=threads, chunk=chunk), X)
    assert np.abs(whole).max() > 1e-3
    np.testing.assert_allclose(cut, whole, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_run_gives_the_same_bits_in_used_memory_and_in_new(threads):
    net = network(np.float32)
    x = X.astype(np.float32)
    backend = CpuBackend(net.parameters(), threads=threads, chunk=2)
    first = gradients(net, backend, x)
    held = backend.nbytes
    assert np.array_equal(gradients(net, backend, x), first)
    assert backend.nbytes == held > 0
    assert np.array_equal(gradients(net, CpuBackend(net.parameters(), threads=threads, chunk=2), x), first)


@pytest.mark.parametrize("threads", [1, 2])
def test_scratch_memory_does_not_grow_after_the_first_step_of_each_batch_size_and_evaluation(threads):
    net = network()
    backend, alone = (CpuBackend(net.parameters(), threads=n, chunk=2) for n in (threads, 1))
    held = set()
    for epoch in range(4):
        for samples in (7, 4, 5):
            gradients(net, backend, X[:samples])
            outputs(net, alone, X[:samples])  # by one thread: which thread takes which chunk is a matter of chance
        if epoch:
            held.add((backend.nbytes, alone.nbytes))
    assert len(held) == 1
    assert min(held.pop()) > 0


def test_inference_needs_less_scratch_memory_than_training():
    net = network()
    training, inference = (CpuBackend(net.parameters(), threads=1) for _ in range(2))
    gradients(net, training, X)
    outputs(net, inference, X)
    assert 0 < inference.nbytes < training.nbytes


def test_outputs_that_are_kept_stay_as_they_are_in_later_runs():
    net = network()
    backend = CpuBackend(net.parameters(), threads=2, chunk=2)
    kept = outputs(net, backend, X)
    expected = [z.copy() for z in kept]
    outputs(net, backend, X[::-1].copy())
    gradients(net, backend, X)
    assert all(np.array_equal(z, e) for z, e in zip(kept, expected, strict=True))


def test_another_key_drops_other_units():
    net = network()
    backend = CpuBackend(net.parameters(), threads=2, chunk=2)
    assert not np.array_equal(gradients(net, backend, X), gradients(net, backend, X, Key(10)))


def test_every_sample_is_processed_once_in_an_evaluation():
    net = network()
    backend = CpuBackend(net.parameters(), threads=3, chunk=2)
    seen = np.zeros(N, int)

    def work(ctx, start, stop):
        assert not ctx.training
        assert (ctx.first_sample, ctx.next_key()) == (start, Key(0).fold(1))
        seen[start:stop] += 1

    backend.run(N, work)
    assert (seen == 1).all()


def test_changed_weights_are_transformed_again():
    net = network()
    backend = CpuBackend(net.parameters(), threads=2, chunk=2)
    gradients(net, backend, X)
    net.parameters()[0].value *= 1.5
    fresh = gradients(net, CpuBackend(net.parameters(), threads=2, chunk=2), X)
    assert np.array_equal(gradients(net, backend, X), fresh)


def test_an_exception_in_a_thread_is_raised_again_and_leaves_no_gradient_behind():
    net = network()
    backend = CpuBackend(net.parameters(), threads=2, chunk=2)
    right = gradients(net, backend, X)

    def fails(ctx, start, stop):
        logits, cache = net.forward(X[start:stop], ctx)
        net.backward(logits, cache, ctx)
        raise ZeroDivisionError("chunk")

    with pytest.raises(ZeroDivisionError, match="chunk"):
        backend.run(N, fails, training=True)
    assert np.array_equal(gradients(net, backend, X), right)


def test_an_idle_thread_steals_a_job():
    helped, missed = threading.Event(), []

    def waits():
        missed.append(not helped.wait(60))  # so that another thread has to do the other job

    def work(ctx, start, stop):
        if start == 0:
            ctx.parallel_for([waits, helped.set])

    CpuBackend([], threads=2, chunk=1).run(2, work, training=True)
    assert missed == [False]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_all_jobs_have_run_once_when_parallel_for_returns(threads):
    done = []

    def work(ctx, start, stop):
        ctx.parallel_for([partial(done.append, (start, job)) for job in range(5)])
        assert sorted(job for chunk, job in done if chunk == start) == list(range(5))

    CpuBackend([], threads=threads, chunk=1).run(4, work, training=True)
    assert len(done) == 20


def test_an_evaluation_goes_on_while_one_thread_is_blocked():
    others_done, missed, seen = threading.Event(), [], []

    def work(ctx, start, stop):
        if start == 0:
            missed.append(not others_done.wait(60))
        else:
            seen.append(start)
            if len(seen) == 5:
                others_done.set()

    CpuBackend([], threads=2, chunk=1).run(6, work)
    assert missed == [False]
    assert sorted(seen) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("threads", [1, 2])
def test_runs_that_several_threads_ask_for_follow_one_another(threads):
    backend, running, most = CpuBackend([], threads=threads), [], []

    def work(ctx, start, stop):
        running.append(ctx)
        time.sleep(0.02)
        most.append(len(running))
        running.remove(ctx)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: backend.run(1, work), range(6)))
    assert most == [1] * 6


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_inside_another_is_refused(threads):
    backend, other = (CpuBackend([], threads=threads) for _ in range(2))
    backend.run(1, lambda ctx, start, stop: other.run(1, lambda *_: None))
    with pytest.raises(UserError, match="begun inside another one of this backend"):
        backend.run(1, lambda ctx, start, stop: backend.run(1, lambda *_: None))


def test_after_ctrl_c_a_run_ends_when_no_thread_is_at_work_and_no_chunk_is_begun(monkeypatch):
    is_interrupted, begun, go_on, running, done = [], threading.Event(), threading.Event(), set(), []

    def interrupted_wait(futures):
        if not is_interrupted:
            assert begun.wait(60)
            is_interrupted.append(True)
            raise KeyboardInterrupt
        go_on.set()
        return wait(futures)

    def work(ctx, start, stop):
        running.add(start)
        begun.set()
        go_on.wait(60)
        running.remove(start)
        done.append(start)

    monkeypatch.setattr(cpu, "wait", interrupted_wait)
    try:
        with pytest.raises(KeyboardInterrupt):
            CpuBackend([], threads=2, chunk=1).run(20, work)
        assert not running
        assert 1 <= len(done) <= 2
    finally:
        go_on.set()


def test_as_many_threads_as_processors_by_default():
    assert CpuBackend(network().parameters()).threads == available_threads() >= 1


def test_the_processors_are_those_that_this_process_may_use_where_the_system_tells_them(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5, 6}, raising=False)
    assert available_threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert available_threads() == 8
    monkeypatch.setattr(os, "cpu_count", lambda: 5000)
    assert available_threads() == MAX_THREADS
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_threads() == 1


def test_as_many_chunks_as_threads_run_at_once():
    together = threading.Barrier(40, timeout=60)
    CpuBackend([], threads=40, chunk=1).run(40, lambda ctx, start, stop: together.wait())
    assert not together.broken


def test_the_blas_has_one_thread_of_its_own():
    with threadpool_limits(2, user_api="blas"):
        CpuBackend([], threads=2)
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} <= {1}


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda backend: pickle.loads(pickle.dumps(backend))])
def test_a_copy_has_the_same_threads_and_chunks_and_gradients_of_its_own(duplicate):
    backend = CpuBackend([Parameter((3,), normal(1))], threads=3, chunk=5)
    other = duplicate(backend)
    assert (other.threads, other.chunk, other.device_name) == (3, 5, "CPU, 3 threads")
    assert [p.shape for p in other.gradients.views] == [(3,)]
    assert not np.may_share_memory(other.gradients.buffer, backend.gradients.buffer)


@pytest.mark.parametrize(
    ("samples", "threads", "chunks"), [(7, 2, [(0, 4), (4, 7)]), (7, 1, [(0, 5), (5, 7)]), (1, 3, [(0, 1)]), (0, 2, [])]
)
def test_a_batch_smaller_than_a_chunk_is_shared_by_all_threads(samples, threads, chunks):
    done = []
    CpuBackend([], threads=threads, chunk=5).run(samples, lambda ctx, start, stop: done.append((start, stop)))
    assert sorted(done) == chunks


@pytest.mark.parametrize(
    ("images", "training", "expected"), [(1, False, 1), (2, False, 2), (9, False, 3), (1, True, 3)]
)
def test_an_evaluation_occupies_no_more_threads_than_it_has_chunks(images, training, expected, monkeypatch):
    begun, run_chunks = [], CpuBackend._run_chunks
    monkeypatch.setattr(
        CpuBackend, "_run_chunks", lambda self, thread, *rest: begun.append(thread) or run_chunks(self, thread, *rest)
    )
    CpuBackend([], threads=3, chunk=1).run(images, lambda ctx, start, stop: None, training=training)
    assert sorted(begun) == list(range(expected))


def test_of_images_with_large_maps_a_thread_takes_fewer_at_once():
    chunks = [chunk_of(size) for size in (0, 1, 10**7, 10**8, 10**12)]
    assert chunks[:2] == [CHUNK, CHUNK]
    assert chunks == sorted(chunks, reverse=True)
    assert chunks[-1] == SMALLEST
    assert 32 * 10**7 <= chunks[2] * 10**7 <= CHUNK_BYTES
