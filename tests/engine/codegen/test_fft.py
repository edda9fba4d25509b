"""The transform is NumPy's, for every length that is a product of twos and threes."""

import numpy as np
import pytest
from numba import config, njit
from numba.core.errors import TypingError

from engine.codegen.fft import FFTPlan, fft, good_size
from engine.codegen.pointers import pointer
from engine.codegen.simd import LANES


@njit
def transform(re, im, length, radices, roots):
    re, im, roots = pointer(re), pointer(im), pointer(roots)
    fft(re, im, 0, LANES, length, radices, roots)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 27, 32, 36, 48, 64])
def test_the_transform_is_numpys(length):
    assert good_size(length) == length
    plan, random = FFTPlan(length, np.float64), np.random.default_rng(length)
    re, im = random.standard_normal((2, length, LANES))
    expected = np.fft.fft(re + 1j * im, axis=0)
    reordered = np.empty((2, length, LANES))
    reordered[:, plan.order] = re, im
    transform(reordered[0].reshape(-1), reordered[1].reshape(-1), length, plan.radices, plan.roots)
    np.testing.assert_allclose(reordered[0] + 1j * reordered[1], expected, rtol=0, atol=1e-14 * length)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="plain Python has no pointers")
def test_a_strided_array_has_no_pointer():
    plan, strided = FFTPlan(4, np.float64), np.zeros(8 * LANES)[::2]
    with pytest.raises(TypingError, match="contiguous"):
        transform(strided, strided, 4, plan.radices, plan.roots)


@pytest.mark.parametrize(("least", "size"), [(0, 1), (5, 6), (7, 8), (10, 12), (13, 16), (17, 18), (34, 36), (65, 72)])
def test_lengths_are_rounded_up_to_powers_of_two_and_three(least, size):
    assert good_size(least) == size
