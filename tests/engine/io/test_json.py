"""JSON that a stranger wrote: taken as it is, or refused in a predicate."""

import errno
import json
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.io.fields import whole
from engine.io.json import parse, parse_lines, read_bytes, refusing

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=5), parts, max_size=3),
    max_leaves=10,
)


@given(VALUES, st.booleans())
def test_what_json_can_say_comes_back(value, ascii):
    assert parse(json.dumps(value, ensure_ascii=ascii).encode()) == value


REFUSED = {
    "nothing": (b"", "is not JSON (character 1)"),
    "half a text": (b'{"a": "b', "is not JSON (character 7)"),
    "two values": (b"{} {}", "is not JSON (character 4)"),
    "a byte that is no letter": (b'"\xff"', "is not UTF-8 (byte 2)"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "is not UTF-8 (byte 1)"),
    "not a number": (b"[NaN]", "has the number NaN, which is not finite"),
    "infinity": (b"-Infinity", "has the number -Infinity, which is not finite"),
    "more than a float holds": (b"[1e400]", "has the number 1e400, which is not finite"),
    "a number of 5,001 digits": (b"1" + 5000 * b"0", "has a number of 5,001 digits"),
    "a number of 400 digits": (400 * b"9", "has a number of 400 digits"),
    "a number of 301 digits": (301 * b"9", "has a number of 301 digits"),
    "a long number that is no float": (400 * b"9" + b".5", f"has the number {40 * '9'}, which is not finite"),
    "a name twice": (b'{"a": 1, "a": 1}', "has a name twice in one object"),
    "half a pair": (rb'["\ud800"]', "has half a surrogate pair in a text"),
    "half a pair as a name": (rb'{"a": {"\udfff": 1}}', "has half a surrogate pair in a text"),
    "17 deep": (17 * b"[" + 17 * b"]", "is nested more than 16 deep"),
    "100,000 deep": (100_000 * b"[", "is nested more than 16 deep"),
    "100,000 objects deep": (100_000 * b'{"a":', "is nested more than 16 deep"),
}


@pytest.mark.parametrize(("text", "predicate"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_no_plain_json_is_refused_in_a_predicate(text, predicate):
    with pytest.raises(UserError) as refusal:
        parse(text)
    assert str(refusal.value) == predicate


def test_300_digits_are_not_too_many():
    assert parse(300 * b"9") == 10**300 - 1


def test_16_deep_is_not_too_deep():
    assert parse(16 * b"[" + 16 * b"]")


def test_a_pair_of_surrogates_is_one_letter():
    assert parse(rb'"\ud83d\ude00"') == "😀"


def test_a_deep_text_takes_no_memory():
    tracemalloc.start()
    with pytest.raises(UserError):
        parse(1_000_000 * b"[")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_a_line_that_is_refused_is_named():
    assert list(parse_lines(b"1\n2\r\n3", whole(1, 3))) == [1, 2, 3]
    with pytest.raises(UserError, match=r"^is 4, expected a whole number from 1 to 3 in line 2$"):
        list(parse_lines(b"1\n4\n", whole(1, 3)))
    with pytest.raises(UserError, match=r"^is not JSON \(character 1\) in line 1$"):
        list(parse_lines(b"\n1\n", whole(1, 3)))


def test_a_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with (
        pytest.raises(UserError, match=r"a\.json has more than 4 bytes: shorten it$"),
        refusing(path, "shorten it"),
    ):
        read_bytes(path, 4)


def test_a_small_file_takes_little_memory_however_large_it_may_be(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"12345")
    tracemalloc.start()
    assert read_bytes(path, 1 << 32) == b"12345"
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20


def test_of_a_file_that_is_too_long_no_more_is_read_than_the_limit(tmp_path):
    path = tmp_path / "long.json"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    tracemalloc.start()
    with pytest.raises(UserError):
        read_bytes(path, 1000)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_file_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    def forbidden(*arguments):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / "a.json").write_bytes(b"1")
    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(UserError, match=r"^cannot be read \(Permission denied\)$"):
        read_bytes(tmp_path / "a.json", 5)


def test_what_is_no_file_is_not_there(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "none", tmp_path / "pipe", tmp_path / "nul\0"):
        with pytest.raises(FileNotFoundError) as refusal:
            read_bytes(path, 5)
        assert refusal.value.args == (path,)
