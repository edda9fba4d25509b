"""Checks of what was read from a file: what they take, and the predicate where they do not."""

from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.io.fields import by_name, choice, fields, list_of, number, optional, scalar, text, whole

CHECKS = {  # check: what it takes, and what it does not
    whole(1, 3): ([1, 3], [0, 4, 1.0, True, "1", None, 10**300]),
    number(0, 1): ([0, 1, 0.5], [-1e-9, 2, True, "0", None, 10**300]),
    text: (["", "é 😀"], ["a\nb", "\x1b[2J", "a" * 5000, 1, None]),
    scalar: (["a\nb", 1, 0.5], [True, None, [], {}]),
    choice(("a", "b")): (["a"], ["c", 1, [], None]),
    optional(whole(1, 3)): ([None, 1], [0]),
    list_of(text): ([[], ["a"]], [[1], "a", {}, ["a"] * 5000]),
    by_name(whole(1, 3)): ([{}, {"a": 1}], [{"a": 0}, {"a\n": 1}, [], dict.fromkeys(map(str, range(5000)), 1)]),
    fields({"a": whole(1, 3)}, {"b": text}): (
        [{"a": 1}, {"a": 1, "b": ""}],
        [{}, {"b": ""}, {"a": 1, "c": 1}, {"a": 0}, 1],
    ),
}


@pytest.mark.parametrize(("check", "values"), CHECKS.items())
def test_a_check_takes_what_it_says_and_nothing_else(check, values):
    taken, refused = values
    for value in taken:
        check(value, "it")
    for value in refused:
        with pytest.raises(UserError, match=r"^has "):
            check(value, "it")


@pytest.mark.parametrize(
    ("value", "predicate"),
    [
        ({"a": {"b": 1}}, "has no a.c"),
        ({"a": {"b": 0, "c": 1}}, "has a.b 0, expected a whole number from 1 to 3"),
        ({"a": {"b": 1, "c": 1, "d": 1}}, "has 'a.d', which this version does not know"),
        ({"a": []}, "has a [], expected an object of names and values"),
        ({}, "has no a"),
        (3, "is 3, expected an object of names and values"),
    ],
)
def test_what_is_refused_is_named_by_its_path(value, predicate):
    check = fields({"a": fields({"b": whole(1, 3), "c": whole(1, 3)})})
    with pytest.raises(UserError) as refusal:
        check(value, "")
    assert str(refusal.value) == predicate


class RefusedError(Exception):
    pass


@contextmanager
def in_one_short_line():
    try:
        yield
    except UserError as error:
        if str(error).isprintable() and len(str(error)) < 400:
            raise RefusedError from None
        raise


@given(st.recursive(st.text() | st.integers(), lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts)))
def test_a_refusal_is_short_and_stays_in_its_line(value):
    for check in (whole(1, 1), by_name(whole(1, 1)), fields({}), list_of(choice(()))):
        with suppress(RefusedError), in_one_short_line():
            check(value, "it")
