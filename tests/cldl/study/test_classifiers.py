"""python -m cldl.study classifiers: ten runs, a figure, and going on where it was stopped."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cldl.study import classifiers
from cldl.study.__main__ import main
from data import registry
from tests.cldl import tiny
from tests.cldl.synthetic import digits

EVERY = classifiers.COUNTS
SHORT = ["--epochs", "1", "--threads", "1", "--batch-size", "24", "--warmup", "0", "--preprocessing", "standard"]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The study in a folder, on small networks and few images; `study()` gives the exit status."""
    images = replace(digits(24, 10), name="CIFAR-100")
    monkeypatch.setitem(registry.LOADERS, "cifar100", lambda cache, data, say: images)
    monkeypatch.setattr(
        "cldl.recipes.recipe.Recipe.build_network", lambda recipe: tiny.network(recipe.model.classifiers)
    )
    monkeypatch.setattr("cldl.reporting.run_report.write_report", lambda folder, *_: folder)
    monkeypatch.setattr(classifiers, "COUNTS", (1, 3))
    folders = ["--out", str(tmp_path / "sweep"), "--cache", str(tmp_path / "cache")]
    return lambda *options: main(["classifiers", *folders, *SHORT, *options])


def runs(tmp_path):
    return sorted(path.parent for path in (tmp_path / "sweep").glob("*/config.json"))


def test_every_number_of_classifiers_is_trained_with_and_without_augmentation(study, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(classifiers, "COUNTS", EVERY)
    assert study() == 0
    configs = [json.loads((folder / "config.json").read_text())["recipe"] for folder in runs(tmp_path)]
    asked = [(c["model"]["classifiers"], c["data"]["augment"]) for c in configs]
    assert sorted(asked) == [(M, augment) for M in range(1, 6) for augment in (False, True)]
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    start = lines.index("classifiers  without augmentation  with augmentation")
    assert [line.split()[0] for line in lines[start + 1 : start + 6]] == list("12345")
    assert all(line.count("%") == 2 for line in lines[start + 1 : start + 6])
    assert Image.open(tmp_path / "sweep" / "classifiers.png").width > 500


def test_it_goes_on_where_it_was_stopped_and_trains_nothing_twice(study, tmp_path, monkeypatch):
    train, called = classifiers.train.main, []

    def counted(arguments, stop_at=3):
        called.append(arguments)
        return 130 if len(called) == stop_at else train(arguments)

    monkeypatch.setattr(classifiers.train, "main", counted)
    assert study() == 130
    assert len(runs(tmp_path)) == 2
    assert (tmp_path / "sweep" / "classifiers.png").exists()
    assert study() == 0
    assert len(called) == 3 + 2
    called.clear()
    assert study() == 0
    assert called == []


def test_a_run_that_was_begun_is_resumed(study, tmp_path, monkeypatch):
    assert study() == 0
    (tmp_path / "sweep" / "cifar100_nin-3" / "metrics.jsonl").unlink()
    called = []
    monkeypatch.setattr(classifiers.train, "main", lambda arguments: called.append(arguments) or 1)
    assert study() == 1
    assert [arguments[-1] for arguments in called] == ["--resume"]


def test_runs_with_other_settings_are_not_taken_for_the_ones_that_are_asked_for(study, capsys):
    assert study() == 0
    capsys.readouterr()
    for other in (["--seed", "1"], ["--learning-rate", "0.5"], ["--limit-train", "5"]):
        assert study(*other) == 2
        assert "holds a run with other settings" in capsys.readouterr().err


def test_the_figure_has_the_posters_axes_and_its_four_points():
    figure = classifiers.draw({"cifar100_nin": {1: 40.0, 2: 38.0}, "cifar100_nin_augmented": {}})
    (axes,) = figure.axes
    assert axes.get_xlabel() == "number of classifiers"
    assert axes.get_ylabel() == "test error in %"
    drawn = {line.get_label(): np.array(line.get_data()).T.tolist() for line in axes.lines}
    assert drawn == {
        "without augmentation": [[1, 40], [2, 38]],
        "without augmentation, the poster's table": [[1, 35.96], [3, 30.40]],
        "with augmentation, the poster's table": [[1, 32.75], [3, 29.05]],
    }


def test_an_option_that_no_run_knows_is_refused(study, capsys):
    assert study("--colour", "red") == 2
    assert "there is no option --colour" in capsys.readouterr().err
