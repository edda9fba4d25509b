"""The three doors to the checks of a layer: one call, a generator, a pytest decorator; and layers with several inputs."""

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
from engine.gradcheck.checks import CHECKS
from engine.gradcheck.compare import agree
from engine.gradcheck.inputs import MARGIN
from engine.random import Key
from tests.broken.layers.elementwise import MaskDrawnAgain
from tests.broken.layers.linear import OnePerCentTooMuch, SetsInsteadOfAdds
from tests.reference import Larger, Linear, MaxPool2d, Product, ReLU, Skip, WeightedSum


def test_one_call_runs_every_check_and_counts_them():
    report = check_layer(Linear(), (3,))
    assert report.ran == len(CHECKS) >= 16
    assert report.passed
    assert report.failed == []
    assert 0 < report.relative < 1e-7
    assert f"{report.ran} checks ran, 0 failed" in str(report)
    report.raise_if_failed()


def test_the_report_names_the_checks_that_a_broken_layer_fails():
    report = check_layer(SetsInsteadOfAdds(), (3,))
    assert report.failed == ["accumulates", "reentrant"]
    assert "16 checks ran, 2 failed" in str(report)
    assert "accumulates: dweight" in str(report)
    with pytest.raises(GradientError, match="fails 2 of 16 checks\naccumulates: dweight"):
        report.raise_if_failed()


def test_a_report_is_true_only_where_all_passed_so_that_it_can_be_asserted():
    assert check_layer(Linear(), (3,))
    assert not check_layer(SetsInsteadOfAdds(), (3,))
    assert check_gradients(*layer_pair(Linear(), (3,)))
    assert not check_gradients(*layer_pair(OnePerCentTooMuch(), (3,)))
    with pytest.raises(AssertionError, match="SetsInsteadOfAdds: 16 checks ran, 2 failed"):
        assert check_layer(SetsInsteadOfAdds(), (3,))


def test_the_table_says_by_how_much_a_check_fails():
    results = check_layer(OnePerCentTooMuch(), (3,), checks=["gradient_of_input", "adjoint"]).results
    report = check_gradients(*layer_pair(OnePerCentTooMuch(), (3,)))
    assert results[0].error_over_tolerance == report.worst.error_over_tolerance > 1000
    (result,) = check_layer(SetsInsteadOfAdds(), (3,), checks=["accumulates"]).results
    assert 1 < result.error_over_tolerance < float("inf")


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
    assert list(checks) == list(CHECKS)
    assert all(check().passed for check in checks.values())


class Plain:
    """y = x, without a representation of its own."""

    def forward(self, x, ctx):
        return x.copy(), None

    def backward(self, dy, cache, ctx, need_dx=True):
        return dy.copy()

    def parameters(self):
        return []


@parametrize_layers([(Linear(), (3,)), (ReLU(), (2, 2, 1))])
def test_the_decorator_calls_with_a_check(check):
    check()


def test_the_decorators_check_raises_for_a_broken_layer():
    mark = parametrize_layers([(OnePerCentTooMuch(), (3,))])
    ids = {parameter.id: parameter.values[0] for parameter in mark.args[1]}
    with pytest.raises(GradientError, match="gradient_of_input"):
        ids["OnePerCentTooMuch-gradient_of_input"]()


def test_tests_have_the_same_names_in_every_process():
    """An address in a name would be another one in each worker of pytest-xdist, and for `pytest --lf`."""
    ids = [param.id for param in parametrize_layers([(OnePerCentTooMuch(), (3,)), (Plain(), (3,))]).args[1]]
    assert ids[0] == f"{OnePerCentTooMuch()!r}-gradient_of_input"
    assert ids[-1].startswith("Plain-")
    assert not [name for name in ids if "0x" in name]
    assert str(check_layer(Plain(), (3,))).startswith("Plain: ")


@pytest.mark.parametrize("method", ["elementwise", "directional", "taylor", "complex"])
def test_a_layer_is_a_pair_for_every_method(method):
    check_gradients(*layer_pair(Linear(), (3,)), method=method).raise_if_failed()


def test_the_layer_itself_is_left_alone():
    layer = Linear()
    before = layer.weight.value
    check_layer(layer, (3,))
    assert layer.weight.value is before
    assert layer.weight.dtype == np.float32


def test_a_layer_that_crashes_fails_with_the_error():
    class Crashes(ReLU):
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
    """Its cache is a mapping; its backward writes into it and returns dx in the wrong shape."""

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


def test_arrays_of_different_shapes_do_not_agree():
    with pytest.raises(GradientError, match=r"dx has shape \(2,\); expected \(3,\)"):
        agree("dx", np.zeros(2), np.zeros(3), 1e-10)
    assert agree("dx", np.zeros(2), np.zeros(2), 1e-10) == 0
    with pytest.raises(GradientError, match=r"dx\[1\] is nan"):
        agree("dx", np.array([1.0, np.nan]), np.ones(2), 1e-10)
    with pytest.raises(GradientError):
        agree("dx", np.array([0.0, 1e-300]), np.zeros(2), 1e-10)


def test_a_layer_with_two_inputs_is_checked_at_both():
    report = check_layer(Skip(), [(2,), (3,)])
    report.raise_if_failed()
    assert report.ran == len(CHECKS)
    forward, backward, inputs, parameters = layer_pair(Skip(), [(2,), (3,)], samples=4)
    assert {name: x.shape for name, x in inputs.items()} == {"x1": (4, 2), "x2": (4, 3)}
    found = check_gradients(forward, backward, inputs, parameters)
    assert [entry.name for entry in found.entries] == ["x1", "x2", "weight"]


@pytest.mark.parametrize("shapes", [[(2, 3), (2, 3)], ((2, 3), (2, 3))], ids=["list", "tuple"])
def test_shapes_may_be_a_list_or_a_tuple(shapes):
    check_layer(WeightedSum(), shapes, checks=["shape_known", "gradient_of_input"]).raise_if_failed()


class HalfTooMuch(WeightedSum):
    def reference_backward(self, dy, cache):
        return dy.copy(), dy.copy()


def test_the_second_input_is_named_and_the_line_repeats_its_element():
    (result,) = check_layer(HalfTooMuch(), [(2,), (2,)], seed=3, checks=["gradient_of_input"]).results
    assert "the gradient of x2[" in result.message
    line = result.message.split("To repeat: ")[1]
    assert line.startswith("check_gradients(*layer_pair(layer, ((2,), (2,)), samples=3, seed=3")
    with pytest.raises(GradientError, match=r"the gradient of x2\["):
        eval(line, {"check_gradients": check_gradients, "layer_pair": layer_pair, "layer": HalfTooMuch()})


class OneGradient(Product):
    def backward(self, dy, cache, ctx, need_dx=True):
        return super().backward(dy, cache, ctx)[0]


class ThreeGradients(Product):
    def backward(self, dy, cache, ctx, need_dx=True):
        return *super().backward(dy, cache, ctx), dy


@pytest.mark.parametrize(("layer", "given"), [(OneGradient(), "ndarray"), (ThreeGradients(), "a tuple of 3")])
def test_backward_must_give_a_tuple_with_a_gradient_for_each_input(layer, given):
    message = f"backward gave {given}; a tuple of 2 gradients is needed, one for each input."
    results = {r.name: r.message for r in check_layer(layer, [(2,), (2,)]).results if not r.passed}
    assert set(results.values()) == {message}
    assert {"gradient_of_input", "repeatable", "shape_known"} <= set(results)


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (Product(), (2,), "Product takes 2 inputs and was given 1 input shapes: give one shape for each input"),
        (Linear(), [(3,), (3,)], "Linear takes 1 inputs and was given 2 input shapes"),
    ],
)
def test_as_many_shapes_as_inputs_are_needed(layer, shapes, message):
    with pytest.raises(UserError, match=message):
        check_layer(layer, shapes)


def test_several_inputs_are_drawn_from_one_grid_clear_of_the_kinks_between_them():
    x1, x2 = clear_input(Larger(), [(3, 4), (3, 4)], lambda training: Context(training=training), Key(0))
    assert x1.shape == x2.shape == (3, 4)
    assert len(np.unique([x1, x2])) == 24
    assert np.abs(x1 - x2).min() >= 2 * MARGIN


@pytest.mark.parametrize(
    "shape", [4, 2.5, None, "abc", [4, 4, 3], (2.5,), (0, 3), (-1,), (True,), [], [(2,), (0,)]], ids=repr
)
def test_what_is_no_shape_is_refused(shape):
    with pytest.raises(UserError) as refusal:
        check_layer(ReLU(), shape)
    assert str(refusal.value) == (
        f"the input shape is {shape!r}; a tuple of whole numbers of 1 or more, such as (4, 4, 3), is needed, or a list of such "
        "tuples."
    )


@pytest.mark.parametrize("domain", [3, "ab", None, (1.0,), (0, 1, 2), ("a", "b"), (1, 1), (0.0, np.inf)], ids=repr)
def test_what_is_no_domain_is_refused(domain):
    with pytest.raises(UserError, match=r"the domain is .*; \(low, high\) is needed"):
        check_layer(ReLU(), (3,), domain=domain)


def test_what_is_no_layer_is_refused():
    with pytest.raises(UserError, match=r"^ReLU is a class: give an object of it, such as ReLU\(\)\.$"):
        check_layer(ReLU, (3,))
    with pytest.raises(
        UserError, match=r"is no layer, as it has no forward, backward, parameters: see layers\.layer\.$"
    ):
        check_layer(np.tanh, (3,))


@pytest.mark.parametrize("samples", [0, -1, 2.5, True, None], ids=repr)
def test_what_is_no_number_of_samples_or_no_seed_is_refused(samples):
    with pytest.raises(UserError, match=f"samples is {samples!r}; a whole number of 1 or more is needed"):
        check_layer(ReLU(), (3,), samples=samples)
    if not isinstance(samples, int) or isinstance(samples, bool):
        with pytest.raises(UserError, match=f"the seed is {samples!r}; a whole number is needed"):
            check_layer(ReLU(), (3,), seed=samples)
