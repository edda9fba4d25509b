import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import step
from benchmarks.check import Agreement, check, distance
from benchmarks.interleaved import ROOT, Worker, pinned, python_has, ratio
from benchmarks.job import describe, write_job
from benchmarks.networks import NETWORKS, recipe
from benchmarks.row import Engine, Row
from cldl.reporting.explain import step_flops
from engine.errors import UserError
from engine.runtime.cpu import available_threads
from layers.normalise import L2Normalize
from layers.pooling import GlobalAvgPool
from tests.networks import stack

TINY = ["mnist_nin", "--work", "step", "--batch", "2", "--rounds", "1", "--block", "2"]


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setattr(step, "python_has", lambda python, module: False)


def test_without_pytorch_its_own_row_is_printed_and_how_to_get_pytorch(without_torch, capsys):
    assert step.main(TINY) == 0
    printed = capsys.readouterr()
    assert "mnist_nin, training step, batch 2" in printed.out
    assert "GFLOP/s  of peak  peak MiB" in printed.out
    assert "\n  cldl  " in printed.out
    assert "PyTorch" not in printed.out
    assert "pip install torch" in printed.err


def test_json_has_the_numbers_of_every_row_and_layer(without_torch, monkeypatch, capsys):
    engines = [
        Engine(name, {"NumPy": "2.0"}, [[t, 3 * t], [2 * t]], 100, 300) for name, t in (("cldl", 0.1), ("PyTorch", 0.2))
    ]
    flops = step_flops(recipe("mnist_nin").build_network(), 2)
    monkeypatch.setattr(step, "measure", lambda name, work, options, _: Row(name, work, 2, flops, 1e11, engines, {}))
    assert step.main([*TINY, "--json", "--layers"]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["rows"]
    assert [engine["median"] for engine in row["engines"]] == [0.2, 0.4]
    assert [engine["minimum"] for engine in row["engines"]] == [0.1, 0.2]
    assert row["ratio"] == {"median": 2.0, "low": 2.0, "high": 2.0}
    assert sum(part["flops"] for part in found["layers"]["mnist_nin"]["parts"]) == row["flops"] == flops


def test_a_row_says_how_fast_how_near_the_peak_and_how_large():
    blocks = [[0.5, 0.5], [0.5, 0.25]]
    ours = Engine("cldl", {}, blocks, 2**20, 3 * 2**20)
    theirs = Engine("PyTorch", {}, [[1.0], [1.5]], 2**20, 2**21)
    text = str(Row("net", "step", 100, 10**10, 1e11, [ours, theirs], {"PyTorch a": 1.0, "PyTorch b": "failed"}))
    (line,) = [line for line in text.splitlines() if line.startswith("  cldl ")]
    assert line.split() == ["cldl", "500.0", "250.0", "200", "20.0", "20%", "3", "2"]
    assert "PyTorch takes 3.00 times as long (the middle half of 2 rounds: 2.50 to 3.50)" in text
    assert "PyTorch a 1000 ms; PyTorch b failed" in text


def test_an_unknown_network_is_refused_in_one_line(capsys):
    assert step.main(["nin"]) == 2
    assert capsys.readouterr().err == f"error: there is no network 'nin' here; choose from {', '.join(NETWORKS)}.\n"


def test_a_python_that_is_none_is_refused_in_one_line(capsys):
    assert step.main([*TINY, "--torch-python", "/nowhere/python"]) == 2
    assert "/nowhere/python cannot be run" in capsys.readouterr().err


def test_what_goes_wrong_in_a_worker_is_told_and_the_worker_goes_on(tmp_path):
    write_job(tmp_path, "mnist_nin", recipe("mnist_nin", 2), 1)
    with Worker("cldl", sys.executable, "benchmarks.cldl_engine", tmp_path, threads=1) as worker:
        with pytest.raises(UserError, match="cldl failed: AttributeError"):
            worker.ask("dance")
        assert len(worker.ask("evaluate", count=2)) == 2


def test_the_last_words_of_a_worker_that_does_not_start_are_told(tmp_path):
    with pytest.raises(UserError, match=r"No module named benchmarks\.nothing"):
        Worker("nothing", sys.executable, "benchmarks.nothing", tmp_path, threads=1)


def test_the_ratio_is_taken_within_each_round():
    slow_round = ratio([[1.0], [10.0], [1.0]], [[2.0], [20.0], [2.0]])
    assert slow_round == {"median": 2.0, "low": 2.0, "high": 2.0}
    assert ratio([[1.0, 1.0], [2.0], [4.0]], [[3.0], [4.0], [4.0]]) == {"median": 2.0, "low": 1.5, "high": 2.5}
    assert ratio([[2.0]], [[3.0]]) == {"median": 1.5, "low": 1.5, "high": 1.5}


def test_processors_are_given_back():
    before = available_threads()
    with pinned(1):
        assert available_threads() == 1
    assert available_threads() == before


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_can_be_described_to_another_engine(name):
    network = recipe(name).build_network()
    specs = describe(network)
    assert [spec["name"] for spec in specs] == [node.name for node in network.nodes]
    assert json.loads(json.dumps(specs)) == specs


def test_a_layer_that_the_other_engine_does_not_know_is_refused():
    network = stack([L2Normalize()], [GlobalAvgPool()], (4, 4, 2))
    with pytest.raises(UserError, match=r"L2Normalize.*benchmarks/job.py"):
        describe(network)


def test_a_pair_agrees_only_if_float64_agrees_and_float32_is_as_near_on_both_sides():
    assert Agreement(double=1e-14, single=3e-4, ours=2e-4, theirs=3e-4, tie=1e-3).holds
    assert Agreement(double=1e-14, single=2e-3, ours=5e-4, theirs=1.9e-3, tie=1e-3).holds
    assert not Agreement(double=1e-6, single=3e-4, ours=2e-4, theirs=3e-4, tie=1e-3).holds
    assert not Agreement(double=1e-14, single=3e-3, ours=2e-4, theirs=3e-3, tie=1e-3).holds
    assert not Agreement(double=1e-14, single=3e-3, ours=3e-3, theirs=2e-4, tie=1e-3).holds


def test_the_distance_is_that_of_the_worst_array():
    b = {"loss": np.array(2.0), "conv1.weight": np.array([3.0, 4.0])}
    a = {"loss": np.array(2.0), "conv1.weight": np.array([3.0, 4.5])}
    assert distance(a, b) == pytest.approx(0.1)
    with pytest.raises(UserError, match=r"no gradient of conv1\.weight"):
        distance({"loss": np.array(2.0)}, b)


def test_both_engines_compute_the_same_loss_and_gradients(tmp_path):
    pytest.importorskip("torch")
    network = write_job(tmp_path, "mnist_nin", recipe("mnist_nin", 4), 1)
    with (
        Worker("cldl", sys.executable, "benchmarks.cldl_engine", tmp_path, threads=1) as ours,
        Worker("torch", sys.executable, "benchmarks.torch_engine", tmp_path, "channels_last", threads=1) as theirs,
    ):
        assert check(ours, theirs, tmp_path, network, 4).holds
        with np.load(tmp_path / "arrays.npz") as arrays:
            changed = dict(arrays) | {"block2.1.bias": arrays["block2.1.bias"] + 0.1}
        np.savez(tmp_path / "arrays.npz", **changed)
        with (
            Worker("other", sys.executable, "benchmarks.torch_engine", tmp_path, threads=1) as other,
            pytest.raises(UserError, match="do not compute the same"),
        ):
            check(ours, other, tmp_path, network, 4)


def test_beside_pytorch_there_are_two_engines_and_a_ratio(capsys):
    pytest.importorskip("torch")
    assert step.main([*TINY, "--no-compile", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["rows"]
    assert found["checks"]["mnist_nin"]["double"] < 1e-9
    assert len(row["engines"]) == 2
    assert row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]


def test_the_worker_for_pytorch_needs_nothing_of_this_engine():
    look = (
        "import sys; sys.modules['torch'] = None\n"
        "try:\n    import benchmarks.torch_engine\nexcept ImportError:\n    pass\n"
        "import benchmarks.worker\n"
        "print(sorted({'cldl', 'engine', 'layers', 'data', 'numba', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_this_python_is_looked_into():
    assert python_has(sys.executable, "numpy")
    assert not python_has(sys.executable, "no_such_module")
