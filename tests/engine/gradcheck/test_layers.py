"""The three doors to the checks of a layer: one call, a generator, a pytest decorator."""

import numpy as np
import pytest

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
from engine.gradcheck.compare import agree
from engine.gradcheck.inputs import MARGIN
from engine.gradcheck.promises import PROMISES
from engine.random import Key
from tests.broken.layers import MaskDrawnAgain, OnePerCentTooMuch, SetsInsteadOfAdds
from tests.reference import Linear, MaxPool2d, PlainLayer, ReLU


def test_one_call_runs_every_check_and_counts_them():
    report = check_layer(Linear(), (3,))
    assert report.ran == len(PROMISES) >= 16
    assert report.passed
    assert report.failed == []
    assert 0 < report.relative < 1e-7
    assert f"{report.ran} checks ran, 0 failed" in str(report)
    report.raise_if_failed()


def test_a_broken_layer_is_told_which_promises_it_breaks():
    report = check_layer(SetsInsteadOfAdds(), (3,))
    assert report.failed == ["accumulates", "reentrant"]
    assert "16 checks ran, 2 failed" in str(report)
    assert "accumulates: dweight" in str(report)
    with pytest.raises(GradientError, match="fails 2 of 16 checks\naccumulates: dweight"):
        report.raise_if_failed()


def test_the_message_holds_a_line_that_repeats_the_element():
    (result,) = check_layer(OnePerCentTooMuch(), (3,), seed=3, checks=["gradient_of_input"]).results
    line = result.message.split("To repeat: ")[1]
    names = {"check_gradients": check_gradients, "layer_pair": layer_pair, "layer": OnePerCentTooMuch()}
    with pytest.raises(GradientError) as repeated:
        eval(line, names)
    assert str(repeated.value) == result.message.replace(
        "*layer_pair(layer, (3,), samples=3, seed=3, training=True)", "forward, backward, inputs, parameters"
    )


def test_a_jump_is_called_a_kink_or_a_jump():
    (result,) = check_layer(MaskDrawnAgain(), (3, 3, 1), checks=["gradient_of_input"]).results
    assert not result.passed


def test_the_generator_gives_names_and_functions():
    checks = dict(layer_checks(ReLU(), (2, 2, 1)))
    assert list(checks) == list(PROMISES)
    assert all(check().passed for check in checks.values())


@parametrize_layers([(Linear(), (3,)), (ReLU(), (2, 2, 1))])
def test_the_decorator_calls_with_a_check(check):
    check()


def test_the_decorators_check_raises_for_a_broken_layer():
    mark = parametrize_layers([(OnePerCentTooMuch(), (3,))])
    ids = {parameter.id: parameter.values[0] for parameter in mark.args[1]}
    with pytest.raises(GradientError, match="gradient_of_input"):
        ids["OnePerCentTooMuch-gradient_of_input"]()


@pytest.mark.parametrize("method", ["elementwise", "directional", "taylor", "complex"])
def test_a_layer_is_a_pair_for_every_method(method):
    check_gradients(*layer_pair(Linear(), (3,)), method=method).raise_if_failed()


def test_the_layer_itself_is_left_alone():
    layer = Linear()
    before = layer.weight.value
    check_layer(layer, (3,))
    assert layer.weight.value is before
    assert layer.weight.dtype == np.float32


def test_a_layer_that_crashes_fails_with_the_reason():
    class Crashes(PlainLayer):
        def forward(self, x, ctx):
            raise IndexError("no such pixel")

    report = check_layer(Crashes(), (3,), checks=["repeatable"])
    assert report.results[0].message == "IndexError: no such pixel"


def test_inputs_are_drawn_clear_of_the_kinks():
    pool = MaxPool2d(2, 2, 0)
    pool.kink_distance = lambda x, ctx: float(np.abs(x - 0.5).min())
    x = clear_input(pool, (2, 4, 4, 1), lambda training: Context(training=training), Key(0))
    assert np.abs(x - 0.5).min() >= MARGIN


def test_a_kink_at_the_very_numbers_of_the_grid_is_kept_clear_of_too():
    """Two numbers in another order are the same two: a narrower grid has others."""
    layer = ReLU()
    layer.kink_distance = lambda x, ctx: float(np.abs(np.abs(x) - 1).min())
    assert layer.kink_distance(grid((2, 1), Key(0)), None) == 0
    x = clear_input(layer, (2, 1), lambda training: Context(training=training), Key(0))
    assert layer.kink_distance(x, None) >= MARGIN


def test_where_no_input_is_clear_or_no_check_is_known_the_caller_is_told():
    always = ReLU()
    always.kink_distance = lambda x, ctx: 0.0
    with pytest.raises(UserError, match="none of 200 inputs of shape"):
        check_layer(always, (2,))
    with pytest.raises(UserError, match="no check 'speed'; there are gradient_of_input"):
        check_layer(ReLU(), (2,), checks=["speed"])


class Mapped(Linear):
    """Its cache is a mapping, and its output is handed back with the wrong shape of dx."""

    def forward(self, x, ctx):
        y, cache = super().forward(x, ctx)
        return y, {"x": cache, "n": len(x)}

    def backward(self, dy, cache, ctx, need_dx=True):
        dx = super().backward(dy, cache["x"], ctx)
        cache["x"][...] = 0
        return dx[:, :-1]


def test_caches_of_any_form_are_watched_and_wrong_shapes_are_named():
    results = {r.name: r for r in check_layer(Mapped(), (3,)).results}
    assert "backward changed" in results["untouched"].message
    assert "dx has shape (3, 2); x has (3, 3)" in results["shape_known"].message
    assert "the gradient of x has shape (3, 2)" in results["gradient_of_input"].message


def test_two_ways_that_give_other_shapes_do_not_agree():
    with pytest.raises(GradientError, match=r"dx has shape \(2,\); expected \(3,\)"):
        agree("dx", np.zeros(2), np.zeros(3), 1e-10)
    assert agree("dx", np.zeros(2), np.zeros(2), 1e-10) == 0
    with pytest.raises(GradientError, match=r"dx\[1\] is nan"):
        agree("dx", np.array([1.0, np.nan]), np.ones(2), 1e-10)
    with pytest.raises(GradientError):
        agree("dx", np.array([0.0, 1e-300]), np.zeros(2), 1e-10)
