"""A strict JSON parser for untrusted files: bounded size and depth, and nothing that is not JSON.

Python's own parser also accepts NaN and infinity, duplicate names, lone surrogates and numbers that overflow a float, and
limits neither size nor depth.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.io.fields import Check

MAX_DEPTH = 16  # of nested objects and arrays
MAX_DIGITS = 300  # of a whole number: a float can hold it
_SURROGATE = re.compile("[\ud800-\udfff]")


@contextmanager
def refusing(path: Path, remedy: str) -> Iterator[None]:
    """Turn each UserError of the block, a predicate, into a sentence about the file."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path} {error}: {remedy}") from None


def read_bytes(path: Path, most: int) -> bytes:
    """The bytes of a file, `most` at most.

    Raises:    FileNotFoundError where there is no file; UserError, a predicate, where it may not be read or is larger.
    """
    if not os.path.isfile(path):  # neither a folder nor a device, which may have no end
        raise FileNotFoundError(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(min(size, most) + 1)  # `read` allocates all that it is asked for
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})") from None
    if len(data) > most:
        raise UserError(f"has more than {most:,} bytes")
    return data


def parse(text: bytes) -> Any:
    """The value of a JSON text in UTF-8; its floats are finite, its names differ, and every text can be encoded.

    Raises:    UserError, a predicate, where it is anything else, or deeper than MAX_DEPTH.
    """
    try:
        value = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_finite,
        )
        _check(value, MAX_DEPTH)
    except RecursionError:
        raise UserError(f"is nested more than {MAX_DEPTH} deep") from None
    except json.JSONDecodeError as error:
        raise UserError(f"is not JSON (character {error.pos + 1:,})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 (byte {error.start + 1:,})") from None
    return value


def parse_lines(data: bytes, check: Check) -> Iterator[Any]:
    """The values of a file with a JSON text on each line, each of which the check takes.

    Raises:    UserError as `parse` and the check, with the number of the line.
    """
    for number, line in enumerate(data.splitlines(), 1):
        try:
            value = parse(line)
            check(value, "")
            yield value
        except UserError as error:
            raise UserError(f"{error} in line {number:,}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UserError("has a name twice in one object")
    return found


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise UserError(f"has a number of {len(digits):,} digits")
    return int(digits)


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0:
        raise UserError(f"has the number {text[:40]}, which is not finite")
    return value


def _check(value: Any, depth: int) -> None:
    """Raise UserError for a lone surrogate, RecursionError for objects and arrays that are more than `depth` deep."""
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise UserError("has half a surrogate pair in a text")
    elif isinstance(value, (dict, list)):
        if not depth:
            raise RecursionError
        for part in [*value, *value.values()] if isinstance(value, dict) else value:
            _check(part, depth - 1)
