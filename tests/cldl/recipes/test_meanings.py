"""Every value of every kind of spec has its meaning in a docstring, and --help tells it."""

import pytest

from cldl.recipes.meanings import meanings
from cldl.recipes.spec import KINDS, leaf_types

SPECS = [spec for kinds in KINDS.values() for spec in kinds.values()]


@pytest.mark.parametrize("spec", SPECS, ids=[spec.__name__ for spec in SPECS])
def test_every_value_has_a_meaning(spec):
    missing = set(leaf_types(spec)) - set(meanings(spec))
    assert not missing
    assert all(len(meanings(spec)[leaf]) > 5 for leaf in leaf_types(spec))


class Base:
    """Words.

    one, two -- a number
                of two lines
    three    -- of the base

    No meaning -- is here.
    """


class Special(Base):
    """Others.

    three -- its own
    """


def test_a_meaning_goes_on_in_indented_lines_and_a_class_has_its_own_words():
    assert meanings(Special) == {"one": "a number of two lines", "two": "a number of two lines", "three": "its own"}
