import errno
import json
import os
import re
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.io.files import CACHE, atomic_write, cache_folder, make_folder, remove_temporary, write_json


def test_the_cache_folder_is_the_one_given_or_that_of_the_environment_or_the_systems(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "system"))
    monkeypatch.setenv(CACHE, str(tmp_path / "named"))
    assert cache_folder(tmp_path / "given") == tmp_path / "given"
    assert cache_folder() == tmp_path / "named"
    assert cache_folder("~/given") == tmp_path / "given"
    monkeypatch.setenv(CACHE, "")
    assert cache_folder().name == "cldl"
    assert cache_folder().is_relative_to(tmp_path)


def test_a_cache_in_a_home_folder_that_the_system_does_not_know_is_refused_with_the_remedy(monkeypatch, tmp_path):
    def expanduser(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", expanduser)
    with pytest.raises(UserError) as refusal:
        cache_folder("~/given")
    assert str(refusal.value) == "there is no home folder for the cache: name a folder by CLDL_CACHE"


def test_the_file_appears_whole_and_alone(tmp_path):
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"new")
        assert not (tmp_path / "a.bin").exists()
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with atomic_write(tmp_path / "a.txt", "w") as file:
        file.write("né")
        file.flush()
        assert (tmp_path / "a.txt").read_text() == "old"
    assert (tmp_path / "a.txt").read_bytes() == "né".encode()


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path, stop):
    def write():
        with atomic_write(tmp_path / "a.bin") as file:
            file.write(b"half")
            raise stop

    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(stop):
        write()
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_full_disk_is_told_with_the_remedy_and_leaves_the_old_file(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "a.bin").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fsync)
    with (
        pytest.raises(UserError, match=r"a\.bin \(No space left on device\): free some space"),
        atomic_write(tmp_path / "a.bin") as file,
    ):
        file.write(b"new")
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_the_bytes_reach_the_disk_before_the_file_is_moved_and_its_folder_after(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda *paths: (order.append("replace"), replace(*paths)))
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"new")
    assert order == ["fsync", "replace", "fsync"][: 3 if os.name == "posix" else 2]


def test_a_missing_folder_is_told_with_the_remedy(tmp_path):
    with pytest.raises(UserError, match="create its folder"), atomic_write(tmp_path / "none" / "a.bin"):
        pass


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path):
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(UserError, match=r"a\.bin .* choose a folder"), atomic_write(tmp_path / "a.bin"):
        pass
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_folder_is_made_with_its_parents(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert make_folder(str(tmp_path / "a" / "b")).is_dir()


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(
        UserError, match=rf"cannot write {re.escape(str(tmp_path / 'a' / 'b'))} \(.+\): choose a folder"
    ):
        make_folder(tmp_path / "a" / "b")


def test_json_comes_back_as_it_was(tmp_path):
    config = {"seed": 0, "rates": [0.1, 1e-300], "name": "é", "none": None}
    write_json(tmp_path / "config.json", config)
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8")) == config


def test_json_is_written_for_people_to_read(tmp_path):
    write_json(tmp_path / "a.json", {"name": "é", "rates": [0.5]})
    expected = '{\n  "name": "é",\n  "rates": [\n    0.5\n  ]\n}\n'
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == expected


def test_what_json_cannot_hold_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "config.json", {"seed": 0})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "config.json", {"seed": 0, "loss": float("nan")})
    assert json.loads((tmp_path / "config.json").read_text()) == {"seed": 0}


def test_what_a_killed_write_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "report").mkdir()
    left = [tmp_path / ".checkpoint.h5.01234abc.tmp", tmp_path / "report" / ".index.html.ffffffff.tmp"]
    others = [tmp_path / name for name in ("checkpoint.h5", ".mine.tmp", "a.01234abc.tmp", ".a.01234abc.tmp.h5")]
    for path in [*left, *others]:
        path.write_text("")
    remove_temporary(tmp_path)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in others)


def test_what_cannot_be_removed_is_left(tmp_path):
    folder, file = tmp_path / ".a.01234abc.tmp", tmp_path / ".b.01234abc.tmp"
    folder.mkdir()
    file.write_text("")
    remove_temporary(tmp_path)
    assert folder.exists()
    assert not file.exists()
