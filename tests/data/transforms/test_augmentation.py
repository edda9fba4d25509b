"""Augmentation against NumPy, and its draws: each equally likely, each its sample's own."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.transforms.augmentation import CropFlip
from engine.context import Context
from engine.random import Key, philox
from tests.strategies import seeds


def context(key=0, first=0, training=True):
    return Context(training=training, key=Key(key), first_sample=first)


def draws(key, sample, padding):
    """Top and left of the window in the padded image, and whether it is reflected: as the docstring says."""
    words = philox(np.uint64(0), np.uint64(sample), np.uint64(0), np.uint64(0), *context(key).next_key().halves)
    top, left = (int(word) * (2 * padding + 1) // 2**32 for word in words[:2])
    return top, left, int(words[2]) >= 2**31


def reference(x, key, padding, first=0):
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    _, H, W, _ = x.shape
    rows = []
    for n, image in enumerate(padded):
        top, left, flip = draws(key, first + n, padding)
        window = image[top : top + H, left : left + W]
        rows.append(window[:, ::-1] if flip else window)
    return np.stack(rows)


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)),
    padding=st.integers(0, 5),
    first=st.integers(0, 1000),
    seed=seeds,
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_an_image_is_padded_with_zeros_cut_out_and_reflected_as_numpy_does_it(shape, padding, first, seed, dtype):
    x = np.arange(1, np.prod(shape) + 1, dtype=dtype).reshape(shape)
    y = CropFlip(padding)(x, context(seed, first))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, reference(x, seed, padding, first))


@given(cuts=st.lists(st.integers(1, 39), max_size=5), seed=seeds)
def test_chunks_do_not_change_what_is_drawn(cuts, seed):
    x = np.arange(40 * 5 * 4 * 2, dtype=np.float32).reshape(40, 5, 4, 2)
    whole = CropFlip()(x, context(seed))
    for start, stop in itertools.pairwise([0, *sorted(set(cuts)), 40]):
        np.testing.assert_array_equal(CropFlip()(x[start:stop], context(seed, start)), whole[start:stop])


def test_every_window_and_both_directions_are_equally_likely():
    N, H = 162 * 100, 9  # 9 x 9 windows, two directions
    places = 1.0 + np.arange(H * H, dtype=np.float32).reshape(1, H, H, 1)  # each pixel names its place
    y = CropFlip(4)(np.repeat(places, N, axis=0), context(5))
    left, centre, right = y[:, 4, 3:6, 0].astype(int).T  # the centre lies inside the image, whatever the window
    flipped = (left == centre + 1) | (right == centre - 1)
    counts = np.bincount(2 * (centre - 1) + flipped, minlength=162)
    assert counts.sum() == N
    assert ((counts - 100) ** 2 / 100).sum() < 222.2  # chi-squared, 161 degrees of freedom, 0.1 %


def test_nothing_happens_outside_training():
    x = np.ones((3, 4, 4, 1), np.float32)
    assert CropFlip()(x, context(training=False)) is x


def test_another_step_draws_anew_and_dropout_after_it_draws_by_itself():
    x = np.arange(20 * 64, dtype=np.float32).reshape(20, 8, 8, 1)
    ctx = context(1)
    first, second = CropFlip()(x.copy(), ctx), CropFlip()(x.copy(), ctx)  # two draws of one pass
    other = CropFlip()(x, context(2))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_its_output_lies_in_the_memory_of_the_pass():
    ctx = context()
    for _ in range(3):
        x = ctx.empty((4, 8, 8, 3), np.float32)
        x[...] = 1
        CropFlip()(x, ctx)
        size = x.nbytes
        del x
    assert ctx.nbytes == 2 * size


@pytest.mark.parametrize("padding", [0, 4])
def test_what_lies_outside_the_image_is_zero_after_preprocessing(padding):
    y = CropFlip(padding)(np.full((200, 5, 5, 1), 7, np.float32), context())
    assert set(np.unique(y)) == ({7} if padding == 0 else {0, 7})
