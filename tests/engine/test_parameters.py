"""What is learned: a value of a fixed shape, and what the optimiser knows of it."""

import math
import re

import numpy as np
import pytest

from engine.errors import UserError
from engine.initialisers import constant, normal
from engine.parameters import FlatBuffer, Parameter, cast, initialise
from engine.random import Key


def test_a_parameter_learns_at_the_common_rate_and_decays_and_has_no_bound_unless_it_says_otherwise():
    p = Parameter((2,), constant(1))
    assert (p.lr_mult, p.decay_mult, p.lr_policy, p.max_norm, p.name) == (1, 1, None, math.inf, "")
    assert p.value.tolist() == [1, 1]
    assert p.dtype == np.float32


def test_a_parameter_is_shown_by_its_name_shape_and_precision():
    assert repr(Parameter((2, 3), constant(1), name="conv.weight")) == "Parameter(conv.weight, (2, 3), float32)"
    assert repr(Parameter((2,), constant(1))) == "Parameter(?, (2,), float32)"


@pytest.mark.parametrize(
    ("value", "given"),
    [(np.zeros((3, 2)), "an array of shape (3, 2)"), ([[1, 2, 3]], "a list"), (1.0, "a float")],
    ids=["shape", "list", "float"],
)
def test_a_value_that_is_no_array_of_the_shape_is_refused_and_the_old_one_stays(value, given):
    p = Parameter((2, 3), constant(1), name="w")
    sentence = f"the parameter 'w' was given {given}; an array of shape (2, 3) is needed."
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
        p.value = value
    assert np.array_equal(p.value, np.ones((2, 3)))


def test_a_value_in_another_memory_order_is_copied_into_c_order():
    p, value = Parameter((2, 3), constant(1)), np.arange(6.0).reshape(3, 2).T
    p.value = value
    assert p.value.flags.c_contiguous
    assert np.array_equal(p.value, value)


def test_the_version_grows_with_every_change_that_the_parameter_is_told_of():
    p, versions = Parameter((2,), constant(1)), []
    for change in (p.touch, lambda: setattr(p, "value", np.ones(2)), lambda: initialise([p], Key(0)), p.touch):
        change()
        versions.append(p.version)
    assert versions == sorted(set(versions))


def test_every_parameter_is_drawn_from_a_key_of_its_own_and_keeps_its_precision():
    parameters = [Parameter((4,), normal(1)) for _ in range(3)]
    cast(parameters, np.float64)
    values = [p.value for p in parameters]
    initialise(parameters, Key(5))
    assert all(p.value is value for p, value in zip(parameters, values, strict=True))
    for index, value in enumerate(values):
        assert np.array_equal(value, Key(5).fold(index).normal((4,)))


def test_the_arrays_of_a_flat_buffer_lie_one_after_another_with_zeros_between_them():
    parameters = [Parameter(shape, constant(1)) for shape in ((3, 4), (17,), (16,))]
    flat = FlatBuffer.holding(parameters)
    assert flat.starts.tolist() == [0, 16, 48, 64]
    assert flat.buffer.tolist() == [1.0] * 12 + [0.0] * 4 + [1.0] * 17 + [0.0] * 15 + [1.0] * 16
    assert FlatBuffer([]).buffer.shape == (0,)


def test_a_value_is_drawn_when_it_is_first_read_and_only_once():
    drawn = []

    def initialiser(key, shape):
        drawn.append(key.word)
        return key.normal(shape)

    p, other = Parameter((2, 3), initialiser), Parameter((4,), initialiser)
    assert (p.size, p.dtype, repr(p)) == (6, np.float32, "Parameter(?, (2, 3), float32)")
    assert not p.is_drawn
    assert p.value is p.value
    assert np.array_equal(p.value, Key(0).normal((2, 3)).astype(np.float32))
    initialise([other], Key(5))
    assert np.array_equal(other.value, Key(5).fold(0).normal((4,)).astype(np.float32))
    assert (p.is_drawn, other.is_drawn) == (True, True)
    assert drawn == [Key(0).word, Key(5).fold(0).word]
