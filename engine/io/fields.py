"""Validation of values read from a file: each format declares once what its values may be.

    CHECK = fields({"epoch": whole(1, 100_000), "loss": number(), "errors": by_name(number(0, 100))})
    CHECK(value, "")

A check is called with a value, as `engine.io.json` returns it, and its name. Where the value is of another type or out of range
it raises UserError with the predicate of a sentence about the file: "has errors.fused -1, expected a number from 0 to 100"
(see `engine.io.json.refusing`).
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from engine.errors import UserError

Check = Callable[[Any, str], None]

MAX_TEXT = 4096  # characters
MAX_ITEMS = 4096  # of an array or an object
MAX_SHOWN = 80  # characters, in a sentence
LARGEST = 1e300
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 2 * MAX_SHOWN
_SHORT.maxlevel = 2


def shown(value: object) -> str:
    r"""A value for a sentence: in one line, shortened where it is long.

    >>> shown("a\nb"), shown(list(range(100))), shown(1e9)
    ("'a\\nb'", '[0, 1, 2, 3, 4, 5, ...]', '1000000000.0')
    """
    own = _SHORT.repr(value)
    return own if len(own) <= MAX_SHOWN else f"{own[: MAX_SHOWN // 2]}...{own[-MAX_SHOWN // 4 :]}"


def whole(least: int, most: int) -> Check:
    """A whole number in a range."""
    return _typed(
        lambda value: type(value) is int and least <= value <= most, f"a whole number from {least:,} to {most:,}"
    )


def number(least: float = -LARGEST, most: float = LARGEST) -> Check:
    """A whole number or a float in a range."""
    return _typed(
        lambda value: type(value) in (int, float) and least <= value <= most, f"a number from {least:g} to {most:g}"
    )


def text(value: Any, name: str) -> None:
    """A line of text that a terminal shows as it is, without control characters."""
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise _wrong(name, value, "one line of text")


def scalar(value: Any, name: str) -> None:
    """A text of any length or a number."""
    if type(value) not in (str, int, float):
        raise _wrong(name, value, "a text or a number")


def anything(value: Any, name: str) -> None:
    """No check: another one follows."""


def choice(choices: Collection[str]) -> Check:
    """One of a few texts."""
    return _typed(lambda value: isinstance(value, str) and value in choices, f"one of {', '.join(choices)}")


def optional(check: Check) -> Check:
    """None, or what the check takes."""

    def check_optional(value: Any, name: str) -> None:
        if value is not None:
            check(value, name)

    return check_optional


def list_of(check: Check) -> Check:
    """An array of what the check takes."""

    def check_list(value: Any, name: str) -> None:
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            raise _wrong(name, value, f"an array of at most {MAX_ITEMS:,} values")
        for index, part in enumerate(value):
            check(part, f"{name}[{index}]")

    return check_list


def by_name(check: Check, key: Check = text) -> Check:
    """An object of what the check takes, with whatever names `key` takes."""

    def check_object(value: Any, name: str) -> None:
        for own, part in _items(value, name).items():
            key(own, f"the name in {name}")
            check(part, _below(name, own))

    return check_object


def fields(required: Mapping[str, Check], others: Mapping[str, Check] | None = None) -> Check:
    """An object with all the required names, perhaps some of the others, and no more."""
    known = {**required, **(others or {})}

    def check_fields(value: Any, name: str) -> None:
        found = _items(value, name)
        if missing := sorted(required.keys() - found.keys()):
            raise UserError(f"has no {_below(name, missing[0])}")
        if unknown := sorted(found.keys() - known.keys()):
            raise UserError(f"has {shown(_below(name, unknown[0]))}, which this version does not know")
        for key, part in found.items():
            known[key](part, _below(name, key))

    return check_fields


def _typed(holds: Callable[[Any], bool], expected: str) -> Check:
    def check(value: Any, name: str) -> None:
        if not holds(value):
            raise _wrong(name, value, expected)

    return check


def _wrong(name: str, value: Any, expected: str) -> UserError:
    own = name if name.isprintable() and len(name) < MAX_SHOWN else shown(name)
    return UserError(f"{f'has {own}' if name else 'is'} {shown(value)}, expected {expected}")


def _items(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > MAX_ITEMS:
        raise _wrong(name, value, "an object of names and values")
    return value


def _below(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
