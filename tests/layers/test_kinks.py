"""How far an input is from the nearest kink: what each layer says, by hand and by looking at every window."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.context import Context
from engine.gradcheck import grid
from engine.random import Key
from layers import AvgPool2d, L2Normalize, LocalResponseNorm, Maxout, MaxPool2d, ReLU, Sequential
from tests.strategies import seeds


def test_kink_distances_are_half_the_gap_and_the_distance_from_zero():
    ctx = Context()
    x = np.array([1.0, -0.5, 3.0, 2.0]).reshape(1, 2, 2, 1)
    assert ReLU().kink_distance(x, ctx) == 0.5
    assert MaxPool2d(2).kink_distance(x, ctx) == 0.5
    assert MaxPool2d(1).kink_distance(x, ctx) == np.inf
    assert Maxout(4).kink_distance(x.reshape(1, 4), ctx) == 0.5
    assert Maxout(2).kink_distance(x.reshape(1, 4), ctx) == 0.5
    assert Maxout(1).kink_distance(x, ctx) == np.inf
    assert Maxout(3).kink_distance(np.array([[0.0, 3.0, 9.0, 1.0, 2.0, 7.0]]), ctx) == 2.5
    assert AvgPool2d(2).kink_distance(x, ctx) == np.inf
    assert LocalResponseNorm().kink_distance(x, ctx) == np.inf
    assert L2Normalize().kink_distance(np.array([[3.0, -4.0], [0.5, -0.25]]), ctx) == 0.5
    assert Sequential(ReLU(), MaxPool2d(2)).kink_distance(-np.abs(x), ctx) == 0.5


@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 5),
    padding=st.integers(0, 2),
    ceil=st.booleans(),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=seeds,
)
def test_the_nearest_kink_of_max_pooling_is_in_the_window_with_the_smallest_gap(
    kernel, stride, padding, ceil, size, seed
):
    padding = min(padding, kernel // 2)
    H, W = (max(n, kernel - 2 * padding) for n in size)
    x = grid((2, H, W, 2), Key(seed)) - 3.0  # padding counted as zeros would be the largest everywhere
    pool = MaxPool2d(kernel, stride, padding, ceil=ceil)
    gaps = [np.inf]
    for i, j in np.ndindex(*pool.output_shape(x.shape[1:])[:2]):
        top, left = i * stride - padding, j * stride - padding
        inside = x[:, max(top, 0) : top + kernel, max(left, 0) : left + kernel].reshape(2, -1, 2)
        if inside.shape[1] > 1:
            ordered = np.sort(inside, axis=1)
            gaps.append((ordered[:, -1] - ordered[:, -2]).min())
    assert pool.kink_distance(x, Context()) == min(gaps) / 2


def test_windows_of_zeros_from_a_relu_are_no_kinks_but_all_others_are():
    x = np.zeros((1, 2, 6, 1))
    x[0, :, 2:, 0] = [[5.0, 0.0, 3.0, 1.0], [0.0, 0.0, 2.0, 0.0]]  # windows: of zeros; gap 5; gap 1
    assert MaxPool2d(2).kink_distance(x, Context()) == 0.5
    assert MaxPool2d(2).kink_distance(x[:, :, :4], Context()) == 2.5
    assert MaxPool2d(2).kink_distance(x[:, :, :2], Context()) == np.inf
