"""A line a step: its own loss and errors, and after a resumption no step twice."""

import json
import sys

import numpy as np
import pytest

from cldl.training.run import Run
from tests.cldl import tiny
from tests.cldl.synthetic import TWO, command

ARGUMENTS = [*TWO, "--batch-size", "16", "--warmup", "0"]


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    monkeypatch.setattr("cldl.recipes.recipe.Recipe.build_network", lambda recipe: tiny.network())
    monkeypatch.setattr("cldl.reporting.run_report.write_report", lambda *arguments: "none")
    monkeypatch.chdir(tmp_path)


def lines(folder):
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def test_the_mean_of_an_epochs_steps_is_its_line_of_metrics(tmp_path):
    assert command(*ARGUMENTS, "--epochs", 2, "--run", "run", "--log-steps") == 0
    found = lines(tmp_path / "run")
    assert [(line["epoch"], line["step"]) for line in found] == [(e, s) for e in (1, 2) for s in (1, 2, 3)]  # 48 images
    for metrics in Run.open(tmp_path / "run").metrics():
        own = [line for line in found if line["epoch"] == metrics["epoch"]]
        assert np.mean([line["loss"] for line in own]) == pytest.approx(metrics["train_loss"])
        for name, error in metrics["train_error"].items():
            assert np.mean([line["error"][name] for line in own]) == pytest.approx(error)
        assert own[-1]["learning_rate"] == pytest.approx(metrics["learning_rate"])


def test_a_resumed_run_logs_on_and_drops_what_came_after_its_checkpoint(tmp_path):
    assert command(*ARGUMENTS, "--epochs", 1, "--run", "run", "--log-steps") == 0
    path = tmp_path / "run" / "steps.jsonl"
    whole = lines(tmp_path / "run")
    path.write_text(
        path.read_text() + json.dumps(whole[0] | {"epoch": 2}) + "\n"
    )  # of a run that was killed in epoch 2
    assert command("--resume", "--run", "run", "--epochs", 2, "--log-steps") == 0
    assert [(line["epoch"], line["step"]) for line in lines(tmp_path / "run")] == [
        (e, s) for e in (1, 2) for s in (1, 2, 3)
    ]
    assert lines(tmp_path / "run")[:3] == whole


def test_a_damaged_log_is_refused_in_a_sentence(tmp_path, capsys):
    assert command(*ARGUMENTS, "--epochs", 1, "--run", "run", "--log-steps") == 0
    (tmp_path / "run" / "steps.jsonl").write_text('{"epoch": 0}\n')
    assert command("--resume", "--run", "run", "--epochs", 2, "--log-steps") == 2
    assert "restore it from a copy, or remove it." in capsys.readouterr().err


def test_without_the_option_nothing_is_logged(tmp_path):
    assert command(*ARGUMENTS, "--epochs", 1, "--run", "run") == 0
    assert not (tmp_path / "run" / "steps.jsonl").exists()


def test_tensorboard_gets_a_point_a_step_and_the_tests_of_every_epoch(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto import event_pb2

    assert command(*ARGUMENTS, "--epochs", 2, "--run", "run", "--tensorboard") == 0
    (path,) = (tmp_path / "run" / "tensorboard").iterdir()
    data, points = path.read_bytes(), {}
    while data:  # a record: its length in 8 bytes, a sum of 4, the event, a sum of 4
        length = int.from_bytes(data[:8], "little")
        event = event_pb2.Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]
        for value in event.summary.value:
            points.setdefault(value.tag, []).append(event.step)
    assert points["train/loss"] == points["learning_rate"] == [1, 2, 3, 4, 5, 6]
    assert points["test/loss"] == [3, 6]
    assert any("fused" in tag for tag in points)


def test_without_the_package_tensorboard_is_refused_in_a_sentence_before_anything_is_made(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert command(*ARGUMENTS, "--epochs", 1, "--run", "run", "--tensorboard") == 2
    assert "pip install 'cldl[tensorboard]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
