"""Biases are moved as little as possible, and then an input away from the kinks is found, wherever it could not be before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cldl.verification.clear import CLEAR, move_biases, nearest_clear
from engine.errors import UserError
from engine.gradcheck import check_layer, grid
from engine.gradcheck.inputs import MARGIN, candidates
from engine.gradcheck.under_test import LayerUnderTest
from engine.random import Key
from layers import Conv2d, Dropout, ReLU, Sequential
from tests.strategies import layer_cases, seeds


@given(size=st.integers(1, 40), width=st.sampled_from([0.01, 1.0, 3.0]), seed=seeds)
def test_the_nearest_clear_number_is_clear_and_no_nearer_one_is(size, width, seed):
    values = grid((size,), Key(seed), width)
    found = nearest_clear(values, 0.1)
    assert np.abs(values - found).min() >= 0.0999
    nearer = found * np.linspace(-1, 1, 1001)[1:-1]
    assert found == 0 or (np.abs(values - nearer[:, None]).min(axis=1) < 0.1 + 1e-9).all()


def test_a_number_that_is_clear_already_stays():
    assert nearest_clear(np.array([1.0, -0.5]), 0.5) == 0.0


def on_a_kink():
    """The first unit is dead for every x, so the second is always 0.25, and the third always 0.25 - 0.25."""
    layers = [Conv2d(1, 1, 1), ReLU(), Conv2d(1, 1, 1), ReLU(), Conv2d(1, 1, 1), ReLU()]
    for layer, (W, b) in zip(layers[::2], [(0.5, -2.0), (1.0, 0.25), (-1.0, 0.25)], strict=True):
        layer.weight.value[...], layer.bias.value[...] = W, b
    return Sequential(*layers)


def test_a_unit_that_is_at_its_kink_for_every_input_is_moved_away():
    with pytest.raises(UserError, match="none of 200 inputs"):
        check_layer(on_a_kink(), (3, 3, 1), samples=2, seed=5)
    layer = on_a_kink()
    move_biases(layer, (3, 3, 1), samples=2, seed=5)
    check_layer(layer, (3, 3, 1), samples=2, seed=5).raise_if_failed()
    first, second, third = (layer.layers[i].bias.value.item() for i in (0, 2, 4))
    assert (first, second) == (-2.0, 0.25)
    assert abs(third - 0.25) == pytest.approx(CLEAR, rel=1e-3)


def all_dropped():
    """In training the mask of seed 5 leaves the convolution zeros, so that its ReLU's input is the bias, 0."""
    return Sequential(Dropout(0.5), Conv2d(2, 1, 1), ReLU())


def test_a_convolution_that_dropout_leaves_nothing_but_zeros_is_moved_away_from_its_kink():
    mask = LayerUnderTest(Dropout(0.5), (1, 1, 2), samples=1, seed=5).y
    assert not mask.any()
    with pytest.raises(UserError, match="none of 200 inputs"):
        check_layer(all_dropped(), (1, 1, 2), samples=1, seed=5)
    layer = all_dropped()
    move_biases(layer, (1, 1, 2), samples=1, seed=5)
    assert abs(layer.layers[1].bias.value.item()) == pytest.approx(CLEAR, rel=1e-3)
    check_layer(layer, (1, 1, 2), samples=1, seed=5).raise_if_failed()


class NotAtTheFirstInput(Sequential):
    """As if a pooling layer were near a kink at the first input that is drawn."""

    def kink_distance(self, x, ctx):
        return 0.0 if np.array_equal(x, inputs_of(self)[0]) else super().kink_distance(x, ctx)


def inputs_of(layer):
    tested = LayerUnderTest(layer, (3, 3, 1), samples=2, seed=5)
    return [x for _, x in zip(range(2), candidates(tested.batch_shape, tested.x_key), strict=False)]


def test_where_the_first_input_is_near_a_kink_all_the_same_the_next_one_is_taken():
    layer = NotAtTheFirstInput(*on_a_kink().layers)
    move_biases(layer, (3, 3, 1), samples=2, seed=5)
    tested = LayerUnderTest(layer, (3, 3, 1), samples=2, seed=5)
    assert np.array_equal(tested.xs[0], inputs_of(layer)[1])


@pytest.mark.parametrize("name", ["FusedConv", "Sequential", "Network"])
def test_every_drawn_chain_is_clear_at_one_of_its_first_inputs(name):
    @given(case=layer_cases(name))
    def holds(case):
        tested = LayerUnderTest(case.layer, case.shape, samples=case.samples, seed=case.seed)
        tries = zip(range(20), candidates(tested.batch_shape, tested.x_key), strict=False)
        contexts = [tested.context(training=training) for training in (True, False)]
        assert any(min(tested.layer.kink_distance(x, ctx) for ctx in contexts) >= MARGIN for _, x in tries)

    holds()
