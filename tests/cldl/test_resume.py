"""What a resumed run may find in its folder, and which options it accepts."""

import json

import pytest

from cldl.training import run as runs
from cldl.training.run import Run
from engine.io.lock import exclusive
from tests.cldl import tiny
from tests.cldl.synthetic import TWO, command

RUN = [*TWO, "--batch-size", "8", "--warmup", "0"]


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """A network that needs no time, no report, and a folder of our own."""
    monkeypatch.setattr("cldl.recipes.recipe.Recipe.build_network", lambda recipe: tiny.network())
    monkeypatch.setattr("cldl.reporting.run_report.write_report", lambda *arguments: "none")
    monkeypatch.chdir(tmp_path)


def train(*arguments, epochs=1):
    assert command(*RUN, "--epochs", epochs, *arguments) == 0


def epochs_of(folder):
    return [json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(runs.time, "strftime", lambda form: "20260101-000000")
    assert [runs.make_new_folder("a").name for _ in range(3)] == ["a-20260101-000000" + end for end in ("", "-2", "-3")]
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_a_run_that_fails_before_it_begins_leaves_no_folder(tmp_path, capsys):
    assert command(*RUN, "--loss.weights", "1") == 2
    assert command(*RUN, "--device", "cuda") == 2
    assert not list(tmp_path.iterdir())


def test_a_run_in_training_is_neither_begun_nor_resumed_by_another_process(tmp_path, capsys):
    train("--run", "run")
    (tmp_path / "new").mkdir()
    for folder, arguments in (("run", ["--resume"]), ("new", RUN)):
        with exclusive(tmp_path / folder):
            assert command(*arguments, "--run", folder) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {folder} is in use by process ")
        assert error.count("\n") == 1
    assert not (tmp_path / "new" / "config.json").exists()


def test_what_killed_writes_left_is_removed_when_the_run_is_resumed(tmp_path):
    train("--run", "run")
    left = tmp_path / "run" / ".checkpoint.h5.01234abc.tmp"
    left.write_bytes(b"half")
    assert command("--resume", "--run", "run") == 0
    assert not left.exists()


@pytest.mark.parametrize("named", [[], ["mnist_nin"]])
def test_a_finished_run_is_trained_on_to_more_epochs_and_says_what_that_does(tmp_path, capsys, named):
    train("--run", "run")
    capsys.readouterr()
    assert command(*named, "--resume", "--run", "run", "--epochs", "3") == 0
    said = capsys.readouterr().out
    assert (
        "the run is one of 3 epochs now, no longer of 1: its learning rate after epoch 1 is 0.00113, not 0, so it ends unlike "
        "a run begun with --epochs 3\n"
    ) in said
    assert epochs_of(tmp_path / "run") == [1, 2, 3]
    run = Run.open(tmp_path / "run")
    assert run.recipe.schedule.epochs == 3
    assert run.config["changed_epochs"] == [{"epochs": 1, "after": 1}]
    assert (run.load()[1]["epoch"], run.load()[1]["step"]) == (3, 0)


def test_with_a_constant_rate_a_longer_run_is_that_of_as_many_epochs_from_the_start(tmp_path, capsys):
    train("--run", "whole", "--schedule", "constant", epochs=2)
    train("--run", "run", "--schedule", "constant")
    assert command("--resume", "--run", "run", "--epochs", "2") == 0
    assert "its learning rate after epoch 1 is 0.0015\n" in capsys.readouterr().out
    (whole, _), (longer, _) = (Run.open(tmp_path / name).load() for name in ("whole", "run"))
    assert all((whole[name] == longer[name]).all() for name in whole)


def test_fewer_epochs_than_are_finished_are_refused_and_nothing_changes(tmp_path, capsys):
    train("--run", "run", epochs=2)
    before = (tmp_path / "run" / "config.json").read_bytes()
    assert command("--resume", "--run", "run", "--epochs", "1") == 2
    assert capsys.readouterr().err == "error: run has begun epoch 2 already: give --epochs 2 or more.\n"
    assert (tmp_path / "run" / "config.json").read_bytes() == before


def test_no_other_value_can_be_changed(tmp_path, capsys):
    train("--run", "run")
    assert command("--resume", "--run", "run", "--batch-size", "4") == 2
    assert "other values of its recipe: continue it without changes, but for --epochs.\n" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--seed", "--limit-train", "--limit-test", "--held-out"])
def test_what_a_run_began_with_is_kept_and_another_wish_refused(tmp_path, capsys, option):
    train("--run", "run", option, "8")
    assert command("--resume", "--run", "run", option, "8") == 0
    assert command("--resume", "--run", "run", option, "9") == 2
    error = capsys.readouterr().err
    assert error == (
        f"error: run was started with {option} 8, and cannot go on with 9: leave the option out, or start a new run.\n"
    )
    train("--run", "other")
    assert command("--resume", "--run", "other", option, "9") == 2
    own = "0" if option == "--seed" else "unset"
    assert f"error: other was started with {option} {own}, and cannot go on with 9" in capsys.readouterr().err


def test_the_threads_of_a_resumed_run_can_be_chosen_and_it_says_what_that_does(tmp_path, capsys):
    train("--run", "run")
    assert command("--resume", "--run", "run", "--epochs", "2", "--threads", "2") == 0
    assert "warning: the run began with 1 threads (now 2): its last bits may differ" in capsys.readouterr().out
    assert Run.open(tmp_path / "run").config["threads"] == 1
    assert command("--resume", "--run", "run", "--epochs", "3", "--threads", "1") == 0
    assert "warning" not in capsys.readouterr().out


def test_a_finished_run_says_so(tmp_path, capsys):
    train("--run", "run", epochs=2)
    capsys.readouterr()
    assert command("--resume", "--run", "run") == 0
    assert "run has finished its 2 epochs: --epochs N trains on; the report is made anew" in capsys.readouterr().out
    assert epochs_of(tmp_path / "run") == [1, 2]


DAMAGE = {
    "all": ([], "metrics.jsonl has 0 of the 3 epochs that checkpoint.h5 has behind it: restore both files of one run"),
    "the last": ([0, 1], "metrics.jsonl has 2 of the 3 epochs that checkpoint.h5 has behind it: restore both files"),
    "the first": ([1, 2], "metrics.jsonl has no epoch 1 in line 1: restore it from a copy."),
}


@pytest.mark.parametrize(("kept", "sentence"), DAMAGE.values(), ids=list(DAMAGE))
def test_a_run_whose_metrics_lack_epochs_is_not_continued(tmp_path, capsys, kept, sentence):
    train("--run", "run", epochs=3)
    path = tmp_path / "run" / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[i] for i in kept))
    before = path.read_text()
    capsys.readouterr()
    assert command("--resume", "--run", "run", "--epochs", "4") == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert path.read_text() == before


def test_a_line_that_is_no_object_is_refused(tmp_path, capsys):
    train("--run", "run")
    (tmp_path / "run" / "metrics.jsonl").write_text("[1]\n")
    assert command("--resume", "--run", "run") == 2
    assert "metrics.jsonl is [1], expected an object of names and values in line 1" in capsys.readouterr().err
