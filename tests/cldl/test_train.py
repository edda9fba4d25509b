"""Runs of `cldl.train`: killed, resumed, damaged, refused."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cldl import train
from cldl.training.run import Run
from engine.errors import UserError
from engine.io.storage import write_arrays
from tests.cldl.synthetic import command

ROOT = Path(__file__).parents[2]
SHORT = ["mnist_nin", "--epochs", "3", "--batch-size", "8", "--warmup", "0", "--threads", "2"]  # 6 steps an epoch


def process(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cldl.synthetic", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in lines]


def weights(folder):
    arrays, _ = Run.open(folder).load()
    return {name: array for name, array in arrays.items() if not name.startswith("metrics")}


def same_end(a, b):
    first, second = weights(a), weights(b)
    assert metrics(a) == metrics(b)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert command(*SHORT, "--run", folder) == 0
    return folder


def test_a_run_is_a_folder_with_all_files_that_are_documented(whole):
    assert {p.name for p in whole.iterdir()} == {"config.json", "metrics.jsonl", "checkpoint.h5", "report", ".lock"}
    config = json.loads((whole / "config.json").read_text())
    assert config["seed"] == 0
    assert config["format"] == 2
    assert config["recipe"]["schedule"]["epochs"] == 3
    assert config["sources"]["schedule.epochs"] == "command line"
    assert {"python", "numpy", "numba"} <= set(config["versions"])
    assert [line["epoch"] for line in metrics(whole)] == [1, 2, 3]
    assert (whole / "report" / "index.html").exists()


def test_a_run_killed_outright_resumes_to_the_same_bits(whole, tmp_path):
    folder = tmp_path / "run"
    running = process(*SHORT, "--run", folder)
    deadline = time.monotonic() + 120
    while not (folder / "checkpoint.h5").exists():
        assert running.poll() is None, running.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    running.kill()
    running.wait()
    assert command("--resume", "--run", folder) == 0
    same_end(folder, whole)


def test_a_run_killed_before_its_first_checkpoint_resumes_from_the_beginning(whole, tmp_path):
    folder = tmp_path / "run"
    running = process(*SHORT, "--run", folder)
    while not (folder / "config.json").exists():
        assert running.poll() is None, running.stdout.read()
        time.sleep(0.005)
    running.kill()
    running.wait()
    assert command("--resume", "--run", folder) == 0
    same_end(folder, whole)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("steps", [1, 6, 8])
def test_ctrl_c_ends_after_the_step_and_resumes_to_the_same_bits(whole, tmp_path, monkeypatch, capsys, kind, steps):
    folder, done = tmp_path / "run", []

    class Pressing(train.Display):
        def step(self, trainer):
            super().step(trainer)
            done.append(1)
            if len(done) == steps:
                os.kill(os.getpid(), kind)

    with monkeypatch.context() as patch:
        patch.setattr(train, "Display", Pressing)
        assert command(*SHORT, "--run", folder) == 130
    assert len(done) == steps
    assert f"--resume --run {folder}" in capsys.readouterr().out
    _, numbers = Run.open(folder).load()
    assert 6 * numbers["epoch"] + numbers["step"] == steps
    assert command("--resume", "--run", folder) == 0
    same_end(folder, whole)


def test_ctrl_c_in_a_real_process_ends_cleanly(tmp_path):
    folder = tmp_path / "run"
    running = process(*[*SHORT[:2], "1000", *SHORT[3:]], "--run", folder)
    while not (folder / "checkpoint.h5").exists():
        assert running.poll() is None, running.stdout.read()
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in output
    assert "continue with" in output
    Run.open(folder).load()


def test_a_finished_run_resumes_to_its_own_end(whole, capsys):
    before = metrics(whole)
    assert command("--resume", "--run", whole) == 0
    assert metrics(whole) == before


def test_a_folder_that_holds_a_run_is_not_overwritten(whole, capsys):
    assert command(*SHORT, "--run", whole) == 2
    assert "--resume" in capsys.readouterr().err


def test_a_loss_that_is_not_a_number_names_the_step_the_layers_and_the_checkpoint(tmp_path, capsys):
    assert command(*SHORT, "--run", tmp_path / "run", "--learning-rate", "1000", "--schedule", "constant") == 2
    printed = capsys.readouterr()
    assert "conv1.weight" in printed.out
    assert "step" in printed.err
    assert "checkpoint" in printed.err
    assert printed.err.count("\n") == 1


def test_a_run_says_on_which_device_and_in_which_precision_it_trained(whole):
    config = json.loads((whole / "config.json").read_text())
    assert (config["device"], config["precision"]) == ("cpu", "float32")


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "checkpoint.h5"])
@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_damaged_file_of_a_run_is_refused_by_name(whole, tmp_path, capsys, name, damage):
    folder = tmp_path / "run"
    folder.mkdir()
    for file in ("config.json", "metrics.jsonl", "checkpoint.h5"):
        data = bytearray((whole / file).read_bytes())
        if file == name:
            data = (
                data[: len(data) // 2]
                if damage == "truncated"
                else data.replace(b'"', b"'").replace(b"\x00\x01", b"\x00\x02")
            )
        (folder / file).write_bytes(data)
    assert command("--resume", "--run", folder) == 2
    printed = capsys.readouterr().err
    assert name in printed
    assert printed.count("\n") == 1


def test_a_run_of_another_version_is_refused(whole, tmp_path):
    config = json.loads((whole / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "format": 99}))
    with pytest.raises(UserError, match="format 99"):
        Run.open(tmp_path)


OLD = (
    r"was written by cldl 0\.1, and this version reads format 2 only: use cldl 0\.1 .*\(pip install 'cldl==0\.1\.\*'\)"
)


def test_a_run_of_version_0_1_is_refused_with_the_version_that_reads_it(tmp_path, capsys):
    flat = {"format": 1, "recipe": {"name": "mnist_nin", "epochs": 3, "dropout": 0.5}, "sources": {"epochs": "a paper"}}
    (tmp_path / "config.json").write_text(json.dumps(flat))
    for arguments in (["--resume", "--run", tmp_path], [*SHORT, "--run", tmp_path, "--resume"]):
        assert command(*arguments) == 2
        error = capsys.readouterr().err
        assert re.search(rf"config\.json {OLD}", error)
        assert error.count("\n") == 1


def test_a_checkpoint_of_version_0_1_is_refused_with_the_version_that_reads_it(whole, tmp_path):
    shutil.copy(whole / "config.json", tmp_path)
    write_arrays(tmp_path / "checkpoint.h5", *Run.open(whole).load(), kind="checkpoint", version=1)
    with pytest.raises(UserError, match=rf"checkpoint\.h5 {OLD}"):
        Run.open(tmp_path).load()
    write_arrays(tmp_path / "checkpoint.h5", *Run.open(whole).load(), kind="checkpoint", version=3)
    with pytest.raises(UserError, match="has format 3; this version reads 2"):
        Run.open(tmp_path).load()


def test_a_configuration_that_holds_no_recipe_is_refused_by_name(whole, tmp_path):
    config = json.loads((whole / "config.json").read_text())
    del config["recipe"]["model"]["dropout"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UserError, match=r"config\.json: the recipe has no model\.dropout: restore it, or use the version"
    ):
        Run.open(tmp_path)


def test_a_run_that_began_elsewhere_goes_on_and_says_that_bits_may_differ(whole, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    assert command("--resume", "--run", folder) == 0
    assert "may differ" not in capsys.readouterr().out
    config = json.loads((folder / "config.json").read_text())
    elsewhere = config["versions"] | {"numpy": "1.0", "blas": "mkl 2024"}
    (folder / "config.json").write_text(json.dumps(config | {"versions": elsewhere, "machine": "an abacus"}))
    assert command("--resume", "--run", folder) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "may differ" in line]
    assert line.startswith("warning: the run began with numpy 1.0 (now ")
    assert "blas mkl 2024 (now " in line
    assert "processor an abacus (now " in line
    same_end(folder, whole)


def test_a_run_is_not_continued_with_other_values(whole, capsys):
    assert command("mnist_nin", "--resume", "--run", whole, "--batch-size", "4") == 2
    assert (
        "was started with other values of its recipe: continue it without changes, but for --epochs."
        in capsys.readouterr().err
    )
    assert command("mnist_nin", "--resume", "--run", whole, "--epochs", "3") == 0


@pytest.mark.parametrize("call", range(3, 10))
def test_a_disk_that_is_full_at_any_write_loses_nothing(whole, tmp_path, monkeypatch, capsys, call):
    folder, calls, fsync = tmp_path / "run", [], os.fsync

    def full(descriptor):
        calls.append(1)
        if len(calls) >= call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("engine.io.files.os.fsync", full)
        assert command(*SHORT, "--run", folder) == 2
    error = capsys.readouterr().err
    assert "free some space" in error
    assert error.count("\n") == 1
    assert command("--resume", "--run", folder) == 0
    same_end(folder, whole)


def test_the_newest_run_of_a_recipe_is_resumed_where_none_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command(*[*SHORT[:2], "1", *SHORT[3:]]) == 0
    folder = next((tmp_path / "runs").iterdir())
    assert folder.name.startswith("mnist_nin-")
    assert command("mnist_nin", "--resume") == 0
