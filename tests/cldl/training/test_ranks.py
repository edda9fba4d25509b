"""A training by several processes: the same numbers, one voice, one end, and a run that goes on."""

import json
import signal
import time

import numpy as np
import pytest

from cldl.recipes.recipe import Recipe
from cldl.training import ranks
from cldl.training.together import check_same, fair_threads, in_turns
from engine.errors import UserError
from engine.io.storage import read_arrays
from engine.runtime.communicator import ALONE, Communicator
from tests.cldl import synthetic
from tests.cldl.synthetic import TWO
from tests.of_ranks import mpiexec, network

RUN = [*TWO, "--batch-size", "7", "--epochs", "2"]


class Some(Communicator):
    """A rank among others that say what they are told to."""

    def __init__(self, rank, *others):
        self.rank, self.size, self.others, self.waits = rank, 1 + len(others), others, 0

    def gather(self, value):
        return [*self.others[: self.rank], value, *self.others[self.rank :]]

    def wait_for_all(self):
        self.waits += 1


def train(n, folder, fault="none", rank=0, *arguments, **options):
    return mpiexec(n, "tests.of_ranks", fault, rank, *(arguments or RUN), "--run", folder, **options)


def alone(monkeypatch):
    """The same network and no figures in this process."""
    monkeypatch.setattr(Recipe, "build_network", lambda recipe: network())
    monkeypatch.setattr("cldl.reporting.run_report.write_report", lambda *_: "none")


def weights(folder):
    arrays, numbers = read_arrays(folder / "checkpoint.h5", kind="checkpoint", version=2)
    return {name: array for name, array in arrays.items() if name.startswith("weights/")}, numbers["epoch"]


def same_bits(one, other):
    (a, epoch), (b, _) = weights(one), weights(other)
    assert epoch == 2
    return all(np.array_equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The folder of a run of two ranks, and what they printed."""
    folder = tmp_path_factory.mktemp("ranks") / "unbroken"
    out, error, status = train(2, folder)
    assert (error, status) == ("", 0)
    return folder, out


def test_ranks_speak_with_one_voice_and_leave_one_run(unbroken):
    folder, out = unbroken
    assert "CPU, 1 thread on each of 2 ranks" in out
    assert out.count("epoch 2/2") == out.count("report: ") == 1
    assert json.loads((folder / "config.json").read_text())["ranks"] == 2
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("n", [1, 3])
def test_any_number_of_ranks_learns_the_same_to_rounding_errors(unbroken, tmp_path, monkeypatch, n):
    if n == 1:
        alone(monkeypatch)
        assert synthetic.command(*RUN, "--run", tmp_path / "run") == 0
    else:
        assert train(n, tmp_path / "run")[2] == 0
    (one, _), (two, _) = weights(unbroken[0]), weights(tmp_path / "run")
    for name, value in one.items():
        assert np.abs(value - two[name]).max() <= 1e-5 * np.abs(value).max(), name
    losses = [json.loads(line)["train_loss"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    own = [json.loads(line)["train_loss"] for line in (unbroken[0] / "metrics.jsonl").read_text().splitlines()]
    assert losses == pytest.approx(own, rel=1e-6)


def test_where_a_rank_is_killed_all_end_and_the_resumed_run_has_the_bits_of_the_unbroken_one(unbroken, tmp_path):
    _, error, status = train(2, tmp_path / "run", "killed", 1)
    assert status != 0
    assert "the run ended with one of its ranks; continue with: mpiexec -n 2 " in error
    assert weights(tmp_path / "run")[1] == 1
    out, error, status = train(2, tmp_path / "run", "none", 0, "--resume")
    assert (error, status) == ("", 0)
    assert "warning" not in out
    assert same_bits(tmp_path / "run", unbroken[0])


def test_a_rank_that_stops_is_noticed_and_named(tmp_path):
    began = time.monotonic()
    _, error, status = train(2, tmp_path / "run", "stopped", 1)
    assert "error: rank 1 on " in error
    assert " has been silent for 5 seconds: see what it does, and continue with: mpiexec -n 2 " in error
    assert status == 1
    assert time.monotonic() - began < 60
    assert weights(tmp_path / "run")[1] == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_hangs_while_its_process_lives_is_noticed_and_named(tmp_path, rank):
    _, error, status = train(3, tmp_path / "run", "hung", rank)
    assert f"error: rank {rank} on " in error
    assert " lives, but has not answered for 2 seconds: see what it does, and continue with: mpiexec -n 3 " in error
    assert status == 1


def test_a_rank_without_memory_says_so_by_its_name(tmp_path):
    _, error, status = train(2, tmp_path / "run", "memory", 1)
    assert error.startswith("error: rank 1 on ")
    assert ": not enough memory (1 TB): use a smaller --batch-size or fewer --threads." in error
    assert status == 2
    assert weights(tmp_path / "run")[1] == 1


def test_a_rank_with_other_data_is_refused_by_its_name_before_anything_is_written(tmp_path):
    _, error, status = train(2, tmp_path / "run", "data", 1)
    assert "error: rank 1 on " in error
    assert " has another training data than rank 0 (" in error
    assert error.count("error:") == 1
    assert status == 2
    assert not (tmp_path / "run").exists()


def test_what_all_ranks_are_told_wrongly_is_said_once(tmp_path):
    _, error, status = train(2, tmp_path / "run", "none", 0, "mnist_nin", "--epochs", "x")
    assert error == "error: schedule.epochs is 'x'; give a whole number.\n"
    assert status == 2


def test_sigterm_on_mpiexec_saves_and_one_process_goes_on_and_says_that_bits_may_differ(tmp_path, monkeypatch, capsys):
    process = train(2, tmp_path / "run", "none", 0, *RUN, "--epochs", "10000", wait=False)
    while not process.stdout.readline().startswith("epoch 1/"):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=100)
    assert process.returncode == 130
    assert out.count("continue with: mpiexec -n 2 ") == error.count("stopping after this step or test") == 1
    done = weights(tmp_path / "run")[1] + 1
    alone(monkeypatch)
    assert synthetic.command("--resume", "--run", tmp_path / "run", "--epochs", done) == 0
    assert "warning: the run began with 2 ranks (now 1): its last bits may differ" in capsys.readouterr().out


def test_each_launcher_tells_the_number_of_processes(monkeypatch):
    for rank, size in ranks.LAUNCHERS:
        monkeypatch.delenv(rank, raising=False)
        monkeypatch.delenv(size, raising=False)
    assert ranks.launched() == (0, 1)
    for rank, size in ranks.LAUNCHERS:
        with monkeypatch.context() as environment:
            environment.setenv(rank, "2")
            environment.setenv(size, "4")
            assert ranks.launched() == (2, 4)


def test_without_mpi4py_several_processes_are_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(ranks, "launched", lambda: (0, 2))
    monkeypatch.setitem(__import__("sys").modules, "engine.runtime.mpi", None)
    with pytest.raises(UserError, match=r"2 processes were started, .* pip install cldl\[mpi\]"), ranks.joined():
        pass


def test_a_cache_is_filled_by_rank_0_then_by_one_rank_of_each_other_node(monkeypatch):
    turns = {}
    nodes = ["a", "a", "b", "b"]
    for rank, node in enumerate(nodes):
        monkeypatch.setattr("platform.node", lambda node=node: node)
        comm = Some(rank, *(nodes[:rank] + nodes[rank + 1 :]))
        turns[rank] = in_turns(comm, lambda comm=comm: comm.waits)
        assert comm.waits == 3
    assert turns == {0: 0, 1: 2, 2: 1, 3: 2}
    assert in_turns(ALONE, lambda: "loaded") == "loaded"


def test_threads_are_shared_out_among_the_ranks_of_a_node(monkeypatch):
    monkeypatch.setattr("platform.node", lambda: "a")
    monkeypatch.setattr("cldl.training.together.available_processors", lambda: [0, 1, 2, 3, 4])
    own = ["a", [0, 1, 2, 3, 4]]

    class Told(Some):
        def gather(self, value):
            return super().gather(value) if isinstance(value, list) else [value] * self.size

    assert fair_threads(Told(0, own)) == 2
    assert fair_threads(Told(0, ["b", [0, 1, 2, 3, 4]])) == 5
    assert fair_threads(Told(0, ["a", [5, 6]])) == 5  # bound to processors of its own
    assert fair_threads(Told(0, *[own] * 7)) == 1
    assert fair_threads(ALONE) == 5


def test_a_rank_that_differs_is_named_with_what_differs():
    with pytest.raises(UserError, match=r"^rank 2 on b has another numpy than rank 0 \(2\.3, not 2\.4\): install\.$"):
        check_same(Some(0, ["a", {"numpy": "2.4"}], ["b", {"numpy": "2.3"}]), {"numpy": "2.4"}, "install")
