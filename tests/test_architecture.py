"""The house's rules that a machine can see."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BELOW = {"engine": set(), "data": {"engine"}, "layers": {"engine"}, "cldl": {"engine", "data", "layers"}}
MODULES = sorted(p for room in BELOW for p in (ROOT / room).rglob("*.py"))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=[str(p.relative_to(ROOT)) for p in MODULES])
def test_imports_run_downwards_only(path):
    room = path.relative_to(ROOT).parts[0]
    assert {name for name in imports(path) if name in BELOW} <= BELOW[room] | {room}


@pytest.mark.parametrize("path", MODULES, ids=[str(p.relative_to(ROOT)) for p in MODULES])
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_nothing_is_ever_unpickled_or_differentiated_by_a_library():
    for path in MODULES:
        assert not {"pickle", "dill", "joblib", "torch", "jax", "autograd", "tensorflow"} & set(imports(path)), path


def test_the_page_on_the_architecture_names_files_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`((?:cldl|layers|engine|data)/[\w/]*(?:\.py)?)`", text)
    assert len(named) > 10
    assert all((ROOT / name).exists() for name in named)
