"""Every example in a docstring is run."""

import doctest
import importlib
import pkgutil

import pytest

import cldl
import data
import engine
import layers


def modules() -> list[str]:
    """All modules of the four packages that import without what is optional."""
    packages = (cldl, data, engine, layers)
    names = [m.name for package in packages for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [name for name in names if not name.endswith("__main__")]


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_the_module_hold(name):
    try:
        module = importlib.import_module(name)
    except ImportError as missing:
        pytest.skip(f"needs {missing.name}")
    assert doctest.testmod(module).failed == 0


def test_there_are_examples_of_the_method_and_of_the_checker():
    finder = doctest.DocTestFinder()
    for name in ("cldl.loss", "cldl.inference", "engine.gradcheck.check", "layers.relu"):
        assert any(test.examples for test in finder.find(importlib.import_module(name)))
