"""A classifier on the features of a body that does not learn: they are computed once, and nothing else changes."""

import json

import numpy as np
import pytest

from cldl import evaluate, train
from cldl.recipes import find
from cldl.training import trainer as training
from cldl.training.run import Run
from cldl.training.trainer import Trainer
from data.disk.split import DiskSplit
from tests.cldl.training.test_trainer import run, timeless
from tests.data.disk.photos import tree

FEATURES = {
    "model": "features",
    "width": 1 / 16,
    "size": 32,
    "augment": False,
    "epochs": 3,
    "batch_size": 8,
    "n_classes": 2,
}


def recipe(**values):
    return find("folder").changed(loss="hinge", companion_epochs=None, **{**FEATURES, **values})


def trainer(photos, **values):
    own = recipe(**values)
    return Trainer.from_recipe(own, photos.dataset(own.data.view(32)), threads=1)


def arrays(t):
    return {name: array.copy() for name, array in t.state()[0].items()}


def test_every_image_is_decoded_once_and_only_the_classifier_learns(photos, monkeypatch):
    decoded, image = [], DiskSplit._image
    monkeypatch.setattr(DiskSplit, "_image", lambda self, i: decoded.append((len(self), i)) or image(self, i))
    t = trainer(photos)
    assert t.is_frozen
    before = arrays(t)
    run(t, 3)
    assert sorted(decoded) == [*((6, i) for i in range(6)), *((30, i) for i in range(30))]
    changed = {name for name, array in arrays(t).items() if not np.array_equal(array, before[name])}
    assert {name for name in changed if name.startswith("weights/")} == {
        *("weights/head_top.fc.weight", "weights/head_top.fc.bias"),
    }
    assert {name.rpartition("/")[2] for name in before if name.startswith("optimiser/")} == {
        *("head_top.fc.weight", "head_top.fc.bias"),
    }


def test_it_learns_as_it_does_where_the_features_are_computed_in_each_step(photos, monkeypatch):
    quick = trainer(photos)
    lines = run(quick, 3)
    monkeypatch.setattr(training, "learning_part", lambda network, *_: network)
    slow = trainer(photos)
    assert not slow.is_frozen
    for a, b in zip(lines, run(slow, 3), strict=True):
        a, b = timeless(a), timeless(b)
        assert a["test_error"] == b["test_error"]
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-4)
    weights = "weights/head_top.fc.weight"
    np.testing.assert_allclose(arrays(quick)[weights], arrays(slow)[weights], rtol=1e-3, atol=1e-6)
    found = quick.model().evaluate(quick.dataset.test)
    np.testing.assert_allclose(quick.evaluate().on_target, found.on_target, rtol=1e-4)


@pytest.mark.parametrize("values", [{"augment": True}, {"body_lr_mult": 0.1}])
def test_where_images_or_the_body_change_features_are_not_kept(photos, values):
    assert not trainer(photos, **values).is_frozen


def test_a_run_on_features_is_stopped_goes_on_and_is_evaluated_as_any_other(tmp_path, capsys):
    pets = tree(tmp_path / "pets", "cat", "dog", "cow", count=10)
    common = ["--data", str(pets), "--cache", str(tmp_path / "cache"), "--run", str(tmp_path / "run")]
    words = [
        "--model",
        "features",
        "--width",
        "0.0625",
        "--size",
        "32",
        "--augment",
        "no",
        "--epochs",
        "1",
        "--threads",
        "1",
    ]
    assert train.main(["folder", *common, *words]) == 0
    assert train.main(["--resume", *common, "--epochs", "2"]) == 0
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    capsys.readouterr()
    assert evaluate.main([str(tmp_path / "run"), *common[:4]]) == 0
    assert f"{last['test_error']['fused']:.2f}" in capsys.readouterr().out
    assert Run.open(tmp_path / "run").recipe.model.layer == "fc6_relu"
