"""How long the steps are: short enough for a function that changes fast, by themselves or as the caller says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.gradcheck import GradientError, check_gradients, grid
from engine.gradcheck.differences import kink_near
from engine.random import Key
from tests.strategies import seeds

SMALL = np.array([3e-9, 5e-9])


def fast(scale):
    """sin(x / scale) and its gradient, times a factor."""
    return lambda x: (np.sin(x / scale), x), lambda dy, x: np.cos(x / scale) / scale * dy


@given(exponent=st.integers(-9, 0), x=st.sampled_from([0.3, 1.2, 3.0, 5.0]))
def test_a_function_that_changes_faster_than_the_step_passes_and_a_wrong_gradient_of_it_fails(exponent, x):
    scale = 10.0**exponent
    forward, backward = fast(scale)
    given_x = np.array([x, 0.7]) * scale
    check_gradients(forward, backward, [given_x]).raise_if_failed()
    assert not check_gradients(forward, lambda dy, x: 1.0001 * backward(dy, x), [given_x]).passed
    assert not check_gradients(forward, lambda dy, x: 0 * dy, [given_x]).passed


@pytest.mark.parametrize("method", ["elementwise", "directional", "taylor", "complex"])
def test_the_step_can_be_set(method):
    step = 1e-20 if method == "complex" else 1e-13
    forward, backward = fast(1e-9)
    report = check_gradients(forward, backward, [SMALL], method=method, step=step)
    report.raise_if_failed()
    assert all(entry.step == step for entry in report.entries)
    wrong = check_gradients(forward, lambda dy, x: 1.01 * backward(dy, x), [SMALL], method=method, step=step)
    assert not wrong.passed
    assert f"step={step}" in wrong.repeat(wrong.worst)


def test_a_kink_is_refused_in_a_sentence_that_names_the_step():
    with pytest.raises(
        GradientError, match="where forward is smooth but changes as fast as that, give a smaller `step`"
    ):
        check_gradients(lambda x: (np.abs(x), x), lambda dy, x: dy, [np.zeros(1)]).raise_if_failed()


@pytest.mark.parametrize("step", [0.0, -1e-5, np.nan])
def test_a_step_that_is_none_is_refused(step):
    with pytest.raises(UserError, match=r"the step is .*; a number above 0 is needed, such as 1e-5"):
        check_gradients(*fast(1.0), [SMALL], step=step)


def test_a_zero_gradient_of_a_function_in_single_precision_is_no_kink_and_fails():
    """Steps below its rounding see it stand still, as the gradient says."""

    def forward(x):
        return (x.astype(np.float32) ** 2).astype(np.float64), x

    assert not check_gradients(forward, lambda dy, x: 0 * x, [np.array([0.7, -1.3])]).passed


@given(seed=seeds, terms=st.sampled_from([2, 10, 200]))
def test_rounding_is_measured_by_what_is_added_up_and_not_by_a_sum_that_cancels(seed, terms):
    """y = a b + c, a and b orthogonal and long: y is about c, its rounding is that of the products."""
    a = grid((terms,), Key(seed), 1e3)
    b = 1e3 * np.stack([a[1::2], -a[::2]], axis=1).ravel()

    def forward(a, c):
        return a @ b + c, None

    def backward(dy, cache):
        return [dy * b, dy * np.ones(1)]

    assert abs(a @ b) < 1e-12 * (np.abs(a) @ np.abs(b))
    inputs = {"a": a, "c": np.array([0.5])}
    check_gradients(forward, backward, inputs, seed=seed).raise_if_failed()
    wrong = check_gradients(forward, lambda dy, c: [1.0001 * dy * b, dy * np.ones(1)], inputs, seed=seed)
    assert [entry.verdict for entry in wrong.entries] == ["FAILED", "passed"]


def test_a_gradient_that_is_not_finite_does_not_spoil_the_others():
    def backward(dy, cache):
        return np.full(2, np.inf), dy

    entries = check_gradients(lambda a, b: (a + b, None), backward, [SMALL, SMALL]).entries
    assert [entry.verdict for entry in entries] == ["FAILED", "passed"]


@pytest.mark.parametrize("distance", [0.0, 1e-8, -1e-7])
def test_a_kink_near_a_point_is_seen_and_a_smooth_function_has_none(distance):
    one = np.ones(())
    assert kink_near(lambda t: np.asarray(abs(t - distance)), one)
    assert kink_near(lambda t: np.asarray(1e3 + 1e-3 * (t > distance)), one)
    for smooth in (np.sin, np.exp, lambda t: 1e6 * t, lambda t: np.sin(1e3 * t), lambda t: 0 * t):
        assert not kink_near(lambda t, smooth=smooth: np.asarray(smooth(1 + t)), one)
