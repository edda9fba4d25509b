"""At the kink itself: the documented convention, in the real layers and in the reference."""

import pytest

from layers.maxout import Maxout
from layers.normalise import L2Normalize
from layers.pooling import MaxPool2d
from layers.relu import ReLU
from tests import reference
from tests.layers.conventions import (
    equal_pieces_go_to_the_first,
    flat_at_zero,
    no_direction_at_zero,
    ties_go_to_the_first,
)


@pytest.mark.parametrize("relu", [ReLU(), reference.ReLU()], ids=["real", "reference"])
def test_relu_is_flat_at_zero(relu):
    flat_at_zero(relu)


@pytest.mark.parametrize("pool", [MaxPool2d(2), MaxPool2d(3), reference.MaxPool2d()], ids=str)
def test_of_equal_pixels_the_first_takes_the_gradient(pool):
    ties_go_to_the_first(pool)


@pytest.mark.parametrize("maxout", [Maxout(2), Maxout(5), reference.Maxout()], ids=str)
def test_of_equal_pieces_the_first_takes_the_gradient(maxout):
    equal_pieces_go_to_the_first(maxout)


@pytest.mark.parametrize("normalize", [L2Normalize(), reference.L2Normalize()], ids=["real", "reference"])
def test_a_vector_of_length_zero_has_no_direction(normalize):
    no_direction_at_zero(normalize)
