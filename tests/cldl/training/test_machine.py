"""What config.json says of the machine, and what of it has changed when a run is resumed."""

import platform
from pathlib import Path

import numpy as np
import pytest

from cldl.training import machine
from cldl.training.machine import blas, changes, processor, versions


def test_the_versions_are_those_of_python_the_packages_and_the_blas():
    found = versions()
    assert list(found) == ["python", "cldl", "numpy", "numba", "llvmlite", "h5py", "blas"]
    assert (found["python"], found["numpy"], found["blas"]) == (platform.python_version(), np.__version__, blas())


def test_a_package_that_is_not_there_is_not_installed(monkeypatch):
    monkeypatch.setattr(machine, "PACKAGES", ("no-such-package",))
    assert versions()["no-such-package"] == "not installed"


@pytest.mark.parametrize(
    ("pools", "named"),
    [
        ([("blas", "openblas", "0.3.31", "SkylakeX"), ("openmp", "openmp", None, None)], "openblas 0.3.31 SkylakeX"),
        ([("blas", "openblas", "0.3.31", "Zen"), ("blas", "mkl", "2025.1", None)], "mkl 2025.1, openblas 0.3.31 Zen"),
        ([("blas", "openblas", "0.3.31", "Zen")] * 2, "openblas 0.3.31 Zen"),
        ([], "none"),
    ],
    ids=["one", "two", "twice the same", "none"],
)
def test_the_blas_is_named_with_its_version_and_kernels(monkeypatch, pools, named):
    keys = ("user_api", "internal_api", "version", "architecture")
    monkeypatch.setattr(machine, "threadpool_info", lambda: [dict(zip(keys, pool, strict=True)) for pool in pools])
    assert blas() == named


def test_the_processor_is_named_as_linux_does_or_else_as_python_does(monkeypatch):
    monkeypatch.setattr(platform, "processor", lambda: "abacus")
    monkeypatch.setattr(platform, "machine", lambda: "wood")
    text = "processor\t: 0\nmodel name\t: Abacus: 3000 @ 2 Hz\nmodel name\t: another\n"
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: text)
    assert processor() == "Abacus: 3000 @ 2 Hz"
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: "processor\t: 0\n")
    assert processor() == "abacus"

    def fail(path, encoding):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", fail)
    assert processor() == "abacus"
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert processor() == "wood"


def test_what_has_changed_is_named_with_what_it_was_and_is():
    now = versions()
    assert changes({"versions": now, "machine": processor()}) == ""
    then = now | {"numpy": "1.0", "h5py": "2.0", "of-another-version": "3.0"}
    expected = f"numpy 1.0 (now {now['numpy']}), h5py 2.0 (now {now['h5py']}), processor an abacus (now {processor()})"
    assert changes({"versions": then, "machine": "an abacus"}) == expected
