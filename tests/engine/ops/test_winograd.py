"""Winograd's convolution is the direct convolution, forward and backward, nearly as exact."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numba import config

from engine.codegen.gemm import MR_SIZES
from engine.codegen.simd import LANES
from engine.context import Context
from engine.kernels.cpu.patches import patches_adjoint_reference, patches_reference
from engine.ops import winograd
from engine.ops.winograd import block_size, winograd_reference


def direct(x, w, padding):
    """y (N, Ho, Wo, D) and a function from dy to (dx, dw), by the patch matrix in float64."""
    x, w = x.astype(float), w.astype(float)
    D = w.shape[3]
    P, W = patches_reference(x, 3, 1, padding), w.reshape(-1, D)
    Ho, Wo = (extent + 2 * padding - 2 for extent in x.shape[1:3])

    def backward(dy):
        dy = dy.astype(float).reshape(-1, D)
        return patches_adjoint_reference(dy @ W.T, x.shape, 3, 1, padding), (P.T @ dy).reshape(w.shape)

    return (P @ W).reshape(len(x), Ho, Wo, D), backward


def drawn(seed, *shapes, dtype=np.float64):
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape).astype(dtype) for shape in shapes]


def nans(shape, dtype):
    return np.full(shape, np.nan, dtype)  # scratch memory is never read before it is written


class Run:
    """Everything that a forward and a backward pass write."""

    def __init__(self, x, w, b, padding, dy, *, groups=1, relu=False, need_dx=True, cuts=()):
        C, D = w.shape[2:]
        U, dU = (nans(winograd.weight_shape(C, D, groups), w.dtype) for _ in range(2))
        UT = nans(winograd.weight_shape(D // groups, C * groups, groups), w.dtype)
        winograd.transform_weight(w, U, groups)
        winograd.transform_weight(winograd.exchanged(w, groups), UT, groups)
        self.y, self.dx, self.dw, self.db = (
            np.full_like(dy, np.nan),
            np.full_like(x, np.nan),
            np.zeros_like(w),
            np.zeros_like(b),
        )
        ctx = Context()
        ctx.empty = nans
        for part in np.split(np.arange(len(x)), cuts):
            few = slice(part[0], part[-1] + 1)
            y, dx = self.y[few], self.dx[few] if need_dx else None
            winograd.forward(x[few], U, b, 0.0 if relu else -np.inf, y, padding, groups, ctx)
            winograd.backward(
                dy[few], y if relu else None, x[few], UT if need_dx else None, dx, dU, self.db, padding,
                groups, nans,
                overwrite=part[0] == 0,
            )  # fmt: skip
        winograd.transform_weight_adjoint(dU, self.dw, groups)


def assert_close(actual, expected, tolerance, squares=0.0):
    """Relative to the size of the largest number, or of the sum that it is, where its terms happen to cancel.

    squares -- the sums of the squares of the terms: their roots are the standard deviations of sums of random signs
    """
    assert actual.shape == expected.shape
    size = max(1, np.abs(expected).max(), np.sqrt(np.max(squares)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * size)


@st.composite
def cases(draw):
    N, C, D = draw(st.integers(1, 3)), draw(st.integers(1, 2 * LANES + 1)), draw(st.integers(1, 2 * LANES + 1))
    H, W, p = draw(st.integers(1, 11)), draw(st.integers(1, 11)), draw(st.integers(0, 2))
    assume(min(H, W) + 2 * p >= 3)
    return N, H, W, C, D, p


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 1e-5)])
@given(case=cases(), relu=st.booleans(), seed=st.integers(0, 2**32 - 1))
@example(case=(1, 1, 1, 1, 1, 1), relu=False, seed=1)  # one pixel
@example(case=(2, 9, 6, LANES, 5 * LANES, 1), relu=True, seed=2)  # two panels of columns, tiles inside the image
@example(case=(2, 10, 10, 3 * LANES - 1, LANES + 1, 0), relu=False, seed=3)
def test_it_is_the_direct_convolution_and_its_gradients(dtype, tolerance, case, relu, seed):
    N, H, W, C, D, p = case
    x, w, b = drawn(seed, (N, H, W, C), (3, 3, C, D), (D,), dtype=dtype)
    y, backward = direct(x, w, p)
    (dy,) = drawn(seed + 1, y.shape, dtype=dtype)
    run = Run(x, w, b, p, dy, relu=relu)
    y = y + b
    y_squares, backward_of_squares = direct(x.astype(float) ** 2, w.astype(float) ** 2, p)
    assert_close(run.y, np.maximum(y, 0) if relu else y, tolerance, y_squares)
    dy = dy.astype(float) * (run.y > 0) if relu else dy
    dx, dw = backward(dy)
    dx_squares, dw_squares = backward_of_squares(dy.astype(float) ** 2)
    assert_close(run.dx, dx, tolerance, dx_squares)
    assert_close(run.dw, dw, tolerance, dw_squares)
    assert_close(run.db, dy.sum(axis=(0, 1, 2)), tolerance, (dy.astype(float) ** 2).sum(axis=(0, 1, 2)))


@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_the_reference_is_the_direct_convolution(case, seed):
    N, H, W, C, D, p = case
    x, w, b = drawn(seed, (N, H, W, C), (3, 3, C, D), (D,))
    y, _ = direct(x, w, p)
    assert_close(winograd_reference(x, w, b, p), y + b, 1e-12)


@pytest.mark.skipif(config.DISABLE_JIT, reason="plain Python takes minutes")
@pytest.mark.parametrize(("C", "D", "size"), [(64, 64, 28), (512, 64, 14), (64, 512, 7), (3, 64, 32)])
def test_the_relative_error_in_float32_is_at_most_3e_minus_6(C, D, size):
    x, w, dy = drawn(C, (4, size, size, C), (3, 3, C, D), (4, size, size, D), dtype=np.float32)
    y, backward = direct(x, w, 1)
    run = Run(x, w, np.zeros(D, np.float32), 1, dy)
    for found, expected in zip((run.y, run.dx, run.dw), (y, *backward(dy)), strict=True):
        assert np.linalg.norm(found - expected) < 3e-6 * np.linalg.norm(expected)


def many_tiles(dtype=np.float64):
    """Images of more tiles than a block has."""
    return drawn(4, (7, 20, 19, LANES), (3, 3, LANES, LANES), (LANES,), (7, 20, 19, LANES), dtype=dtype)


@pytest.mark.parametrize("need_dx", [True, False])
def test_gradients_add_up_over_blocks_and_chunks(need_dx):
    x, w, b, dy = many_tiles()
    assert block_size(7 * 5 * 5, LANES**2) < 7 * 5 * 5
    y, backward = direct(x, w, 1)
    dx, dw = backward(dy)
    for cuts in ((), (1, 6)):
        run = Run(x, w, b, 1, dy, need_dx=need_dx, cuts=cuts)
        assert_close(run.y, y + b, 1e-13)
        assert_close(run.dw, dw, 1e-13)
        assert_close(run.db, dy.sum(axis=(0, 1, 2)), 1e-13)
        if need_dx:
            assert_close(run.dx, dx, 1e-13)
        else:
            assert np.isnan(run.dx).all()


def test_an_image_gets_the_same_bits_alone_and_among_others():
    x, w, b, dy = many_tiles(np.float32)
    together = Run(x, w, b, 1, dy)
    for n in range(len(x)):
        alone = Run(x[n : n + 1], w, b, 1, dy[n : n + 1])
        np.testing.assert_array_equal(alone.y[0], together.y[n])
        np.testing.assert_array_equal(alone.dx[0], together.dx[n])


@pytest.mark.parametrize("groups", [2, 3])
def test_groups_are_convolutions_of_their_own(groups):
    C, D = LANES, 2 * LANES
    x, w, b, dy = drawn(9, (2, 7, 6, groups * C), (3, 3, C, groups * D), (groups * D,), (2, 7, 6, groups * D))
    together = Run(x, w, b, 1, dy, groups=groups, relu=True)
    for g in range(groups):
        c, d = slice(g * C, (g + 1) * C), slice(g * D, (g + 1) * D)
        parts = (np.ascontiguousarray(array) for array in (x[..., c], w[..., d], b[d]))
        own = Run(*parts, 1, np.ascontiguousarray(dy[..., d]), relu=True)
        for found, expected in (
            (together.y[..., d], own.y), (together.dx[..., c], own.dx), (together.dw[..., d], own.dw), (together.db[d], own.db)
        ):  # fmt: skip
            np.testing.assert_array_equal(found, expected)


def test_the_gradients_are_the_adjoints_of_the_linear_maps():
    x, w, dy = drawn(5, (3, 6, 9, 4), (3, 3, 4, 5), (3, 4, 7, 5))
    run = Run(x, w, np.zeros(5), 0, dy)
    scale = np.linalg.norm(run.y) * np.linalg.norm(dy)
    assert abs(np.vdot(run.y, dy) - np.vdot(x, run.dx)) < 1e-14 * scale
    assert abs(np.vdot(run.y, dy) - np.vdot(w, run.dw)) < 1e-14 * scale


def test_two_threads_at_once_give_the_bits_of_one():
    w, b, dy, *inputs = drawn(7, (3, 3, 20, 18), (18,), (4, 9, 9, 18), *[(4, 9, 9, 20)] * 6, dtype=np.float32)
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda x: Run(x, w, b, 1, dy), inputs))
    for x, run in zip(inputs, runs, strict=True):
        alone = Run(x, w, b, 1, dy)
        for actual, expected in ((run.y, alone.y), (run.dx, alone.dx), (run.dw, alone.dw)):
            np.testing.assert_array_equal(actual, expected)


@settings(max_examples=100)
@given(tiles=st.integers(0, 10**5), weights=st.integers(1, 600**2))
def test_blocks_are_equal_whole_micro_tiles_and_no_more_than_it_takes(tiles, weights):
    block = block_size(tiles, weights)
    assert block % MR_SIZES[0] == 0
    assert 0 < block <= 192
    assert block >= min(tiles, 48)
