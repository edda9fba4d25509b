"""Compiled kernels are kept under a hash of all files that they could be made of, and never at the cost of a command."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import config

from engine.codegen import kernel_cache
from engine.codegen.jit import jit
from engine.codegen.kernel_cache import KEPT_VERSIONS, TAG, KernelCache, kernel_folder, make_kernel_folder
from engine.errors import UserError
from engine.io.files import cache_folder

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")


def test_a_change_in_any_file_is_another_folder(tmp_path, monkeypatch):
    for folder in ("codegen", "kernels/cpu"):
        (tmp_path / folder).mkdir(parents=True)
    caller, called = tmp_path / "codegen" / "jit.py", tmp_path / "kernels" / "cpu" / "called.py"
    monkeypatch.setenv("CLDL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kernel_cache, "__file__", str(caller))
    caller.write_text("calls it")
    called.write_text("one")
    one = kernel_folder()
    called.write_text("two")
    two = kernel_folder()
    called.write_text("one")
    assert one != two
    assert kernel_folder() == one
    assert one.parent == tmp_path / "cache" / "kernels"
    assert not one.parent.exists()


def test_the_versions_compiled_last_are_kept(tmp_path):
    folders = [tmp_path / f"{version:016x}" for version in range(KEPT_VERSIONS + 2)]
    for age, folder in enumerate(folders):
        make_kernel_folder(folder)
        os.utime(folder / TAG, (age, age))
    assert [folder.is_dir() for folder in folders] == [False, False] + [True] * KEPT_VERSIONS


def test_what_is_not_certainly_ours_is_never_removed(tmp_path):
    theirs = [tmp_path / name for name in ("mine", "0" * 16, "copy-of-" + "1" * 16)]
    for folder in theirs:
        folder.mkdir()
    (theirs[0] / TAG).write_text(kernel_cache.TAG_TEXT)
    (theirs[1] / TAG).write_text("of another program")
    for version in range(KEPT_VERSIONS + 2):
        make_kernel_folder(tmp_path / f"{version + 10:016x}")
    assert all(folder.is_dir() for folder in theirs)


def test_only_kernels_of_this_package_are_cached_there():
    before = config.CACHE_DIR
    assert jit(lambda x: x).py_func(3) == 3
    assert before == config.CACHE_DIR


def test_numbas_own_variable_takes_precedence(tmp_path):
    program = "import engine.kernels.cpu.updates as u; print(u.sgd._cache.cache_path)"
    done = python(program, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.stdout.startswith(str(tmp_path))


def python(program, **environment):
    """A program in a process of its own, in this environment alone."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)


def test_an_import_neither_makes_nor_removes_a_file_or_folder(tmp_path):
    (tmp_path / "home").mkdir()
    for i in range(KEPT_VERSIONS + 2):
        (tmp_path / "cache" / "kernels" / f"mine_{i}").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    python(
        "import cldl.loss, cldl.train, cldl.evaluate, cldl.predict, cldl.report, layers, data",
        HOME=str(tmp_path / "home"),
        CLDL_CACHE=str(tmp_path / "cache"),
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of our own for the kernels of a version."""
    monkeypatch.setattr(kernel_cache, "FOLDER", tmp_path / "kernels" / ("0" * 16))
    monkeypatch.setattr(KernelCache, "failed", False)
    return kernel_cache.FOLDER


def compiled():
    """Two kernels as a start of the program has them, each called once; how many of them came from the cache."""
    kernels = [jit(kernel) for kernel in (twice, thrice)]
    assert [kernel(2) for kernel in kernels] == [4, 6]
    return sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels)


def twice(x):
    return 2 * x


def thrice(x):
    return 3 * x


def test_a_kernel_is_compiled_once(folder):
    assert not folder.exists()
    assert [compiled(), compiled()] == [0, 2]
    assert (folder / TAG).read_text() == kernel_cache.TAG_TEXT


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("content", [b"", b"\x80\x04 no pickle"])
def test_damaged_kernels_are_compiled_anew_and_replaced(folder, capfd, kind, content):
    compiled()
    files = list(folder.rglob(f"*.{kind}"))
    assert len(files) == 2
    for file in files:
        file.write_bytes(content)
    assert [compiled(), compiled()] == [0, 2]
    assert capfd.readouterr() == ("", "")


def a_file_in_its_place(folder, monkeypatch):
    folder.parent.write_text("no folder")


def a_full_disk(folder, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._save_index", fail)


def no_home(folder, monkeypatch):
    monkeypatch.setattr(kernel_cache, "FOLDER", None)


NOWHERE = {
    a_file_in_its_place: "(Not a directory): choose a folder that you may write to by CLDL_CACHE",
    a_full_disk: "(No space left on device): free some space on that disk or choose a folder on another one by CLDL_CACHE",
    no_home: "there is no home folder: choose a folder by CLDL_CACHE",
}


@pytest.mark.parametrize("why", NOWHERE, ids=lambda why: why.__name__)
def test_where_kernels_cannot_be_kept_they_run_all_the_same_with_one_warning(folder, monkeypatch, capsys, why):
    why(folder, monkeypatch)
    assert [compiled(), compiled()] == [0, 0]
    printed = capsys.readouterr().err
    assert printed.startswith("warning: ")
    assert printed.endswith(f"{NOWHERE[why]}; until then, kernels are compiled at every start.\n")
    assert printed.count("\n") == 1


def test_without_a_home_there_is_no_folder(monkeypatch):
    def fail(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CLDL_CACHE", raising=False)
    monkeypatch.setattr(Path, "expanduser", fail)
    assert kernel_folder() is None
    with pytest.raises(UserError, match=r"there is no home folder for the cache: name a folder by CLDL_CACHE"):
        cache_folder()
