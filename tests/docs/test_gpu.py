"""The page on the GPU names commands, files and functions that exist."""

import re
from importlib.util import find_spec
from pathlib import Path

from cldl.train import parse

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gpu.md").read_text()


def test_its_commands_exist():
    modules = set(re.findall(r"python -m ([\w.]+)", PAGE))
    assert len(modules) >= 4
    assert all(find_spec(module) for module in modules)
    trainings = re.findall(r"`python -m cldl\.train ([^`]+)`", PAGE)
    assert len(trainings) == 3
    for line in trainings:
        parse(line.split())


def test_its_files_and_targets_exist():
    paths = set(re.findall(r"`((?:engine|cldl|benchmarks|tests|tools)/[\w/.]*)`", PAGE))
    assert len(paths) > 15
    assert all((ROOT / path).exists() for path in paths), paths
    for target in re.findall(r"`make ([\w-]+)`", PAGE):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text()


def test_it_says_that_nothing_was_measured_as_long_as_it_has_no_table_of_times():
    assert "No figure on this page was measured on a GPU" in PAGE
    assert not re.search(r"\d ms\b|images/s|TFLOP", PAGE)
