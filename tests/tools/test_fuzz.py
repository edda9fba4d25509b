"""Damaged files: the readers refuse them in a sentence, and the tool that says so notices every way to fail."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tools.fuzzing import damage

ROOT = Path(__file__).parents[2]
HEAD = ["kind", "inputs", "read", "refused", "traceback", "opened", "memory", "hang", "crash"]


def fuzz(program, *arguments):
    """The exit status, the lines of failures, and the table by kind."""
    command = [sys.executable, program, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    failures = [line for line in done.stdout.splitlines() if ": " in line]
    rows = [line.replace("in all", "all").split() for line in done.stdout.splitlines() if ": " not in line]
    assert rows[0] == HEAD, done.stderr
    return done.returncode, failures, {row[0]: dict(zip(HEAD[1:], map(int, row[1:]), strict=True)) for row in rows[1:]}


def test_some_hundreds_of_damaged_files_of_every_kind_are_read_or_refused_in_a_sentence(tmp_path):
    status, failures, counts = fuzz("tools/fuzz.py", "--inputs", 30, "--workers", 2, "--keep", tmp_path)
    assert (status, failures) == (0, [])
    total = counts.pop("all")
    assert len(counts) == 22
    assert all(row["read"] + row["refused"] == row["inputs"] == 30 for row in counts.values())
    assert total["read"] > 10
    assert total["refused"] > 100


def test_every_way_to_fail_is_noticed_and_the_input_is_kept(tmp_path):
    arguments = ("--inputs", 3, "--seed", 5, "--workers", 1, "--keep", tmp_path)
    status, failures, counts = fuzz("tests/tools/failing.py", *arguments)
    assert status == 1
    assert counts["good"] == {name: 3 if name in ("inputs", "refused") else 0 for name in HEAD[1:]}
    for kind in ("crash", "hang", "memory", "traceback", "lines", "opened"):
        verdict = "traceback" if kind == "lines" else kind
        assert counts[kind] == {name: 3 if name in ("inputs", verdict) else 0 for name in HEAD[1:]}
        kept = sorted(tmp_path.glob(f"{kind}-*"))
        assert [path.name for path in kept] == [f"{kind}-5-{index}.txt" for index in range(3)]
        assert b"intact" not in [path.read_bytes() for path in kept]
        assert sum(line.startswith(f"{verdict}: {kept[0]}: ") for line in failures) == 1


def test_a_kind_that_is_not_there_is_refused():
    done = subprocess.run(
        [sys.executable, "tools/fuzz.py", "none"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there is no kind 'none'; choose from config, metrics, evaluations, checkpoint" in done.stderr


@pytest.mark.parametrize("restructure", [None, damage.json_tree, damage.json_lines, damage.chunks])
def test_the_damage_follows_from_the_seed(restructure):
    data = [b'{"a": [1, 2], "b": {"c": "d"}}\n']

    def damaged(seed):
        return [damage.damage(Random(f"{seed} {i}"), data, restructure) for i in range(50)]

    assert damaged(0) == damaged(0) != damaged(1)
    assert len(set(damaged(0))) > 25
