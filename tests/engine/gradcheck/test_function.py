"""What is given to the checker: a forward that is a function of arrays of float64, or a sentence that says what is missing."""

import re

import numpy as np
import pytest

from engine.errors import UserError
from engine.gradcheck import GradientError, check_gradients, check_layer
from tests.correct.gallery import Elementwise

X = np.array([0.5, 2.0])


def test_an_array_by_itself_is_the_only_input():
    report = check_gradients(lambda x: (2 * x, None), lambda dy, cache: 2 * dy, np.ones(3))
    report.raise_if_failed()
    assert [entry.name for entry in report.entries] == ["x"]
    assert not check_gradients(lambda x: (2 * x, None), lambda dy, cache: dy, np.ones(3)).passed


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_integers_have_no_gradient_and_the_sentence_says_what_to_do_with_them(dtype):
    with pytest.raises(UserError) as refused:
        check_gradients(lambda x, k: (x * k, k), lambda dy, k: [dy * k, dy], [X, np.ones(2, dtype)])
    assert str(refused.value) == (
        f"x1 is {np.dtype(dtype)}, and nothing moves an integer by a small step: give it as float64, or, if it is a label or an "
        "index, let forward take it from outside (lambda x: forward(x, labels))."
    )


def shift(x):
    x += 1
    return x * x, x


@pytest.mark.parametrize(("inputs", "name"), [([X], "x"), ([X, X], "x1"), ({"a": X}, "a")])
def test_a_forward_that_writes_to_its_input_is_named(inputs, name):
    def forward(*xs):
        return shift(xs[-1])

    with pytest.raises(GradientError, match=f"forward changed {name}: it must leave its inputs as they are"):
        check_gradients(forward, lambda dy, x: [2 * x * dy] * len(inputs), inputs)
    assert X.tolist() == [0.5, 2.0]


def test_a_backward_that_writes_to_the_input_is_named_and_a_wrong_shape_before_it():
    def backward(dy, x):
        x *= 2 * dy
        return x

    with pytest.raises(GradientError, match="backward changed x: it must leave"):
        check_gradients(lambda x: (x * x, x), backward, [X])
    with pytest.raises(GradientError, match="the gradient of x has shape"):
        check_gradients(lambda x: (x * x, x), lambda dy, x: backward(dy, x)[:1], [X])


class MaskOfTheWeather(Elementwise):
    """A fresh mask in each call, from a state and not from the key."""

    state = np.random.default_rng(0)

    def forward(self, x, ctx):
        mask = self.state.random(x.shape) < 0.5
        return x * mask, mask

    def backward(self, dy, mask, ctx, need_dx=True):
        return dy * mask


def test_a_forward_that_gives_another_output_each_time_is_no_function():
    sentence = "forward gives another y for the same input, so there is no gradient to check"
    layer = MaskOfTheWeather()
    with pytest.raises(GradientError, match=sentence):
        check_gradients(lambda x: layer.forward(x, None), lambda dy, mask: dy * mask, np.ones((9, 9)))
    report = check_layer(layer, (9, 9))
    reasons = {r.name: r.message for r in report.results}
    assert reasons["gradient_of_input"].startswith(sentence)
    assert "repeatable" in report.failed


def test_rounding_in_another_order_is_no_other_output():
    """As of a sum that several threads share."""
    calls = []

    def forward(x):
        calls.append(1)
        return x * (1 + len(calls) % 2 * 2.3e-16), x

    assert check_gradients(forward, lambda dy, x: dy, [X], method="directional").passed


@pytest.mark.parametrize("terminal", ["1", ""])
def test_a_report_is_plain_text_on_a_terminal_too(monkeypatch, terminal):
    monkeypatch.setenv("FORCE_COLOR", terminal)
    layer = str(check_layer(MaskOfTheWeather(), (3,)))
    pair = str(check_gradients(lambda x: (x * x, x), lambda dy, x: dy, {"[bold]a[/bold]": X}))
    assert "\x1b" not in layer + pair
    assert re.search(r"x\[\d|repeatable +inf +FAILED", layer)
    assert "[bold]a[/bold]" in pair
