"""Linear maps over rows, one after another, are those of NumPy, whatever goes through them together."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codegen.simd import LANES
from engine.context import Context, run_sequentially
from engine.ops import fused_linear as affine
from engine.ops.fused_linear import PIXEL, Maps, Window
from engine.random import Key

DTYPES = [np.float32, np.float64]
WINDOWS = [PIXEL, Window(3, 1, 1), Window(2, 2, 0), Window(3, 2, 2)]


def normal(seed, *shape, dtype=np.float64):
    return Key(seed).normal(shape).astype(dtype)


def windows(x, window):
    """Every window as a row, cut out one by one."""
    k, s, p = window
    padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    _, H, W, _ = padded.shape
    places = [(n, i, j) for n in range(len(x)) for i in range(0, H - k + 1, s) for j in range(0, W - k + 1, s)]
    return np.stack([padded[n, i : i + k, j : j + k].ravel() for n, i, j in places])


def images(dP, shape, window):
    """The gradient of the images (shape) of which `windows` made rows with the gradient dP."""
    number = np.arange(1, np.prod(shape) + 1, dtype=float).reshape(shape)
    source = windows(number, window).astype(int)  # the number of the pixel, 0 outside
    return np.bincount(source.ravel(), dP.ravel(), minlength=number.size + 1)[1:].reshape(shape)


def blackboard(x, window, W, b, relu, dy, alive):
    """All y, dx, all dW and db, in float64; a ReLU lets the gradient through where its output in `alive` is positive."""
    ys = [windows(x.astype(float), window)]
    for weight, bias, rectified in zip(W, b, relu, strict=True):
        y = ys[-1] @ weight.astype(float) + bias
        ys.append(np.maximum(y, 0) if rectified else y)
    dW, db, d = [], [], dy.astype(float)
    for weight, rectified, below, y in zip(W[::-1], relu[::-1], ys[-2::-1], alive[::-1], strict=True):
        d = d * (y > 0) if rectified else d
        dW, db = [below.T @ d, *dW], [d.sum(axis=0), *db]
        d = d @ weight.T.astype(float)
    return ys[1:], images(d, x.shape, window), dW, db


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@given(
    N=st.sampled_from([1, 2, 7]),
    C=st.sampled_from([1, 5, LANES]),
    widths=st.lists(st.sampled_from([LANES, 2 * LANES, 5]), min_size=1, max_size=4),  # AT_ONCE and one more
    relu=st.lists(st.booleans(), min_size=4, max_size=4),
    need_dx=st.booleans(),
)
def test_maps_and_their_backward_are_those_of_the_blackboard(dtype, window, N, C, widths, relu, need_dx):
    x, relu = normal(1, N, 5, 6, C, dtype=dtype), tuple(relu[: len(widths)])
    inputs = (window.kernel**2 * C, *widths[:-1])
    W = tuple(
        normal(2 + m, a, d, dtype=dtype) / dtype(a**0.5) for m, (a, d) in enumerate(zip(inputs, widths, strict=True))
    )
    b = tuple(normal(9 + m, width, dtype=dtype) for m, width in enumerate(widths))
    n = len(windows(x, window))
    y, dy, ctx = np.full((n, widths[-1]), np.nan, dtype), normal(20, n, widths[-1], dtype=dtype), Context()
    ys = affine.forward(x, window, Maps(W, b, relu), y, ctx)
    into = Maps(tuple(np.ones_like(w) for w in W), tuple(np.ones_like(v) for v in b))
    dx = np.full_like(x, np.nan) if need_dx else None
    affine.backward(x, window, Maps(W, b, relu), ys, dy, dx, into, ctx)
    expected_ys, expected_dx, dW, db = blackboard(x, window, W, b, relu, dy, ys)
    near = {"rtol": 0, "atol": 2e-4 if dtype is np.float32 else 1e-12}
    for actual, expected in zip((*ys, *into.W, *into.b), (*expected_ys, *(g + 1 for g in (*dW, *db))), strict=True):
        np.testing.assert_allclose(actual, expected, **near)
    if need_dx:
        np.testing.assert_allclose(dx, expected_dx, **near)
    ctx.needs_backward = False
    again = np.full_like(y, np.nan)
    (last,) = affine.forward(x, window, Maps(W, b, relu), again, ctx)
    assert last is again
    assert np.array_equal(again, y)


@pytest.mark.parametrize("rows", [1, affine.BLOCK - 1, affine.BLOCK, affine.BLOCK + 1, 2 * affine.BLOCK + 5])
@pytest.mark.parametrize("needs_backward", [True, False])
def test_any_number_of_rows_goes_block_by_block(rows, needs_backward):
    x, ctx = normal(1, rows, 1, 1, LANES), Context()
    ctx.needs_backward = needs_backward
    W, b = (normal(2, LANES, LANES), normal(3, LANES, LANES)), (np.ones(LANES), np.zeros(LANES))
    y = np.empty((rows, LANES))
    affine.forward(x, PIXEL, Maps(W, b, (True, False)), y, ctx)
    expected = np.maximum(x.reshape(rows, LANES) @ W[0] + 1, 0) @ W[1]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)


def in_any_order(jobs):
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda job: job(), reversed(jobs)))


@pytest.mark.parametrize("window", [PIXEL, Window(3, 1, 1)], ids=str)
def test_whoever_does_the_parts_of_the_way_back_they_add_up_to_the_same_bits(window, monkeypatch):
    monkeypatch.setattr(affine, "LEAST", 60)  # two images
    x, widths = normal(1, 11, 5, 6, LANES, dtype=np.float32), (LANES, 2 * LANES)
    inputs, relu, counts = (window.kernel**2 * LANES, LANES), (True, False), []
    W = tuple(normal(2 + m, a, d, dtype=np.float32) for m, (a, d) in enumerate(zip(inputs, widths, strict=True)))
    b = tuple(normal(4 + m, width, dtype=np.float32) for m, width in enumerate(widths))
    dy = normal(6, 11 * 5 * 6, widths[-1], dtype=np.float32)

    def gradients(parallel_for):
        def counted(jobs):
            counts.append(len(jobs))
            parallel_for(jobs)

        ctx, y, dx = Context(parallel_for=counted), np.empty_like(dy), np.full_like(x, np.nan)
        ys = affine.forward(x, window, Maps(W, b, relu), y, ctx)
        into = Maps(tuple(np.zeros_like(w) for w in W), tuple(np.zeros_like(v) for v in b))
        affine.backward(x, window, Maps(W, b, relu), ys, dy, dx, into, ctx)
        return [dx, *into.W, *into.b], ys

    (alone, ys), (helped, _) = gradients(run_sequentially), gradients(in_any_order)
    assert counts == [3, 3]  # of 6, 3 and 2 images
    for one, other in zip(alone, helped, strict=True):
        assert np.array_equal(one, other)
    _, dx, dW, db = blackboard(x, window, W, b, relu, dy, ys)
    for actual, expected in zip(alone, (dx, *dW, *db), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_the_blas_gets_some_images_at_a_time_and_all_of_them(monkeypatch):
    window, x = Window(3, 1, 1), normal(1, 7, 5, 6, 2)
    W, b, dy = (normal(2, 18, 5),), (normal(3, 5),), normal(4, 7 * 5 * 6, 5)
    results = []
    for numbers in (1, 2 * 5 * 6 * 18, affine.AT_A_TIME):  # one image, two, all
        monkeypatch.setattr(affine, "AT_A_TIME", numbers)
        y, dx, into, ctx = np.empty_like(dy), np.empty_like(x), Maps((np.zeros((18, 5)),), (np.zeros(5),)), Context()
        ys = affine.forward(x, window, Maps(W, b, (True,)), y, ctx)
        affine.backward(x, window, Maps(W, b, (True,)), ys, dy, dx, into, ctx)
        results.append((y, dx, *into.W, *into.b, ctx.nbytes))
    for other in results[1:]:
        for actual, expected in zip(other[:-1], results[0][:-1], strict=True):
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)
    assert results[0][-1] < results[1][-1] < results[2][-1]
