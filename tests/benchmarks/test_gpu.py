import importlib.util
from pathlib import Path

import pytest

from benchmarks.gpu import Row, main
from tests.engine.test_device import needs_no_cupy

ROOT = Path(__file__).parents[2]


@needs_no_cupy
def test_without_a_gpu_the_benchmark_says_what_is_missing(capsys):
    assert main(["mnist_nin"]) == 2
    assert "the device cuda cannot be used: CuPy is not installed" in capsys.readouterr().err


def test_a_network_that_there_is_not_is_refused(capsys):
    assert main(["mnist"]) == 2
    assert "there is no network 'mnist' here" in capsys.readouterr().err


def test_a_row_says_the_shares_of_the_peaks_and_how_much_longer_the_others_take():
    seconds = {"cldl": 0.001, "PyTorch eager": 0.003}
    row = Row("n", 128, "tf32", seconds, 10**9, 10**8, 1e13, 1e12, "CUDA graph", {"PyTorch compiled": "no compiler"})
    ours, theirs, failed = str(row).strip().splitlines()[1:]
    assert ours.split()[:2] == ["cldl", "1.000"]
    assert " 10% of the products' peak" in ours
    assert " 10% of the copies'" in ours
    assert "3.00 times as long as cldl" in theirs
    assert failed == "  PyTorch compiled: no compiler"


@pytest.fixture
def gpu_visit():
    spec = importlib.util.spec_from_file_location("gpu_visit", ROOT / "tools" / "gpu_visit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_visit_goes_on_after_a_part_that_fails_and_stops_one_that_takes_too_long(tmp_path, gpu_visit, monkeypatch):
    python = gpu_visit.PYTHON
    parts = [
        ("missing", 5, ["no-such-command"]),
        ("slow", 3, [python, "-c", "print('begun', flush=True); import time; time.sleep(60)"]),
        ("wrong", 30, [python, "-c", "raise SystemExit('a reason')"]),
        ("right", 30, [python, "-c", "print(1); print(2)"]),
    ]
    monkeypatch.setattr(gpu_visit, "parts", lambda folder, data: parts)
    lines = gpu_visit.visit(tmp_path, 9, []).splitlines()
    told = [line[15:27].strip() for line in lines]
    assert told == ["failed: No s", "stopped", "status 1", "done"]
    assert [line.split(" s  ")[-1] for line in lines] == ["", "begun", "a reason", "2"]
    assert (tmp_path / "summary.txt").read_text().splitlines() == lines


@pytest.mark.parametrize("gpus", [1, 2])
def test_the_parts_of_a_visit_fit_nine_minutes(gpu_visit, tmp_path, monkeypatch, gpus):
    monkeypatch.setattr(gpu_visit, "gpus", lambda: gpus)
    parts = gpu_visit.parts(tmp_path, [])
    assert ("two GPUs" in [name for name, _, _ in parts]) == (gpus == 2)
    shares = [share for _, share, _ in parts]
    assert sum(shares) <= 9 * 60 + 60  # the last seed may find no time left
    modules = [command[2] for _, _, command in parts if command[1:2] == ["-m"]]
    assert set(modules) == {"pytest", "cldl.train", "benchmarks.gpu"}
