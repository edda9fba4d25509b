"""Early exit of a run: what is chosen on some images is tried on others, kept in the run, and read again."""

import json

import numpy as np
import pytest

from cldl import exits
from cldl.evaluate import main
from cldl.exits import ExitRule
from cldl.training import early_exit
from cldl.training.early_exit import kept_rule, usual_rule
from data import registry
from data.dataset import Dataset
from engine.errors import UserError
from tests.cldl import tiny

LABELS = np.tile([0, 1, 2, 3, 4, 5, 6, 7, 8, 8], 4)


def digits():
    images = np.stack([tiny.bright(k % 10) for k in range(40)])
    return Dataset.from_arrays("MNIST", images, LABELS, images[:20], LABELS[:20], tuple("0123456789"))


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.LOADERS, "mnist", lambda cache, data, say: digits())
    monkeypatch.setattr("cldl.reporting.page.DPI", 30)
    monkeypatch.setattr(early_exit, "ROUNDS", 1)
    return tiny.run(tmp_path / "run", monkeypatch)


def hold_out(run, number):
    path = run.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"held_out": number}))


@pytest.mark.parametrize(
    ("held_out", "sentence"),
    [
        (None, "chosen on test images 1 to 10, tried on test images 11 to 20"),
        (8, "chosen on 8 training images held out, tried on 20 test images"),
    ],
)
def test_the_command_measures_it_and_keeps_it_in_the_run(run, capsys, held_out, sentence):
    hold_out(run, held_out)
    assert main([str(run.folder), "--exit"]) == 0
    out = capsys.readouterr().out
    assert sentence in " ".join(out.split())
    assert out.endswith(f"report: {run.folder / 'report' / 'exits.html'}\n")
    shown = (run.folder / "report" / "exits.html").read_text()
    assert "10.00 %</strong> wrong" in shown
    kept = json.loads((run.folder / "exits.json").read_text())
    assert [point["above"] for point in kept["points"]] == list(early_exit.ABOVE)
    for point in kept["points"]:
        assert 0 < point["cost"] <= 1
        assert point["time"] > 0
        assert point["error"] == pytest.approx(10)
        assert sum(point["shares"]) == pytest.approx(100)
    assert kept_rule(run.folder, 0.9, 2) == ExitRule(kept["measure"], 0.9, tuple(kept["temperatures"]))


def test_images_leave_where_the_logits_of_all_layers_say_so(run):
    model, images = run.model(threads=1), digits().test
    logits = model.logits(images.images)
    for threshold in (0.0, 0.5, 0.9, 1.0):
        rule = ExitRule("confidence", threshold, (1.0, 1.0))
        found, left_at = model.in_turn(images, rule)
        assert left_at.tolist() == exits.exits_of(rule, logits).tolist()
        np.testing.assert_allclose(found[0], logits[0], rtol=1e-6)
        labels = exits.answers(found, left_at, model.objective.predictions(logits))
        assert labels.tolist() == (np.arange(20) % 10).tolist()
    # the bottom classifier is sure by 0.45: exp(2) of exp(2) + 9
    assert model.in_turn(images, ExitRule("confidence", 0.4, (1.0, 1.0)))[1].tolist() == [0] * 20
    assert model.in_turn(images, ExitRule("confidence", 0.5, (1.0, 1.0)))[1].tolist() == [1] * 20


def test_a_run_without_the_file_is_asked_by_plain_confidence(run):
    assert kept_rule(run.folder, 0.9, 2) == ExitRule("confidence", 0.9, (1.0, 1.0))
    with pytest.raises(UserError, match="one classifier, so there is no early exit"):
        kept_rule(run.folder, 0.9, 1)
    with pytest.raises(UserError, match="give a number from 0 to 1"):
        kept_rule(run.folder, 9, 2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"measure": "luck"}, "has measure 'luck', expected one of"),
        ({"temperatures": [1.0]}, "has 1 temperatures, expected 2"),
        ({"temperatures": [1.0, -1.0]}, "has temperatures.* -1.0, expected a number"),
    ],
)
def test_a_damaged_file_is_refused_in_a_sentence(run, change, sentence):
    assert main([str(run.folder), "--exit"]) == 0
    path = run.folder / "exits.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=f"{sentence}.*: make it anew by cldl.evaluate --exit"):
        kept_rule(run.folder, 0.9, 2)


def test_one_classifier_has_no_early_exit(run, monkeypatch):
    model = run.model(threads=1)
    monkeypatch.setattr(model.network, "exits", model.network.exits[1:])
    with pytest.raises(UserError, match="one classifier, so there is no early exit"):
        early_exit.study(model, digits(), {})


def test_the_usual_rule_is_the_measured_one_of_005_points_or_plain_confidence_where_nothing_was_measured(run):
    assert usual_rule(run.folder, 2) == (ExitRule("confidence", 0.999, (1.0, 1.0)), False)
    points = [
        {"above": above, "threshold": threshold, "error": 1, "cost": 1, "time": 1, "shares": [50, 50]}
        for above, threshold in ((0.0, 0.9), (0.05, 0.8), (0.1, 0.7))
    ]
    kept = {"measure": "margin", "temperatures": [2, 3], "fitted_on": "", "tried_on": "", "error": 1, "points": points}
    path = run.folder / "exits.json"
    path.write_text(json.dumps(kept))
    assert usual_rule(run.folder, 2) == (ExitRule("margin", 0.8, (2, 3)), True)
    path.write_text(json.dumps(kept | {"points": points[:1]}))
    assert usual_rule(run.folder, 2) == (ExitRule("margin", 0.999, (2, 3)), False)
