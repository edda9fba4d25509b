"""The rules of the architecture that a machine can check."""

import ast
import re
from graphlib import CycleError
from pathlib import Path

import pytest

from tools.imports import between_files, between_folders, in_order

ROOT = Path(__file__).parents[1]
BELOW = {"engine": set(), "data": {"engine"}, "layers": {"engine"}, "cldl": {"engine", "data", "layers"}}
MODULES = sorted(p for package in BELOW for p in (ROOT / package).rglob("*.py"))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=[str(p.relative_to(ROOT)) for p in MODULES])
def test_imports_run_downwards_only(path):
    package = path.relative_to(ROOT).parts[0]
    assert {name for name in imports(path) if name in BELOW} <= BELOW[package] | {package}


def test_no_file_imports_itself_by_way_of_others():
    assert in_order(between_files())


def test_no_folder_imports_itself_by_way_of_others():
    assert in_order(between_folders(between_files()))


def test_a_circle_between_files_is_seen(tmp_path):
    for name, other in (("one", "two"), ("two", "one")):
        (tmp_path / "engine").mkdir(exist_ok=True)
        (tmp_path / "engine" / f"{name}.py").write_text(f"def late():\n    from engine import {other}\n")
    with pytest.raises(CycleError):
        in_order(between_files(tmp_path))


@pytest.mark.parametrize("path", MODULES, ids=[str(p.relative_to(ROOT)) for p in MODULES])
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_nothing_is_ever_unpickled_or_differentiated_by_a_library():
    for path in MODULES:
        own = {path.stem} if path.parent.name in ("interop", "gradcheck") else set()  # the bridges to other frameworks
        libraries = {"pickle", "dill", "joblib", "torch", "jax", "autograd", "tensorflow"} - own
        assert not libraries & set(imports(path)), path


def test_the_page_on_the_architecture_names_files_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`((?:cldl|layers|engine|data)/[\w/]*(?:\.py)?)`", text)
    assert len(named) > 10
    assert all((ROOT / name).exists() for name in named)


def test_the_glossary_names_files_that_exist():
    text = (ROOT / "docs" / "glossary.md").read_text()
    named = re.findall(r"`((?:cldl|layers|engine|data|docs|tests)/[\w/]*(?:\.\w+)?)`", text)
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists()] == []
