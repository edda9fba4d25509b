"""`python -m cldl.train RECIPE --weights FILE`: a run that begins with weights in a file, and goes on without it."""

import hashlib

import numpy as np
import pytest

from cldl import train
from cldl.interop import save_weights
from cldl.recipes.recipe import Recipe
from cldl.training.run import Run
from engine.random import Key
from tests.cldl.interop.layouts import arrays_of
from tests.cldl.training.test_own_training import small_network
from tests.data.disk.photos import tree
from tools.fuzzing.weight_files import caffemodel

pytest.importorskip("safetensors")
pytest.importorskip("google.protobuf")
SIZE = (32, 32, 3)
TAKEN = "weights: 6 of 6 parameters are those of net.safetensors (cldl)\n"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Three classes of images, two small classifiers, no report."""
    tree(tmp_path / "pets", "cat", "dog", "cow", count=10)
    monkeypatch.setattr(Recipe, "build_network", lambda recipe: small_network(2, SIZE, recipe.data.classes))
    monkeypatch.setattr("cldl.reporting.run_report.write_report", lambda *arguments: "none")
    monkeypatch.chdir(tmp_path)


def trained(classes=3):
    """A network with weights that no seed draws."""
    network = small_network(2, SIZE, classes)
    network.initialise(Key(99))
    return network


def run(*arguments, folder="run"):
    common = [
        "folder",
        "--data",
        "pets",
        "--cache",
        "cache",
        "--classifiers",
        "2",
        "--epochs",
        "1",
        "--batch-size",
        "8",
    ]
    return train.main([*common, "--threads", "1", "--run", folder, *arguments])


def weights(folder):
    return {name: array for name, array in Run.open(folder).load()[0].items() if name.startswith("weights/")}


def only_begin(monkeypatch):
    """A run that is killed before its first step."""
    monkeypatch.setattr(train, "train", lambda *arguments: 0)


def test_the_run_begins_with_the_weights_and_says_and_keeps_where_they_are_from(tmp_path, monkeypatch, capsys):
    save_weights(trained(), "net.safetensors")
    only_begin(monkeypatch)
    assert run("--weights", "net.safetensors") == 0
    assert TAKEN in capsys.readouterr().out
    begun = weights(tmp_path / "run")
    for parameter in trained().parameters():
        np.testing.assert_array_equal(begun[f"weights/{parameter.name}"], parameter.value)
    digest = hashlib.sha256((tmp_path / "net.safetensors").read_bytes()).hexdigest()
    assert Run.open(tmp_path / "run").config["weights"] == {
        "file": "net.safetensors",
        "sha256": digest,
        "drawn_anew": [],
    }


def test_a_run_that_is_killed_before_its_first_epoch_goes_on_without_the_file_to_the_same_bits(tmp_path, monkeypatch):
    save_weights(trained(), "net.safetensors")
    assert run("--weights", "net.safetensors", folder="whole") == 0
    with monkeypatch.context() as killed:
        only_begin(killed)
        run("--weights", "net.safetensors")
    (tmp_path / "net.safetensors").unlink()
    assert train.main(["--resume", "--run", "run", "--data", "pets", "--cache", "cache"]) == 0
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)
    assert len(Run.open(tmp_path / "run").metrics()) == 1


def test_a_run_goes_on_with_its_own_weights_only(tmp_path, monkeypatch, capsys):
    save_weights(trained(), "net.safetensors")
    only_begin(monkeypatch)
    run("--weights", "net.safetensors")
    assert train.main(["--resume", "--run", "run", "--data", "pets", "--weights", "net.safetensors"]) == 2
    assert capsys.readouterr().err == "error: run has weights of its own: continue it without --weights.\n"
    (tmp_path / "run" / "checkpoint.h5").unlink()
    assert train.main(["--resume", "--run", "run", "--data", "pets"]) == 2
    assert (
        capsys.readouterr().err
        == "error: run was stopped before it had taken the weights of its file: start it anew.\n"
    )


def test_a_classifier_of_other_classes_is_drawn_from_the_seed_and_said(tmp_path, monkeypatch, capsys):
    save_weights(trained(classes=5), "net.safetensors")
    only_begin(monkeypatch)
    assert run("--weights", "net.safetensors") == 0
    assert run(folder="plain") == 0
    assert (
        "weights: 2 of 6 parameters are those of net.safetensors (cldl); drawn anew: low (5 classes there, 3 here), "
        "top (5 classes there, 3 here)\n"
    ) in capsys.readouterr().out
    begun, plain = weights(tmp_path / "run"), Run.open(tmp_path / "plain")
    assert Run.open(tmp_path / "run").config["weights"]["drawn_anew"] == [
        "low.weight",
        "low.bias",
        "top.weight",
        "top.bias",
    ]
    assert "weights" not in plain.config
    drawn = {p.name: p.value for p in small_network(2, SIZE, 3).parameters()}
    assert begun["weights/low.weight"].shape == drawn["low.weight"].shape
    np.testing.assert_array_equal(begun["weights/hidden.weight"], trained().parameters()[2].value)


@pytest.mark.parametrize("preprocessing", ["rgb_mean", "rgb_standard"])
def test_a_preprocessing_that_does_not_go_with_the_weights_is_said_with_the_option_to_set(
    preprocessing, monkeypatch, capsys, tmp_path
):
    (tmp_path / "net.caffemodel").write_bytes(caffemodel(arrays_of(trained())))
    only_begin(monkeypatch)
    assert run("--weights", "net.caffemodel", "--preprocessing", preprocessing) == 0
    said = "images that were preprocessed by rgb_mean, not by rgb_standard: --preprocessing rgb_mean\n"
    printed = capsys.readouterr().out
    assert "weights: 6 of 6 parameters are those of net.caffemodel (Caffe)\n" in printed
    assert (said in printed) == (preprocessing != "rgb_mean")


def test_weights_of_another_network_leave_no_folder_and_are_taken_partly_where_that_is_asked_for(
    tmp_path, monkeypatch, capsys
):
    arrays = arrays_of(trained())
    arrays["hidden"] = (arrays["hidden"][0][:, :-3], arrays["hidden"][1])
    (tmp_path / "net.caffemodel").write_bytes(caffemodel(arrays))
    only_begin(monkeypatch)
    assert run("--weights", "net.caffemodel") == 2
    error = capsys.readouterr().err
    assert (
        "net.caffemodel is of another network, and nothing was taken: hidden.weight is (12, 3069) there and (12, 3072)"
        in error
    )
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
    assert run("--weights", "net.caffemodel", "--weights-partly") == 0
    assert (
        "weights: 4 of 6 parameters are those of net.caffemodel (Caffe); drawn anew: hidden\n"
        in capsys.readouterr().out
    )


def test_a_file_that_is_not_there_is_refused_before_the_images_are_looked_at(tmp_path, capsys):
    assert run("--weights", "none.onnx") == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: there is no file of weights none.onnx: name a .safetensors")
    assert printed.out == ""
    assert not (tmp_path / "cache").exists()
