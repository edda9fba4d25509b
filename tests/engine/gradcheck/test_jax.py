"""The checker on functions of JAX's arrays: hand-written rules pass where they are right, and no other ones."""

import numpy as np
import pytest

from engine.errors import UserError
from engine.gradcheck import GradientError, grid
from engine.random import Key

jax = pytest.importorskip("jax")

from engine.gradcheck.jax import check_function  # noqa: E402 -- it imports JAX

X, Y = (grid((3, 4), Key(seed)) for seed in (1, 2))


@pytest.fixture(autouse=True)
def in_64_bits():
    with jax.enable_x64(True):
        yield


def products(factor):
    """(x y, sum of x^2), whose rule gives `factor` times the gradient of x."""
    function = jax.custom_vjp(lambda x, y: (x * y, (x * x).sum()))

    def backward(cache, dy):
        (x, y), (dproduct, dsum) = cache, dy
        return factor * (dproduct * y + 2 * x * dsum), dproduct * x

    function.defvjp(lambda x, y: ((x * y, (x * x).sum()), (x, y)), backward)
    return function


@pytest.mark.parametrize("method", ["elementwise", "directional", "taylor"])
def test_two_inputs_and_two_outputs_of_a_hand_written_rule(method):
    report = check_function(products(1.0), [X, Y], method=method)
    report.raise_if_failed()
    assert [entry.name for entry in report.entries] == ["x0", "x1"]
    wrong = check_function(products(1.001), {"x": X, "y": Y}, method=method)
    assert wrong.worst.name == "x"
    with pytest.raises(GradientError, match=r"To repeat: check_function\(function, inputs, method="):
        wrong.raise_if_failed()


def test_integers_are_handed_on_and_outputs_of_integers_are_left_out():
    def picked(scores, labels):
        return jax.numpy.take_along_axis(scores, labels[:, None], 1), scores.argmax(1)

    check_function(picked, [X, np.array([0, 3, 1])]).raise_if_failed()


def test_coarse_arrays_are_taken_as_float64_and_a_coarse_jax_is_refused():
    check_function(jax.jit(lambda x: x**3), X.astype(np.float32)).raise_if_failed()
    check_function(lambda x: x**3, jax.numpy.asarray(X, "bfloat16")).raise_if_failed()
    with jax.enable_x64(False), pytest.raises(UserError, match="in 32 bits"):
        check_function(lambda x: x**3, X)
