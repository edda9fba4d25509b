"""The kernels of patches are the reference, for any range of windows; and the references are adjoints of each other."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.kernels.cpu.patches import (
    patches_adjoint_reference,
    patches_backward,
    patches_forward,
    patches_reference,
)
from engine.random import Key


@st.composite
def cases(draw):
    kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, kernel - 1))
    N, H, W, C = (draw(st.integers(1, most)) for most in (3, 7, 7, 9))
    assume(min(H, W) + 2 * padding >= kernel)
    return (N, H, W, C), (kernel, stride, padding)


def test_a_window_is_a_row_of_its_pixels_in_reading_order_channels_fastest():
    x = np.arange(1.0, 13.0).reshape(1, 2, 3, 2)
    P = patches_reference(x, 2, 1, 0)
    assert P.tolist() == [[1, 2, 3, 4, 7, 8, 9, 10], [3, 4, 5, 6, 9, 10, 11, 12]]
    assert patches_reference(x, 2, 2, 1)[0].tolist() == [
        0,
        0,
        0,
        0,
        0,
        0,
        1,
        2,
    ]  # of the corner only the last pixel is inside


@given(case=cases())
def test_the_reference_of_the_adjoint_is_the_adjoint(case):
    shape, window = case
    x = Key(1).normal(shape)
    P = patches_reference(x, *window)
    dP = Key(2).normal(P.shape)
    dx = patches_adjoint_reference(dP, shape, *window)
    assert dx.shape == shape
    np.testing.assert_allclose(np.vdot(P, dP), np.vdot(x, dx), rtol=0, atol=1e-13 * max(1, P.size))


@given(case=cases(), cut=st.floats(0, 1))
def test_the_kernels_are_the_references_for_any_range_of_windows(case, cut):
    shape, window = case
    x = Key(1).normal(shape)
    expected = patches_reference(x, *window)
    first = int(cut * (len(expected) - 1))
    P, dP, dx = np.full_like(expected[first:], np.nan), Key(2).normal(expected.shape), Key(3).normal(shape)
    patches_forward(x, P, first, *window)
    assert np.array_equal(P, expected[first:])
    dP[:first] = 0
    before = dx.copy()
    patches_backward(dP[first:], dx, first, *window)
    np.testing.assert_allclose(dx - before, patches_adjoint_reference(dP, shape, *window), rtol=0, atol=1e-13)
