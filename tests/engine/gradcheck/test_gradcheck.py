"""The checker itself: it accepts right gradients, rejects wrong ones, and says so when it cannot judge."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.gradcheck import TOLERANCES, GradientError, KinkError, check_gradients, grid
from engine.gradcheck.differences import central, taylor_order, third_difference
from engine.initialisers import constant
from engine.parameters import Parameter, cast
from engine.random import Key
from tests.strategies import seeds

METHODS = list(TOLERANCES)
X = grid((3, 4), Key(1))


def forward(x):
    """y = x^3 + sin x: smooth, and it takes complex numbers."""
    return x**3 + np.sin(x), x


def backward(dy, x):
    return dy * (3 * x**2 + np.cos(x))


@pytest.mark.parametrize("method", METHODS)
def test_a_right_gradient_passes(method):
    report = check_gradients(forward, backward, [X], method=method)
    report.raise_if_failed()
    assert report.passed
    assert report.worst.name == "x"
    assert report.worst.error_over_tolerance < 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.01, 1.0001])
def test_a_wrong_gradient_fails(method, factor):
    report = check_gradients(forward, lambda dy, x: factor * backward(dy, x), [X], method=method)
    assert not report.passed
    with pytest.raises(GradientError, match=r"analytic.*numeric"):
        report.raise_if_failed()


@pytest.mark.parametrize("method", ["elementwise", "complex"])
def test_one_wrong_element_of_many_is_found_and_named(method):
    def slightly_wrong(dy, x):
        dx = backward(dy, x)
        dx[2, 1] *= 1.01
        return dx

    entry = check_gradients(forward, slightly_wrong, [X], method=method).worst
    assert entry.index == (2, 1)
    assert entry.analytic == pytest.approx(1.01 * entry.numeric, rel=1e-7)
    assert (entry.errors_over_tolerance > 1).sum() == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_gradient_that_is_not_finite_fails(method):
    assert not check_gradients(forward, lambda dy, x: dy * np.nan, [X], method=method).passed


@given(rows=st.integers(1, 3), columns=st.integers(1, 4), seed=seeds, method=st.sampled_from(METHODS))
def test_several_inputs_and_numbers_as_outputs(rows, columns, seed, method):
    a, b = grid((rows, columns), Key(seed)), grid((columns, rows), Key(seed + 1))

    def product(a, b):
        return ((a * b.T).sum(), (a, b))

    def derivative(dy, cache):
        return [dy * cache[1].T, dy * cache[0].T]

    report = check_gradients(product, derivative, {"a": a, "b": b}, method=method, seed=seed)
    report.raise_if_failed()
    assert [e.name for e in report.entries] == ["a", "b"]


@pytest.mark.parametrize("method", METHODS)
def test_an_array_without_elements_has_nothing_to_check(method):
    report = check_gradients(lambda x: (2 * x, x), lambda dy, x: 2 * dy, [X[:0]], method=method)
    report.raise_if_failed()
    assert report.entries == []


@pytest.mark.parametrize("method", METHODS)
def test_parameters_are_moved_named_and_put_back(method):
    w, unnamed, twin = (Parameter((4,), constant(0.5), name=name) for name in ("w", "", "w"))
    parameters = [w, unnamed, twin]
    cast(parameters, np.float64)
    values = [p.value for p in parameters]

    def run(x):
        return (x * w.value + unnamed.value * twin.value, x)

    def back(dy, x):
        return [dy * w.value, *(np.sum(dy * f, 0) for f in (x, twin.value, unnamed.value))]

    report = check_gradients(run, back, [X], parameters, method=method)
    report.raise_if_failed()
    assert [e.name for e in report.entries] == ["x", "w", "parameter 1", "2.w"]
    assert all(p.value is value and (value == 0.5).all() for p, value in zip(parameters, values, strict=True))


def test_the_upstream_gradient_is_random_unless_given():
    """The true gradient of a softmax for an upstream gradient of ones is 0, so zeros would pass."""

    def softmax(x):
        P = np.exp(x - x.max(1, keepdims=True))
        P /= P.sum(1, keepdims=True)
        return P, P

    def zeros(dy, P):
        return np.zeros_like(P)

    assert check_gradients(softmax, zeros, [X], dy=np.ones_like(X)).passed
    assert not check_gradients(softmax, zeros, [X]).passed

    def right(dy, P):
        return P * (dy - (dy * P).sum(1, keepdims=True))

    assert check_gradients(softmax, right, [X]).passed


relu = (lambda x: (np.maximum(x, 0), x)), (lambda dy, x: dy * (x > 0))


@pytest.mark.parametrize("method", ["elementwise", "directional", "taylor"])
def test_a_kink_at_the_input_is_refused_not_judged(method):
    x = np.array([1.0, 0.0, -2.0])
    report = check_gradients(*relu, [x], method=method)
    assert not report.passed
    if method == "elementwise":
        assert report.worst.index == (1,)
    if method != "taylor":
        assert report.worst.verdict == "kink"
        with pytest.raises(KinkError, match="kink"):
            report.raise_if_failed()


@given(distance=st.floats(1e-7, 1e-5), side=st.sampled_from([-1, 1]), method=st.sampled_from(["elementwise", "taylor"]))
def test_a_kink_nearer_than_the_step_is_stepped_around(distance, side, method):
    x = np.array([1.0, side * distance, -2.0])
    check_gradients(*relu, [x], method=method).raise_if_failed()
    assert not check_gradients(relu[0], lambda dy, x: 1.01 * dy * (x > 0) + 0.01 * dy, [x], method=method).passed


@pytest.mark.parametrize("shift", [0.0, 0.2, -0.5, 0.9])
def test_the_five_points_see_a_kink_wherever_it_lies(shift):
    h, one = 1e-5, np.ones(())

    def kinked(t):
        return np.asarray(abs(t - shift * h))

    truth = 1.0 if shift < 0 else -1.0
    error = abs(central(kinked, one, h)[0] - truth)
    assert third_difference(kinked, one, h) >= 0.9 * error
    assert third_difference(lambda t: np.asarray(np.sin(1 + t)), one, h) < 1e-9


def test_the_taylor_remainder_has_order_two_only_for_the_right_slope():
    def line(t):
        return np.asarray(np.exp(1 + t))

    def order(slope):
        return taylor_order(line, np.ones(()), slope)[0]

    assert order(np.e) == pytest.approx(2, abs=0.01)
    assert order(1.01 * np.e) == pytest.approx(1, abs=0.05)
    assert taylor_order(lambda t: np.asarray(3.0 * t), np.ones(()), 3.0)[0] == np.inf


def test_the_line_of_python_in_the_report_repeats_the_element():
    def wrong(dy, x):
        return 1.01 * backward(dy, x)

    report = check_gradients(forward, wrong, [X], seed=5)
    line = report.repeat(report.worst)
    names = {"check_gradients": check_gradients, "forward": forward, "backward": wrong, "inputs": [X], "parameters": []}
    with pytest.raises(GradientError, match=re.escape(f"{report.worst.analytic:.12g}")):
        eval(line, names)
    assert line in str(report)
    again = check_gradients(forward, wrong, [X], seed=5, only=("x", (0, 2)))
    assert again.worst.index == (0, 2)
    assert np.count_nonzero(again.worst.errors_over_tolerance) == 1


@pytest.mark.parametrize("method", METHODS)
def test_the_report_prints_plots_and_turns_into_json(method):
    report = check_gradients(forward, backward, [X], method=method)
    for word in ("analytic", "numeric", "passed", method):
        assert word in str(report)
    data = json.loads(json.dumps(report.to_dict()))
    assert data["passed"]
    assert data["entries"][0]["name"] == "x"
    figure = report.plot()
    left, right = figure.axes[:2]
    assert left.get_title().startswith("x")
    errors = right.lines[0].get_ydata()
    valley = int(np.argmin(errors))
    assert errors[0] > 10 * errors[valley]
    assert errors[-1] > 10 * errors[valley]


def test_a_number_can_be_checked_and_plotted():
    report = check_gradients(lambda x: (x**2, x), lambda dy, x: dy * 2 * x, [np.array(1.5)])
    report.raise_if_failed()
    assert report.plot() is not None


def test_own_tolerances_take_the_place_of_the_table():
    def slightly(dy, x):
        return (1 + 1e-5) * backward(dy, x)

    assert not check_gradients(forward, slightly, [X]).passed
    assert check_gradients(forward, slightly, [X], rtol=1e-3).passed
    assert check_gradients(forward, slightly, [X], atol=1.0).passed
    assert check_gradients(lambda x: (2 * x, x), lambda dy, x: 2 * dy, [X], rtol=0, atol=1e-7).passed
    assert not check_gradients(lambda x: (2 * x, x), lambda dy, x: 2 * dy + 1e-300, [0 * X], rtol=0, atol=0).passed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": [X.astype(np.float32)]}, "x is float32; differences need arrays of float64"),
        ({"inputs": [[1.0, 2.0]]}, "x is list"),
        ({"parameters": [Parameter((2,), constant(1), name="w")]}, "w is float32"),
        ({"method": "guess"}, "method is 'guess'; one of elementwise"),
        ({"only": ("z", (0,))}, "no array 'z' to check; there are x"),
        ({"dy": np.ones(2)}, r"dy has shape \(2,\)"),
        ({"method": "complex", "forward": lambda x: (np.abs(x), x)}, "lost the imaginary part"),
    ],
)
def test_what_cannot_be_checked_is_refused_with_the_reason(change, message):
    arguments = {"forward": forward, "backward": backward, "inputs": [X], **change}
    with pytest.raises(UserError, match=message):
        check_gradients(**arguments)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((forward, lambda dy, x: [dy, dy]), "backward gave 2 gradients"),
        ((forward, lambda dy, x: dy[0]), r"has shape \(4,\); that of x is \(3, 4\)"),
        ((forward, lambda dy, x: None), r"has shape \(\)"),
        ((lambda x: (x / 0 * 0, x), backward), "not finite"),
    ],
)
def test_what_is_no_gradient_at_all_is_an_error(pair, message):
    with np.errstate(all="ignore"), pytest.raises(GradientError, match=message):
        check_gradients(*pair, [X])


@given(shape=st.lists(st.integers(0, 5), max_size=3), seed=seeds)
def test_the_grid_has_no_ties_and_no_zero(shape, seed):
    x = grid(tuple(shape), Key(seed))
    assert x.shape == tuple(shape)
    assert len(np.unique(x)) == x.size
    assert (np.abs(x) < 2).all()
    assert np.abs(x).min(initial=np.inf) >= 1 / (x.size + 1)
