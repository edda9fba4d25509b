"""The Fourier convolution is the direct convolution, forward and backward."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numba import config, njit
from numba.core.errors import TypingError

from engine.codegen.fft import Transform, fft, good_size
from engine.codegen.simd import LANES, pointer
from engine.ops.fft_convolution import FourierConvolution


def direct(x, w, padding):
    """y (N, Ho, Wo, D) and a function from dy to (dx, dw), tap by tap in float64."""
    x, w = x.astype(float), w.astype(float)
    k, p = len(w), padding
    xpad = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    Ho, Wo = xpad.shape[1] - k + 1, xpad.shape[2] - k + 1
    window = {(a, b): np.s_[:, a : a + Ho, b : b + Wo] for a in range(k) for b in range(k)}
    y = sum(xpad[at] @ w[tap] for tap, at in window.items())

    def backward(dy):
        dy, dxpad, dw = dy.astype(float), np.zeros_like(xpad), np.zeros_like(w)
        for tap, at in window.items():
            dxpad[at] += dy @ w[tap].T
            dw[tap] = np.einsum("nijc,nijd->cd", xpad[at], dy)
        return dxpad[:, p : p + x.shape[1], p : p + x.shape[2]], dw

    return y, backward


def drawn(seed, *shapes, dtype=np.float64):
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape).astype(dtype) for shape in shapes]


class Run:
    """Everything that a forward and a backward pass of one plan write."""

    def __init__(self, plan, x, w, dy=None, cuts=()):
        C, D = w.shape[2:]
        V = np.empty(plan.weight_shape(C, D), w.dtype)
        plan.weight_spectrum(w, V)
        self.y = np.full((len(x), plan.out_height, plan.out_width, D), np.nan, w.dtype)
        self.dx, self.dw, dV = np.full_like(x, np.nan), np.zeros_like(w), np.full_like(V, np.nan)
        self.db, bias = np.zeros(D, w.dtype), np.zeros(D, w.dtype)
        for part in np.split(np.arange(len(x)), cuts):
            few = slice(part[0], part[-1] + 1)
            X = np.empty(plan.image_shape(len(part), C), w.dtype)
            plan.forward(x[few], V, bias, -np.inf, self.y[few], X)
            if dy is not None:
                plan.backward(dy[few], None, X, V, self.dx[few], dV, part[0] > 0, self.db, empty=_filled)
        plan.weight_gradient(dV, self.dw)


def _filled(shape, dtype):
    return np.full(shape, np.nan, dtype)  # scratch memory is never read before it is written


def assert_close(actual, expected, tolerance):
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


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
def test_it_is_the_direct_convolution_and_its_gradients(dtype, tolerance, case, seed):
    N, H, W, C, D, k, p = case
    x, w = drawn(seed, (N, H, W, C), (k, k, C, D), dtype=dtype)
    y, backward = direct(x, w, p)
    (dy,) = drawn(seed + 1, y.shape, dtype=dtype)
    run = Run(FourierConvolution(H, W, k, p), x, w, dy)
    dx, dw = backward(dy)
    assert_close(run.y, y, tolerance)
    assert_close(run.dx, dx, tolerance)
    assert_close(run.dw, dw, tolerance)
    assert_close(run.db, dy.astype(float).sum(axis=(0, 1, 2)), tolerance)


def test_the_weight_gradient_adds_up_over_chunks():
    x, w, dy = drawn(4, (6, 7, 7, 5), (5, 5, 5, 3), (6, 7, 7, 3))
    plan = FourierConvolution(7, 7, 5, 2)
    whole, cut = Run(plan, x, w, dy), Run(plan, x, w, dy, cuts=[1, 3])
    assert_close(cut.dw, whole.dw, 1e-13)
    assert_close(cut.y, whole.y, 1e-13)


def test_the_gradients_are_the_adjoints_of_the_linear_maps():
    x, w, dy = drawn(5, (3, 6, 9, 4), (3, 3, 4, 5), (3, 4, 7, 5))
    run = Run(FourierConvolution(6, 9, 3, 0), x, w, dy)
    scale = np.linalg.norm(run.y) * np.linalg.norm(dy)
    assert abs(np.vdot(run.y, dy) - np.vdot(x, run.dx)) < 1e-14 * scale
    assert abs(np.vdot(run.y, dy) - np.vdot(w, run.dw)) < 1e-14 * scale


def test_without_an_input_gradient_the_weight_gradient_is_the_same():
    x, w, dy = drawn(6, (3, 5, 5, 2), (3, 3, 2, 4), (3, 5, 5, 4))
    plan = FourierConvolution(5, 5, 3, 1)
    V, X = np.empty(plan.weight_shape(2, 4)), np.empty(plan.image_shape(3, 2))
    plan.weight_spectrum(w, V)
    plan.forward(x, V, np.zeros(4), -np.inf, np.empty_like(dy), X)
    dV, dw = np.empty_like(V), np.zeros_like(w)
    plan.backward(dy, None, X, V, None, dV, False, np.zeros(4))
    plan.weight_gradient(dV, dw)
    np.testing.assert_array_equal(dw, Run(plan, x, w, dy).dw)


def test_two_threads_at_once_give_the_bits_of_one():
    w, *inputs = drawn(7, (5, 5, 20, 18), *[(4, 9, 9, 20)] * 6, dtype=np.float32)
    dy = drawn(8, (4, 9, 9, 18), dtype=np.float32)[0]
    plan = FourierConvolution(9, 9, 5, 2)
    with ThreadPoolExecutor(2) as pool:
        parallel_for = list(pool.map(lambda x: Run(plan, x, w, dy), inputs))
    for x, run in zip(inputs, parallel_for, strict=True):
        alone = Run(plan, x, w, dy)
        for actual, expected in ((run.y, alone.y), (run.dx, alone.dx), (run.dw, alone.dw)):
            np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("height", "width", "kernel", "padding", "size"),
    [(14, 14, 5, 2, 16), (7, 7, 5, 2, 9), (7, 7, 3, 1, 8), (32, 32, 5, 2, 36), (3, 12, 3, 0, 12), (1, 1, 7, 3, 4)],
)
def test_the_circle_is_the_smallest_that_is_exact(height, width, kernel, padding, size):
    assert FourierConvolution(height, width, kernel, padding).size == size


@njit
def _transform(re, im, length, radices, roots):
    re, im, roots = pointer(re), pointer(im), pointer(roots)
    fft(re, im, 0, LANES, length, radices, roots)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 27, 32, 36, 48, 64])
def test_the_transform_is_numpys(length):
    assert good_size(length) == length
    transform = Transform(length, np.float64)
    re, im = drawn(length, (length, LANES), (length, LANES))
    expected = np.fft.fft(re + 1j * im, axis=0)
    turned = np.empty((2, length, LANES))
    turned[:, transform.order] = re, im
    _transform(turned[0].reshape(-1), turned[1].reshape(-1), length, transform.radices, transform.roots)
    np.testing.assert_allclose(turned[0] + 1j * turned[1], expected, rtol=0, atol=1e-14 * length)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="plain Python has no pointers")
def test_a_strided_array_has_no_pointer():
    transform = Transform(4, np.float64)
    strided = np.zeros(8 * LANES)[::2]
    with pytest.raises(TypingError, match="contiguous"):
        _transform(strided, strided, 4, transform.radices, transform.roots)


@pytest.mark.parametrize(("least", "size"), [(0, 1), (5, 6), (7, 8), (10, 12), (13, 16), (17, 18), (34, 36), (65, 72)])
def test_lengths_are_rounded_up_to_powers_of_two_and_three(least, size):
    assert good_size(least) == size
