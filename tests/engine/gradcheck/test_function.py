"""What is given to the checker: a forward that is a function of arrays of float64, or a sentence that says what is missing."""

import html
import re

import numpy as np
import pytest

from engine.errors import UserError
from engine.gradcheck import GradientError, check_gradients, check_layer, check_loss
from tests.correct.gallery import Elementwise

X = np.array([0.5, 2.0])


def test_an_array_by_itself_is_the_only_input():
    report = check_gradients(lambda x: (2 * x, None), lambda dy, cache: 2 * dy, np.ones(3))
    report.raise_if_failed()
    assert [entry.name for entry in report.entries] == ["x"]
    assert not check_gradients(lambda x: (2 * x, None), lambda dy, cache: dy, np.ones(3)).passed


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_integers_are_handed_on_and_have_no_gradient(dtype):
    def forward(x, k):
        assert k.dtype == dtype
        return x * k, k

    X1 = np.array([1, 0], dtype)
    report = check_gradients(forward, lambda dy, k: [dy * k, None], [X, X1])
    report.raise_if_failed()
    assert [entry.name for entry in report.entries] == ["x0"]
    with pytest.raises(GradientError) as refused:
        check_gradients(forward, lambda dy, k: [dy * k, dy], [X, X1])
    assert str(refused.value) == (
        f"backward gave a gradient of x1, which is {np.dtype(dtype)}, and nothing moves an integer by a small step: give it as "
        "float64, or, if it is a label or an index, None as its gradient."
    )
    with pytest.raises(UserError, match="there is no array 'x1' to check; there are x0"):
        check_gradients(forward, lambda dy, k: [dy * k, None], [X, X1], only=("x1", (0,)))


def test_integers_alone_leave_nothing_to_check_and_the_sentence_says_so():
    with pytest.raises(UserError, match="x are integers, so there is no gradient to check: give what moves as float64"):
        check_gradients(lambda x: (2 * x, None), lambda dy, cache: None, np.arange(3))


def two_outputs(x):
    """The sum of the squares, and the double of x."""
    return ((x * x).sum(), 2 * x), x


def backward_of_two(dy, x):
    dsum, ddouble = dy
    return 2 * x * dsum + 2 * ddouble


@pytest.mark.parametrize("method", ["elementwise", "directional", "taylor", "complex"])
def test_several_outputs_are_a_tuple_and_so_is_their_upstream_gradient(method):
    check_gradients(two_outputs, backward_of_two, [X], method=method).raise_if_failed()
    for wrong in (lambda dy, x: 2 * x * dy[0], lambda dy, x: 2 * dy[1]):
        assert not check_gradients(two_outputs, wrong, [X], method=method).passed


def test_the_upstream_gradient_of_several_outputs_can_be_given():
    seen = []

    def backward(dy, x):
        seen.append(dy)
        return backward_of_two(dy, x)

    check_gradients(two_outputs, backward, [X], dy=(3.0, np.array([4.0, 5.0]))).raise_if_failed()
    assert seen[0][0] == 3.0
    assert seen[0][1].tolist() == [4.0, 5.0]
    with pytest.raises(UserError, match=r"dy has shapes .* and y .*: give dy those of y"):
        check_gradients(two_outputs, backward, [X], dy=(3.0, np.array([4.0])))


@pytest.mark.parametrize("factor", [1.0, 1.001])
def test_a_loss_is_checked_as_two_functions(factor):
    report = check_loss(lambda x: float((x**3).sum()), lambda x: factor * 3 * x**2, X)
    assert report.passed == (factor == 1)
    report = check_loss(lambda x, k: (x * k).sum(), lambda x, k: (factor * k, None), {"x": X, "k": np.array([1, 0])})
    assert report.passed == (factor == 1)
    assert report.repeat(report.worst).startswith(
        "check_loss(f, grad, inputs, method='elementwise', seed=0, only=('x', ("
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


class WithoutCache(MaskOfTheWeather):
    def forward(self, x, ctx):
        return 2 * x


@pytest.mark.parametrize(("result", "given"), [(None, "one NoneType"), (X, "one ndarray"), ((X, X, X), "3 values")])
def test_a_forward_that_gives_no_pair_is_refused(result, given):
    with pytest.raises(GradientError, match=f"forward gave {given}; two are needed: return y, cache"):
        check_gradients(lambda x: result, lambda dy, cache: dy, [X])
    assert "every check: forward gave one ndarray; two are needed" in str(check_layer(WithoutCache(), (2,)))


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


def test_a_notebook_shows_a_report_in_columns():
    report = check_gradients(lambda x: (x * x, x), lambda dy, x: dy, {"<b>": X})
    assert report._repr_html_() == f"<pre>{html.escape(str(report))}</pre>"
    assert "&lt;b&gt;" in report._repr_html_()
    assert check_layer(MaskOfTheWeather(), (3,))._repr_html_().startswith("<pre>")
