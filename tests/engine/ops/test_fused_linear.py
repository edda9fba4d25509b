"""A chain of linear maps is that of the reference, however its rows are cut into blocks and jobs."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import config

from engine.codegen.simd import LANES
from engine.context import Context, run_sequentially
from engine.kernels.cpu.fused_linear import BLOCKS_OF_A_SUM
from engine.kernels.cpu.patches import patches_adjoint_reference, patches_reference
from engine.ops import fused_linear
from engine.ops.fused_linear import BLOCK, PIXEL, Window
from engine.random import Key

DTYPES = [np.float32, np.float64]
WINDOWS = [PIXEL, Window(3, 1, 1), Window(2, 2, 0), Window(3, 2, 2)]


def normal(seed, *shape, dtype=np.float64):
    return Key(seed).normal(shape).astype(dtype)


def drawn_chain(inputs, widths, dtype=np.float64):
    """W and b of maps from `inputs` columns to each of the widths in turn."""
    shapes = list(zip((inputs, *widths[:-1]), widths, strict=True))
    W = tuple(normal(2 + i, *shape, dtype=dtype) / dtype(shape[0] ** 0.5) for i, shape in enumerate(shapes))
    return W, tuple(normal(9 + i, width, dtype=dtype) for i, width in enumerate(widths))


def zeros_like(arrays):
    return tuple(np.zeros_like(array) for array in arrays)


def float64(arrays):
    return tuple(array.astype(float) for array in arrays)


def reference(x, window, W, b, relu, ys, dy):
    """All y, dx, dW and db in float64, backward from the outputs `ys`, so that both sides agree on which ReLUs are 0."""
    P, W = patches_reference(x.astype(float), *window), float64(W)
    expected = fused_linear.forward_reference(P, W, float64(b), relu)
    dP, dW, db = fused_linear.backward_reference(P, W, relu, float64(ys), dy.astype(float))
    return expected, patches_adjoint_reference(dP, x.shape, *window), dW, db


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@given(
    N=st.sampled_from([1, 2, 7]),
    C=st.sampled_from([1, 5, LANES]),
    widths=st.lists(st.sampled_from([LANES, 2 * LANES, 5]), min_size=1, max_size=4),  # PADDED_LENGTH and one more
    relu=st.lists(st.booleans(), min_size=4, max_size=4),
    need_dx=st.booleans(),
)
def test_a_chain_and_its_backward_are_those_of_the_reference(dtype, window, N, C, widths, relu, need_dx):
    x, relu = normal(1, N, 5, 6, C, dtype=dtype), tuple(relu[: len(widths)])
    W, b = drawn_chain(window.kernel**2 * C, widths, dtype)
    n = len(patches_reference(x, *window))
    y, dy, ctx = np.full((n, widths[-1]), np.nan, dtype), normal(20, n, widths[-1], dtype=dtype), Context()
    ys = fused_linear.forward(x, window, W, b, relu, y, ctx)
    dW, db = (tuple(np.ones_like(array) for array in arrays) for arrays in (W, b))
    dx = np.full_like(x, np.nan) if need_dx else None
    fused_linear.backward(x, window, W, relu, ys, dy, dx, dW, db, ctx)
    expected_ys, expected_dx, expected_dW, expected_db = reference(x, window, W, b, relu, ys, dy)
    near = {"rtol": 0, "atol": 2e-4 if dtype is np.float32 else 1e-12}
    expected_sums = (g + 1 for g in (*expected_dW, *expected_db))
    for actual, expected in zip((*ys, *dW, *db), (*expected_ys, *expected_sums), strict=True):
        np.testing.assert_allclose(actual, expected, **near)
    if need_dx:
        np.testing.assert_allclose(dx, expected_dx, **near)
    ctx.needs_backward = False
    again = np.full_like(y, np.nan)
    (last,) = fused_linear.forward(x, window, W, b, relu, again, ctx)
    assert last is again
    assert np.array_equal(again, y)


@pytest.mark.parametrize("rows", [1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5])
@pytest.mark.parametrize("needs_backward", [True, False])
def test_any_number_of_rows_goes_block_by_block(rows, needs_backward):
    x, ctx = normal(1, rows, 1, 1, LANES), Context()
    ctx.needs_backward = needs_backward
    W, b = (normal(2, LANES, LANES), normal(3, LANES, LANES)), (np.ones(LANES), np.zeros(LANES))
    y = np.empty((rows, LANES))
    fused_linear.forward(x, PIXEL, W, b, (True, False), y, ctx)
    expected = np.maximum(x.reshape(rows, LANES) @ W[0] + 1, 0) @ W[1]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)


@pytest.mark.skipif(config.DISABLE_JIT, reason="ten thousand rows take minutes in plain Python")
@pytest.mark.parametrize("blocks", [BLOCKS_OF_A_SUM, BLOCKS_OF_A_SUM + 1, 2 * BLOCKS_OF_A_SUM])
def test_the_gradients_of_many_blocks_are_those_of_one_product(blocks):
    rows, widths, relu = blocks * BLOCK - 1, (LANES, 2 * LANES), (True, False)
    x, dy, ctx = normal(1, rows, 1, 1, LANES), normal(6, rows, widths[-1]), Context()
    W, b = drawn_chain(LANES, widths)
    ys = fused_linear.forward(x, PIXEL, W, b, relu, np.empty_like(dy), ctx)
    dW, db = (tuple(np.ones_like(array) for array in arrays) for arrays in (W, b))
    fused_linear.backward(x, PIXEL, W, relu, ys, dy, np.empty_like(x), dW, db, ctx)
    _, _, expected_dW, expected_db = reference(x, PIXEL, W, b, relu, ys, dy)
    for actual, expected in zip((*dW, *db), (*expected_dW, *expected_db), strict=True):
        np.testing.assert_allclose(actual, expected + 1, rtol=0, atol=1e-9)


def in_any_order(jobs):
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda job: job(), reversed(jobs)))


@pytest.mark.parametrize("window", [PIXEL, Window(3, 1, 1)], ids=str)
def test_the_bits_of_the_backward_do_not_depend_on_scheduling(window, monkeypatch):
    monkeypatch.setattr(fused_linear, "MIN_JOB_ROWS", 60)  # two images
    x, widths, relu, counts = normal(1, 11, 5, 6, LANES, dtype=np.float32), (LANES, 2 * LANES), (True, False), []
    W, b = drawn_chain(window.kernel**2 * LANES, widths, np.float32)
    dy = normal(6, 11 * 5 * 6, widths[-1], dtype=np.float32)

    def gradients(parallel_for):
        def counted(jobs):
            counts.append(len(jobs))
            parallel_for(jobs)

        ctx, y, dx = Context(parallel_for=counted), np.empty_like(dy), np.full_like(x, np.nan)
        dW, db = zeros_like(W), zeros_like(b)
        ys = fused_linear.forward(x, window, W, b, relu, y, ctx)
        fused_linear.backward(x, window, W, relu, ys, dy, dx, dW, db, ctx)
        return [dx, *dW, *db], ys

    (in_order, ys), (shuffled, _) = gradients(run_sequentially), gradients(in_any_order)
    assert counts == [1, 3] * 2  # forward one; backward of 6, 3 and 2 images
    for one, other in zip(in_order, shuffled, strict=True):
        assert np.array_equal(one, other)
    _, dx, dW, db = reference(x, window, W, b, relu, ys, dy)
    for actual, expected in zip(in_order, (dx, *dW, *db), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_inference_keeps_a_block_of_each_map_but_the_last():
    x, relu = normal(1, 4 * BLOCK, 1, 1, LANES), (True, True)
    W, b = drawn_chain(LANES, (LANES, LANES))
    y, held = np.empty((4 * BLOCK, LANES)), []
    for needs_backward in (True, False):
        ctx = Context()
        ctx.needs_backward = needs_backward
        fused_linear.forward(x, PIXEL, W, b, relu, y, ctx)
        held.append(ctx.nbytes)
    assert held == [4 * BLOCK * LANES * 8, BLOCK * LANES * 8]


def test_a_plain_product_is_written_where_it_is_wanted():
    A, B, C = normal(1, 4, 3), normal(2, 3, 5), np.full((4, 5), np.nan)
    fused_linear.multiply(A, B, C)
    np.testing.assert_allclose(C, A @ B, rtol=0, atol=1e-14)


@pytest.mark.parametrize("window", [PIXEL, Window(3, 1, 1)], ids=str)
def test_in_float32_the_jobs_of_a_backward_pass_take_half_the_memory(window, monkeypatch):
    monkeypatch.setattr(fused_linear, "MIN_JOB_ROWS", 60)  # two images: several jobs
    taken = []
    for dtype in (np.float32, np.float64):
        x, ctx = normal(1, 11, 5, 6, LANES, dtype=dtype), Context()
        W, b = drawn_chain(window.kernel**2 * LANES, (LANES, LANES), dtype)
        y, dy = np.empty((11 * 5 * 6, LANES), dtype), normal(6, 11 * 5 * 6, LANES, dtype=dtype)
        ys = fused_linear.forward(x, window, W, b, (True, True), y, ctx)
        fused_linear.backward(x, window, W, (True, True), ys, dy, np.empty_like(x), zeros_like(W), zeros_like(b), ctx)
        taken.append(ctx.nbytes)
    assert 0 < 2 * taken[0] == taken[1]
