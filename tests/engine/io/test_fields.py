"""Checks of what was read from a file: what they take, and the predicate where they do not."""

from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.io.fields import (
    MAX_ITEMS,
    MAX_SHOWN,
    MAX_TEXT,
    anything,
    by_name,
    choice,
    fields,
    list_of,
    number,
    optional,
    scalar,
    shown,
    text,
    whole,
)

CHECKS = [  # what makes a check, what it takes, what it does not, and what it expects then
    (lambda: whole(1, 3), [1, 3], [0, 4, 1.0, True, "1", None, 10**300], "a whole number from 1 to 3"),
    (lambda: number(0, 1), [0, 1, 0.5], [-1e-9, 1 + 1e-9, True, "0", None, 10**300], "a number from 0 to 1"),
    (
        lambda: text,
        ["", "é 😀", "a" * MAX_TEXT],
        ["a\nb", "\x1b[2J", "a" * MAX_TEXT + "a", 1, None],
        "one line of text",
    ),
    (lambda: scalar, ["a\nb", 1, 0.5], [True, None, [], {}], "a text or a number"),
    (lambda: choice(("a", "b")), ["a", "b"], ["c", 1, [], None], "one of a, b"),
    (lambda: optional(whole(1, 3)), [None, 1], [0, "1"], "a whole number from 1 to 3"),
    (
        lambda: list_of(text),
        [[], ["a"] * MAX_ITEMS],
        ["a", {}, ["a"] * (MAX_ITEMS + 1)],
        "an array of at most 4,096 values",
    ),
    (
        lambda: by_name(whole(1, 3)),
        [{}, {"a": 1}, dict.fromkeys(map(str, range(MAX_ITEMS)), 1)],
        [[], dict.fromkeys(map(str, range(MAX_ITEMS + 1)), 1)],
        "an object of names and values",
    ),
    (
        lambda: fields({"a": whole(1, 3)}, {"b": text}),
        [{"a": 1}, {"a": 1, "b": ""}],
        [1, []],
        "an object of names and values",
    ),
]


@pytest.mark.parametrize(("make", "taken", "refused", "expected"), CHECKS, ids=[case[-1] for case in CHECKS])
def test_a_check_takes_what_it_says_and_nothing_else(make, taken, refused, expected):
    check = make()
    for value in taken:
        check(value, "it")
    for value in refused:
        with pytest.raises(UserError) as refusal:
            check(value, "it")
        assert str(refusal.value) == f"has it {shown(value)}, expected {expected}"


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


@pytest.mark.parametrize(
    ("value", "predicate"),
    [
        ({"b": ""}, "has no it.a"),
        ({"a": 1, "c": 1}, "has 'it.c', which this version does not know"),
        ({"a": 1, "b": 2}, "has it.b 2, expected one line of text"),
        ({"a": 0, "b": ""}, "has it.a 0, expected a whole number from 1 to 3"),
    ],
)
def test_fields_that_are_missing_unknown_or_wrong_are_named(value, predicate):
    with pytest.raises(UserError) as refusal:
        fields({"a": whole(1, 3)}, {"b": text})(value, "it")
    assert str(refusal.value) == predicate


@pytest.mark.parametrize(
    ("value", "predicate"),
    [
        ({"a": [1, 0]}, "has it.a[1] 0, expected a whole number from 1 to 3"),
        ({"a": [1], "b": 2}, "has it.b 2, expected an array of at most 4,096 values"),
        ({"a\nb": [1]}, "has the name in it 'a\\nb', expected one line of text"),
    ],
)
def test_a_part_is_named_by_its_name_or_its_index(value, predicate):
    with pytest.raises(UserError) as refusal:
        by_name(list_of(optional(whole(1, 3))))(value, "it")
    assert str(refusal.value) == predicate


LONG = "a" * MAX_SHOWN


@pytest.mark.parametrize(
    ("name", "named"),
    [("a\nb", r"'a\nb'"), (LONG[1:], LONG[1:]), (LONG, f"'{LONG[:39]}...{LONG[:19]}'")],
    ids=["of two lines", "short", "long"],
)
def test_a_name_is_told_as_it_is_or_quoted_in_one_short_line(name, named):
    with pytest.raises(UserError) as refusal:
        by_name(whole(1, 3), anything)({name: 0}, "")
    assert str(refusal.value) == f"has {named} 0, expected a whole number from 1 to 3"


def test_of_more_than_80_characters_the_beginning_and_the_end_are_shown():
    assert shown(LONG[2:]) == repr(LONG[2:])
    assert shown("b" * 78 + "c") == "'" + "b" * 39 + "..." + "b" * 18 + "c'"


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
