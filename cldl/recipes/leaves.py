"""The types that a recipe's leaves can have: how each is checked, read from a command line, and shown.

int, float, bool, str, tuple[float, ...], and each of these or None
"""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType
from typing import Any, NamedTuple, get_args

from engine.errors import UserError
from engine.io.fields import shown


class _Type(NamedTuple):
    words: str  # what an error asks for
    metavar: str  # what a help page calls it
    parse: Callable[[str], Any]  # from the command line
    convert: Callable[[Any], Any]  # from Python or JSON; both raise ValueError


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError
    return float(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _numbers(value: Any) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError
    return tuple(map(_number, value))


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError
    return text == "yes"


TYPES: dict[Any, _Type] = {
    int: _Type("a whole number", "N", int, _whole),
    float: _Type("a number", "X", float, _number),
    bool: _Type("yes or no", "yes|no", _yes_or_no, _boolean),
    str: _Type("a name", "NAME", str, _text),
    tuple[float, ...]: _Type(
        "numbers with commas between them",
        "A,B,..",
        lambda text: tuple(float(part) for part in text.split(",") if part),
        _numbers,
    ),
}


def conform(value: Any, hint: Any, name: str) -> Any:
    """The value as one of this type: a whole number becomes a float, a list a tuple.

    Raises:    UserError where it is of another type; `name` is what the sentence calls it.
    """
    kind, optional = _split(hint)
    if value is None and optional:
        return None
    try:
        return TYPES[kind].convert(value)
    except (ValueError, OverflowError):  # a float holds no number of 400 digits
        raise UserError(f"{name} is {shown(value)}; give {_words(hint)}.") from None


def parse(text: str, hint: Any, name: str) -> Any:
    """The value of this type that a text of the command line means; raises UserError where it means none."""
    kind, optional = _split(hint)
    if text == "none" and optional:
        return None
    try:
        return TYPES[kind].parse(text)
    except ValueError:
        raise UserError(f"{name} is {text!r}; give {_words(hint)}.") from None


def show(value: Any) -> str:
    """The value as the command line takes it.

    >>> show(True), show(None), show((1.0, 0.5)), show(0.0015)
    ('yes', 'none', '1,0.5', '0.0015')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(map(show, value))
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return "none" if value is None else str(value)


def metavar(hint: Any) -> str:
    """What a help page calls a value of this type."""
    return TYPES[_split(hint)[0]].metavar


def _words(hint: Any) -> str:
    kind, optional = _split(hint)
    return TYPES[kind].words + (", or none" if optional else "")


def _split(hint: Any) -> tuple[Any, bool]:
    """A type without None, and whether None is allowed."""
    if hint in TYPES:
        return hint, False
    kind, _ = sorted(get_args(hint), key=lambda part: part is NoneType)
    return kind, True
