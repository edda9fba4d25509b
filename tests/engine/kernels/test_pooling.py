"""Max pooling by vectors of channels follows the scalar rule that the GPU's kernel calls."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codegen.simd import LANES
from engine.kernels.cpu.pooling import max_forward, replaces_maximum

VALUES = [0.0, -0.0, 1.0, -1.0, 2.0, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(pixels=st.lists(st.sampled_from(VALUES), min_size=6, max_size=6))
def test_a_vector_of_channels_and_the_channels_left_over_choose_as_the_rule_does(dtype, pixels):
    C = LANES + 1  # a vector, and one channel by itself
    x = np.repeat(np.array(pixels, dtype), C).reshape(1, 2, 3, C)
    y, argmax = np.empty((1, 1, 1, C), dtype), np.empty((1, 1, 1, C), np.uint8)
    max_forward(x, y, argmax, 3, 3, 1)  # one window of 3 x 3, its first row and column in the padding
    tap, maximum = 4, x[0, 0, 0, 0]
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        if replaces_maximum(x[0, i, j, 0], maximum):
            tap, maximum = 3 * (i + 1) + j + 1, x[0, i, j, 0]
    np.testing.assert_array_equal(y.ravel(), np.full(C, maximum))
    assert argmax.ravel().tolist() == [tap] * C
    maxima = np.empty_like(y)
    max_forward(x, maxima, None, 3, 3, 1)
    np.testing.assert_array_equal(maxima, y)
    window = x[0, :2, :2, 0]
    np.testing.assert_array_equal(maximum, window.max())  # NumPy's rule, too, is that the first NaN is the largest
    assert window.argmax() == [4, 5, 7, 8].index(tap)
