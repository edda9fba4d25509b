"""The convolution by FFT is the direct convolution, forward and backward."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from engine.codegen.simd import LANES
from engine.kernels.cpu.patches import patches_adjoint_reference, patches_reference
from engine.ops.fft_convolution import FFTConvolution, fft_convolution_reference


def direct(x, w, padding):
    """y (N, Ho, Wo, D) and a function from dy to (dx, dw), by the patch matrix in float64."""
    x, w = x.astype(float), w.astype(float)
    k, _, C, D = w.shape
    P, W = patches_reference(x, k, 1, padding), w.reshape(-1, D)
    Ho, Wo = (extent + 2 * padding - k + 1 for extent in x.shape[1:3])

    def backward(dy):
        dy = dy.astype(float).reshape(-1, D)
        return patches_adjoint_reference(dy @ W.T, x.shape, k, 1, padding), (P.T @ dy).reshape(k, k, C, D)

    return (P @ W).reshape(len(x), Ho, Wo, D), backward


def drawn(seed, *shapes, dtype=np.float64):
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape).astype(dtype) for shape in shapes]


class Run:
    """Everything that a forward and a backward pass of one plan write."""

    def __init__(self, plan, x, w, dy=None, cuts=(), groups=1):
        (N, _, _, C), D = x.shape, w.shape[3]
        V = np.empty(plan.weight_shape(C // groups, D), w.dtype)
        plan.weight_spectrum(w, V)
        self.y = np.full((len(x), plan.out_height, plan.out_width, D), np.nan, w.dtype)
        self.dx, self.dw, dV = np.full_like(x, np.nan), np.zeros_like(w), np.full_like(V, np.nan)
        self.db, bias = np.zeros(D, w.dtype), np.zeros(D, w.dtype)
        for part in np.split(np.arange(N), cuts):
            few = slice(part[0], part[-1] + 1)
            X = np.empty(plan.image_shape(len(part), C), w.dtype)
            plan.forward(x[few], V, bias, -np.inf, self.y[few], X, groups)
            if dy is not None:
                plan.backward(dy[few], None, X, V, self.dx[few], dV, self.db, groups, nans, overwrite=part[0] == 0)
        plan.weight_gradient(dV, self.dw)


def nans(shape, dtype):
    return np.full(shape, np.nan, dtype)  # scratch memory is never read before it is written


def assert_close(actual, expected, tolerance, squares=0.0):
    """Relative to the size of the largest number, or of the sum that it is, where its terms happen to cancel.

    squares -- the sums of the squares of the terms: their roots are the standard deviations of sums of random signs
    """
    assert actual.shape == expected.shape
    size = max(1, np.abs(expected).max(), np.sqrt(np.max(squares)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * size)


@st.composite
def cases(draw):
    k = draw(st.sampled_from([1, 3, 5, 7]))
    p = draw(st.integers(0, k - 1))
    N, C, D = draw(st.integers(1, 5)), draw(st.integers(1, 2 * LANES + 1)), draw(st.integers(1, LANES + 2))
    H, W = draw(st.integers(1, 17)), draw(st.integers(1, 17))
    assume(min(H, W) + 2 * p >= k)
    return N, H, W, C, D, k, p


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 3e-6)])
@settings(deadline=None, max_examples=40)
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
@example(case=(1, 1, 1, 1, 9, 7, 6), seed=31)  # dx is one number, the sum of 441 terms that nearly cancel
def test_it_is_the_direct_convolution_and_its_gradients(dtype, tolerance, case, seed):
    N, H, W, C, D, k, p = case
    x, w = drawn(seed, (N, H, W, C), (k, k, C, D), dtype=dtype)
    y, backward = direct(x, w, p)
    (dy,) = drawn(seed + 1, y.shape, dtype=dtype)
    run = Run(FFTConvolution(H, W, k, p), x, w, dy)
    (dx, dw), db = backward(dy), dy.astype(float).sum(axis=(0, 1, 2))
    y_squares, backward_of_squares = direct(x.astype(float) ** 2, w.astype(float) ** 2, p)
    dx_squares, dw_squares = backward_of_squares(dy.astype(float) ** 2)
    assert_close(run.y, y, tolerance, y_squares)
    assert_close(run.dx, dx, tolerance, dx_squares)
    assert_close(run.dw, dw, tolerance, dw_squares)
    assert_close(run.db, db, tolerance, (dy.astype(float) ** 2).sum(axis=(0, 1, 2)))


@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_the_reference_is_the_direct_convolution(case, seed):
    N, H, W, C, D, k, p = case
    x, w, b = drawn(seed, (N, H, W, C), (k, k, C, D), (D,))
    y, _ = direct(x, w, p)
    assert_close(fft_convolution_reference(x, w, b, p), y + b, 1e-12)


def test_the_weight_gradient_adds_up_over_chunks():
    x, w, dy = drawn(4, (6, 7, 7, 5), (5, 5, 5, 3), (6, 7, 7, 3))
    plan = FFTConvolution(7, 7, 5, 2)
    whole, cut = Run(plan, x, w, dy), Run(plan, x, w, dy, cuts=[1, 3])
    assert_close(cut.dw, whole.dw, 1e-13)
    assert_close(cut.y, whole.y, 1e-13)


def test_the_gradients_are_the_adjoints_of_the_linear_maps():
    x, w, dy = drawn(5, (3, 6, 9, 4), (3, 3, 4, 5), (3, 4, 7, 5))
    run = Run(FFTConvolution(6, 9, 3, 0), x, w, dy)
    scale = np.linalg.norm(run.y) * np.linalg.norm(dy)
    assert abs(np.vdot(run.y, dy) - np.vdot(x, run.dx)) < 1e-14 * scale
    assert abs(np.vdot(run.y, dy) - np.vdot(w, run.dw)) < 1e-14 * scale


@pytest.mark.parametrize("need", ["y", "dx", "dw"])
@given(groups=st.sampled_from([2, 3]), C=st.integers(1, 2), D=st.integers(1, 2), N=st.integers(1, 3))
def test_a_group_is_a_convolution_of_its_own(need, groups, C, D, N):
    C, D = C * LANES, D * LANES
    x, w, dy = drawn(
        [groups, C, D], (N, 5, 6, groups * C), (3, 3, C, groups * D), (N, 5, 6, groups * D), dtype=np.float32
    )
    plan = FFTConvolution(5, 6, 3, 1)
    together = getattr(Run(plan, x, w, dy, groups=groups), need)
    for g in range(groups):
        c, d = slice(g * C, (g + 1) * C), slice(g * D, (g + 1) * D)
        alone = Run(plan, *(np.ascontiguousarray(array) for array in (x[..., c], w[..., d], dy[..., d])))
        own = together[..., c if need == "dx" else d]
        np.testing.assert_allclose(own, getattr(alone, need), rtol=0, atol=2e-5)


@pytest.mark.parametrize("channels", [1, LANES, 2 * LANES + 3])
@pytest.mark.parametrize("other", [1e6, np.nan, np.inf])
def test_an_image_does_not_see_its_neighbours(channels, other):
    x, w, dy = drawn(9, (4, 9, 9, channels), (5, 5, channels, 18), (4, 9, 9, 18), dtype=np.float32)
    plan = FFTConvolution(9, 9, 5, 2)
    alone = Run(plan, x, w, dy)
    x[::2] *= np.float32(other)
    dy[::2] *= np.float32(other)
    with np.errstate(invalid="ignore", over="ignore"):
        beside = Run(plan, x, w, dy)
    np.testing.assert_array_equal(beside.y[1::2], alone.y[1::2])
    np.testing.assert_array_equal(beside.dx[1::2], alone.dx[1::2])


def test_without_an_input_gradient_the_weight_gradient_is_the_same():
    x, w, dy = drawn(6, (3, 5, 5, 2), (3, 3, 2, 4), (3, 5, 5, 4))
    plan = FFTConvolution(5, 5, 3, 1)
    V, X = np.empty(plan.weight_shape(2, 4)), np.empty(plan.image_shape(3, 2))
    plan.weight_spectrum(w, V)
    plan.forward(x, V, np.zeros(4), -np.inf, np.empty_like(dy), X)
    dV, dw = np.empty_like(V), np.zeros_like(w)
    plan.backward(dy, None, X, V, None, dV, np.zeros(4), overwrite=True)
    plan.weight_gradient(dV, dw)
    np.testing.assert_array_equal(dw, Run(plan, x, w, dy).dw)


def test_two_threads_at_once_give_the_bits_of_one():
    w, *inputs = drawn(7, (5, 5, 20, 18), *[(4, 9, 9, 20)] * 6, dtype=np.float32)
    dy = drawn(8, (4, 9, 9, 18), dtype=np.float32)[0]
    plan = FFTConvolution(9, 9, 5, 2)
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda x: Run(plan, x, w, dy), inputs))
    for x, run in zip(inputs, runs, strict=True):
        alone = Run(plan, x, w, dy)
        for actual, expected in ((run.y, alone.y), (run.dx, alone.dx), (run.dw, alone.dw)):
            np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("height", "width", "kernel", "padding", "size"),
    [(14, 14, 5, 2, 16), (7, 7, 5, 2, 9), (7, 7, 3, 1, 8), (32, 32, 5, 2, 36), (3, 12, 3, 0, 12), (1, 1, 7, 3, 4)],
)
def test_the_circle_is_the_smallest_that_is_exact(height, width, kernel, padding, size):
    assert FFTConvolution(height, width, kernel, padding).size == size
