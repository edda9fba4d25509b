"""Threads that share a chunk: each computes a part of what a layer gives, and the bits are those of one thread."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cldl.verification.cases import LAYERS, Case
from engine import context
from engine.codegen.gemm import MAX_NR, MR_SIZES
from engine.codegen.simd import LANES
from engine.context import Context
from engine.ops import large_linear
from engine.runtime.cpu import CpuBackend
from layers import Conv2d, Linear
from tests.strategies import batch, layer_cases


@pytest.fixture(autouse=True, scope="module")
def _no_work_is_too_little():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "LEAST_SHARE", 1)
        patch.setattr(large_linear, "LARGE", 1)
        yield


class NaNs(Context):
    """A pass whose memory holds NaNs, so that what no thread has written shows; it counts the jobs that it is given."""

    def __init__(self, threads, needs_backward):
        super().__init__(parallel_for=self.run_backwards)
        self.threads, self.needs_backward, self.jobs = threads, needs_backward, []

    def empty(self, shape, dtype):
        return (
            np.full(shape, -1, np.int8).astype(dtype) if np.dtype(dtype).kind == "u" else np.full(shape, np.nan, dtype)
        )

    def run_backwards(self, jobs):
        self.jobs.append(len(jobs))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda job: job(), reversed(jobs)))


def forward(case, dtype, threads, needs_backward=False):
    ctx = NaNs(threads, needs_backward)
    for p in case.layer.parameters():
        p.value = p.value.astype(dtype)
    return case.layer.forward(batch(case, dtype), ctx)[0].copy(), ctx.jobs


@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data(), dtype=st.sampled_from([np.float32, np.float64]), threads=st.integers(2, 5), keeps=st.booleans())
def test_every_layer_gives_the_bits_of_one_thread(name, data, dtype, threads, keeps):
    case = data.draw(layer_cases(name))
    alone, _ = forward(case, dtype, 1, keeps)
    shared, _ = forward(case, dtype, threads, keeps)
    assert np.array_equal(alone, shared)


PANEL, ROWS = LANES * MAX_NR, MR_SIZES[0]
SHARED = {
    "patches": (lambda: Conv2d(3, 5, 3, stride=2, algorithm="patches"), (13, 15, 3)),
    "1x1 windows": (lambda: Conv2d(LANES, 5, 1), (9, 7, LANES)),
    "tiles": (lambda: Conv2d(3, 4, 3, padding=1, algorithm="winograd"), (28, 29, 3)),
    "outputs of tiles": (lambda: Conv2d(3, 3 * PANEL + 1, 3, padding=1, algorithm="winograd"), (6, 5, 3)),
    "outputs in groups": (
        lambda: Conv2d(2 * LANES, 4 * PANEL, 3, padding=1, groups=2, algorithm="winograd"),
        (6, 5, 2 * LANES),
    ),
    "a large linear layer": (lambda: Linear(5, 2 * PANEL + 3), (5,)),
}


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("threads", [2, 3])
def test_one_image_has_a_part_for_each_thread(name, threads):
    make, shape = SHARED[name]
    case = Case(make(), shape, 1)
    alone, _ = forward(case, np.float32, 1)
    shared, jobs = forward(case, np.float32, threads)
    assert jobs[-1] == threads
    assert np.array_equal(alone, shared)


@given(count=st.integers(0, 50), work=st.integers(0, 100), unit=st.integers(1, 7), threads=st.integers(1, 9))
@example(count=0, work=0, unit=1, threads=2)
def test_the_shares_are_whole_units_of_enough_work_and_leave_nothing_out(count, work, unit, threads):
    ctx = Context()
    ctx.threads = threads
    shares = ctx.shares(count, work * context.LEAST_SHARE, unit)
    assert [i for begin, end in shares for i in range(begin, end)] == list(range(count))
    assert all(begin % unit == 0 for begin, _ in shares)
    assert len(shares) <= max(min(threads, work), 1)


@pytest.mark.parametrize(
    ("threads", "images", "expected"), [(1, 1, [1]), (4, 1, [4]), (4, 2, [2, 2]), (4, 3, [1, 1, 1]), (2, 5, [1] * 3)]
)
@pytest.mark.parametrize("training", [True, False])
def test_a_chunk_has_the_threads_that_would_be_idle(threads, images, expected, training):
    seen = []
    CpuBackend([], threads=threads, chunk=2).run(
        images, lambda ctx, start, stop: seen.append(ctx.threads), training=training
    )
    assert seen == expected
