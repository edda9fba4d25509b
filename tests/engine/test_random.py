"""Random numbers are a function of key and counter, and those of Philox."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import random
from engine.codegen.jit import exact
from engine.codegen.pointers import pointer
from engine.codegen.simd import LANES
from engine.random import MASK, Key, philox, philox_in_lanes
from tests.strategies import seeds

ONES = (MASK,) * 4


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (ONES, ONES[:2], (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_philox_gives_the_known_answers_of_random123(counter, key, expected):
    assert tuple(int(w) for w in philox(*map(np.uint64, (*counter, *key)))) == expected


def test_words_are_the_blocks_of_philox_one_after_another():
    key = Key(0x1234_5678_9ABC_DEF0)
    low, high = key.halves
    zero = np.uint64(0)
    blocks = [philox(np.uint64(b), zero, zero, zero, low, high) for b in range(2)]
    assert key.words(7).tolist() == [int(w) for block in blocks for w in block][:7]
    assert (int(low), int(high)) == (0x9ABC_DEF0, 0x1234_5678)


@exact
def in_lanes(words, block, row, k0, k1):
    philox_in_lanes(pointer(words), block, row, k0, k1)


@given(seed=seeds, block=st.sampled_from([0, 1, 1000, MASK - LANES + 1]), row=st.sampled_from([0, 7, MASK]))
def test_a_block_in_each_lane_is_that_of_philox_by_itself(seed, block, row):
    words, halves = np.zeros((4, LANES), np.uint64), Key(seed).halves
    in_lanes(words, np.uint64(block), np.uint64(row), *halves)
    for lane in range(LANES):
        counter = map(np.uint64, (block + lane, row, 0, 0))
        assert words[:, lane].tolist() == [int(word) for word in philox(*counter, *halves)]


@given(seed=seeds, n=st.integers(0, 40), more=st.integers(0, 9))
def test_more_words_begin_with_the_same_words(seed, n, more):
    assert np.array_equal(Key(seed).words(n + more)[:n], Key(seed).words(n))


@given(seed=seeds)
def test_folded_keys_differ_from_each_other_and_from_their_parent(seed):
    key = Key(seed)
    children = [key.fold(n) for n in (0, 1, 2, 2**32, 2**40 + 1)]
    assert len({key, *children, children[0].fold(1), children[1].fold(0)}) == 8
    assert key.fold(1) == Key(seed).fold(1)
    assert all(0 <= child.word < 2**64 for child in children)
    assert all(
        len({half(child) for child in children}) == 5
        for half in (lambda key: key.word >> 32, lambda key: key.word & MASK)
    )


@given(seed=seeds, n=st.integers(0, 50))
def test_a_permutation_holds_every_number_once(seed, n):
    assert sorted(Key(seed).permutation(n).tolist()) == list(range(n))


@given(seed=seeds, n=st.integers(0, 50))
def test_a_permutation_sorts_numbers_of_64_bits_whose_halves_are_the_words(seed, n):
    words = Key(seed).words(2 * n).tolist()
    assert Key(seed).permutation(n).tolist() == sorted(range(n), key=lambda i: (words[i], words[n + i]))


def test_permutations_of_three_are_equally_likely():
    counts = np.unique([Key(s).permutation(3) @ [9, 3, 1] for s in range(6000)], return_counts=True)[1]
    assert len(counts) == 6
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5  # chi-squared with 5 degrees of freedom, 0.1 %


def test_uniform_numbers_are_uniform_and_never_zero_or_one():
    u = np.sort(Key(1).uniform((100, 100)).ravel())
    assert u[0] > 0
    assert u[-1] < 1
    assert np.abs(u - (np.arange(1e4) + 0.5) / 1e4).max() < 1.95 / 100  # Kolmogorov and Smirnov, 0.1 %
    assert Key(1).uniform(()).shape == ()


def test_uniform_numbers_are_the_centres_of_2_to_the_32_cells():
    assert Key(1).uniform((2, 3)).ravel().tolist() == [(word + 0.5) / 2**32 for word in Key(1).words(6).tolist()]


def test_normal_numbers_are_made_of_uniform_ones_by_box_and_muller():
    (u, v), z = Key(1).uniform((2, 5)), Key(1).normal((5,))
    expected = [math.sqrt(-2 * math.log(a)) * math.cos(2 * math.pi * b) for a, b in zip(u, v, strict=True)]
    np.testing.assert_allclose(z, expected, rtol=1e-13)


def test_normal_numbers_have_the_moments_of_the_normal_distribution():
    z = Key(2).normal((200, 200))
    error = 1 / 200
    assert abs(z.mean()) < 4 * error
    assert abs(z.var() - 1) < 4 * np.sqrt(2) * error
    assert abs((z**3).mean()) < 4 * np.sqrt(15) * error
    assert abs((z**4).mean() - 3) < 4 * np.sqrt(96) * error
    assert abs((z[:, 1:] * z[:, :-1]).mean()) < 4 * error


@pytest.mark.parametrize("draw", [Key.uniform, Key.normal])
def test_numbers_do_not_depend_on_how_many_are_drawn_at_a_time(draw, monkeypatch):
    for shape in ((7, 3), (), (0, 2), (1,)):
        whole = draw(Key(3), shape)
        for size in (1, 2, 5, 21):
            monkeypatch.setattr(random, "SLICE", size)
            assert np.array_equal(draw(Key(3), shape), whole)
        monkeypatch.undo()


def test_words_can_be_drawn_from_any_number_on():
    words = Key(3).words(20)
    assert all(np.array_equal(Key(3).words(20 - first, first), words[first:]) for first in range(21))
