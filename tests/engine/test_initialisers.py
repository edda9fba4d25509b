"""Initial weights have the distributions that their papers name; the fan-in is the product of all axes but the outputs'."""

import math

import numpy as np
import pytest

from engine.initialisers import constant, he, normal, uniform, xavier
from engine.random import Key

SHAPE = (5, 5, 16, 50)
FAN_IN, N = 400, 20_000


def assert_uniform(w, bound):
    """As Kolmogorov and Smirnov test it, at 0.1 %."""
    assert w.shape == SHAPE
    levels = np.sort(w.ravel() / bound)
    assert np.abs(levels - np.linspace(-1, 1, N)).max() < 2 * 1.95 / math.sqrt(N)


def assert_normal(w, std):
    """In its first four moments, within four standard deviations of each."""
    assert w.shape == SHAPE
    z, error = w / std, 4 / math.sqrt(N)
    moments = (z.mean(), (z**2).mean() - 1, (z**3).mean(), (z**4).mean() - 3)
    assert (np.abs(moments) < [error * math.sqrt(variance) for variance in (1, 2, 15, 96)]).all()


def test_a_constant_is_everywhere():
    assert np.array_equal(constant(0.25)(Key(1), (2, 3)), np.full((2, 3), 0.25))


def test_uniform_weights_lie_evenly_between_the_bounds():
    assert_uniform(uniform(0.05)(Key(1), SHAPE), 0.05)


def test_normal_weights_have_the_standard_deviation():
    assert_normal(normal(0.05)(Key(1), SHAPE), 0.05)


def test_xavier_is_uniform_with_variance_1_over_the_fan_in():
    assert_uniform(xavier(Key(1), SHAPE), math.sqrt(3 / FAN_IN))


def test_he_is_normal_with_variance_2_over_the_fan_in():
    assert_normal(he(Key(1), SHAPE), math.sqrt(2 / FAN_IN))


@pytest.mark.parametrize("initialiser", [uniform(1.0), normal(1.0), xavier, he])
def test_another_key_draws_other_weights_and_the_same_key_the_same(initialiser):
    first = initialiser(Key(1), (3, 4))
    assert np.array_equal(initialiser(Key(1), (3, 4)), first)
    assert not np.isclose(initialiser(Key(2), (3, 4)), first).any()
