"""Compiled kernels are cached under a hash of all files that they could be made of."""

import subprocess
import sys
from pathlib import Path

import pytest
from numba import config

import engine.codegen.jit
from engine.codegen.jit import KEPT_VERSIONS, jit

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")


def kernel_folder(monkeypatch, cache, source):
    """Where kernels would be cached, were the package's files those beside `source`."""
    monkeypatch.setenv("CLDL_CACHE", str(cache))
    monkeypatch.setattr(engine.codegen.jit, "__file__", str(source))
    return Path(engine.codegen.jit._kernel_folder())


def test_a_change_in_any_file_is_another_folder(tmp_path, monkeypatch):
    for folder in ("codegen", "kernels/cpu"):
        (tmp_path / folder).mkdir(parents=True)
    caller, called = tmp_path / "codegen" / "jit.py", tmp_path / "kernels" / "cpu" / "called.py"
    caller.write_text("calls it")
    called.write_text("one")
    one = kernel_folder(monkeypatch, tmp_path, caller)
    called.write_text("two")
    two = kernel_folder(monkeypatch, tmp_path, caller)
    called.write_text("one")
    assert one != two
    assert kernel_folder(monkeypatch, tmp_path, caller) == one
    assert one.is_dir()
    assert one.parent == tmp_path / "kernels"


def test_the_versions_used_last_are_kept(tmp_path, monkeypatch):
    (tmp_path / "codegen").mkdir()
    source = tmp_path / "codegen" / "jit.py"
    folders = []
    for version in range(KEPT_VERSIONS + 2):
        source.write_text(str(version))
        folders.append(kernel_folder(monkeypatch, tmp_path, source))
    assert [folder.is_dir() for folder in folders] == [False, False] + [True] * KEPT_VERSIONS


def test_where_no_folder_can_be_created_numba_chooses(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CLDL_CACHE", str(tmp_path / "file"))
    assert engine.codegen.jit._kernel_folder() == ""


def test_only_kernels_of_this_package_are_cached_there():
    before = config.CACHE_DIR
    assert jit(lambda x: x).py_func(3) == 3
    assert before == config.CACHE_DIR


def test_numbas_own_variable_takes_precedence(tmp_path):
    program = "import engine.kernels.cpu.updates as u; print(u.sgd._cache.cache_path)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(tmp_path))
