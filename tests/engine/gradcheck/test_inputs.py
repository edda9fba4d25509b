"""Where a layer is checked: at inputs of its domain, on another grid where a kink is met."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.context import Context
from engine.errors import UserError
from engine.gradcheck import (
    GradientError,
    check_gradients,
    check_layer,
    clear_input,
    grid,
    layer_checks,
    layer_pair,
    parametrize_layers,
)
from engine.gradcheck.inputs import candidates
from engine.random import Key
from tests.correct.gallery import Elementwise
from tests.correct.kinked import HardTanh
from tests.correct.products import Divide
from tests.correct.smooth import Log
from tests.strategies import seeds


def test_a_kink_at_the_numbers_of_the_first_grid_is_met_on_no_other():
    assert 1 in np.abs(grid((3, 2), Key(0)))
    x = clear_input(HardTanh(), (3, 2), lambda training: Context(training=training), Key(0))
    assert np.abs(np.abs(x) - 1).min() > 1e-5


class KinkedWhenEvaluated(Elementwise):
    """|x - 1/3| in evaluation alone."""

    def forward(self, x, ctx):
        if ctx.training:
            return x + 0, np.ones_like(x)
        return np.abs(x - 1 / 3), np.sign(x - 1 / 3)

    def backward(self, dy, sign, ctx, need_dx=True):
        return dy * sign


def test_kinks_of_evaluation_are_kept_clear_of_too():
    assert np.isclose(grid((3, 2), Key(0)), 1 / 3, rtol=0, atol=1e-15).any()
    check_layer(KinkedWhenEvaluated(), (2,)).raise_if_failed()


class WrongWithAKink(HardTanh):
    def slope(self, x):
        return 1.01 * super().slope(x)


def test_another_grid_does_not_excuse_a_wrong_gradient():
    assert "gradient_of_input" in check_layer(WrongWithAKink(), (2,)).failed


class JumpsEverywhere(Elementwise):
    def value(self, x):
        return np.floor(x * 1e9)

    def slope(self, x):
        return 0 * x


def test_of_a_function_that_jumps_everywhere_the_first_input_is_taken():
    x = clear_input(JumpsEverywhere(), (3, 2), lambda training: Context(training=training), Key(0))
    assert np.array_equal(x, grid((3, 2), Key(0).fold(0)))
    (result,) = check_layer(JumpsEverywhere(), (2,), checks=["gradient_of_input"]).results
    assert not result.passed


@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    seed=seeds,
    domain=st.sampled_from([(-2.0, 2.0), (0.1, 3.0), (-1e-3, -1e-4), (5.0, 1e6)]),
)
def test_every_candidate_lies_in_the_domain_and_has_no_ties(sizes, seed, domain):
    for _, xs in zip(range(5), candidates([(n,) for n in sizes], Key(seed), domain), strict=False):
        numbers = np.concatenate(xs)
        assert [x.shape for x in xs] == [(n,) for n in sizes]
        assert ((domain[0] < numbers) & (numbers < domain[1])).all()
        assert len(np.unique(numbers)) == sum(sizes)
        assert domain[0] != -2 or (numbers != 0).all()


def test_a_layer_that_is_not_defined_everywhere_passes_in_its_domain():
    report = check_layer(Log(), (3,), domain=(0.1, 3.0))
    report.raise_if_failed()
    assert report.failed == []
    check_layer(Log(), (3,), domain=(1e-6, 1e-3)).raise_if_failed()
    check_layer(Divide(), [(3,), (3,)], domain=(0.5, 2.0)).raise_if_failed()


@pytest.mark.filterwarnings("ignore:invalid value")
def test_outside_it_every_check_says_that_the_domain_can_be_given():
    sentence = (
        "y is not finite for inputs between -2 and 2: where the layer is not defined for all of these, give the numbers that it "
        "is defined for, as in domain=(0.1, 3.0)."
    )
    report = check_layer(Log(), (3,))
    assert {r.message for r in report.results} == {sentence}
    with pytest.raises(GradientError, match=r"fails 16 of 16 checks\nevery check: y is not finite"):
        report.raise_if_failed()


class LogWithTheSlopeOfOne(Log):
    def slope(self, x):
        return 1 / x + 0.01


def test_the_line_that_repeats_an_element_has_the_domain():
    (result,) = check_layer(LogWithTheSlopeOfOne(), (3,), domain=(0.1, 3.0), checks=["gradient_of_input"]).results
    line = result.message.split("To repeat: ")[1]
    assert "domain=(0.1, 3.0)" in line
    names = {"check_gradients": check_gradients, "layer_pair": layer_pair, "layer": LogWithTheSlopeOfOne()}
    with pytest.raises(GradientError, match="the gradient of x"):
        eval(line, names)


@parametrize_layers([(Log(), (3,))], domain=(0.1, 3.0))
def test_the_decorator_takes_a_domain(check):
    check()


def test_the_generator_takes_a_domain():
    assert all(check().passed for _, check in layer_checks(Log(), (3,), domain=(0.1, 3.0)))


@pytest.mark.parametrize("domain", [(3.0, 0.1), (1.0, 1.0), (0.0, np.inf), (np.nan, 1.0)])
def test_a_domain_that_is_none_is_refused(domain):
    with pytest.raises(UserError, match=r"the domain is .*two finite numbers, the lower one first"):
        check_layer(Log(), (3,), domain=domain)
