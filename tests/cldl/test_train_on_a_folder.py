"""`python -m cldl.train folder`: from a folder of images to a run that is evaluated and goes on."""

import json
import re

import numpy as np
import pytest

from cldl import evaluate, predict, train
from cldl.recipes.recipe import Recipe
from cldl.reporting.explain import limit
from cldl.training.run import Run
from data.dataset import read_images
from tests.cldl.training.test_own_training import small_network
from tests.data.disk.photos import jpeg, tree, write


@pytest.fixture
def small(monkeypatch):
    """Two small classifiers in the place of the recipe's network."""

    def build(recipe):
        return small_network(shape=recipe.image_shape, classes=recipe.data.classes)

    monkeypatch.setattr(Recipe, "build_network", build)


@pytest.fixture
def pets(tmp_path):
    return write(tree(tmp_path / "pets", "cat", "dog", "cow", count=10), {"cat/broken.jpg": jpeg()[:-80]})


def options(tmp_path, pets, *more):
    common = ["--data", str(pets), "--cache", str(tmp_path / "cache")]
    return [*common, *more]


def run(tmp_path, pets, *more):
    own = [
        "folder",
        "--run",
        str(tmp_path / "run"),
        "--threads",
        "1",
        "--epochs",
        "1",
        "--classifiers",
        "2",
        "--batch-size",
        "8",
    ]
    return train.main([*own, *options(tmp_path, pets, *more)])


def test_a_folder_is_trained_on_and_tested_and_what_was_found_in_it_is_kept(tmp_path, pets, small, capsys):
    assert run(tmp_path, pets) == 0
    printed = capsys.readouterr().out
    assert "warning: pets: 1 of 31 files are skipped: 'cat/broken.jpg' is cut short" in printed
    assert "pets, 24 images to train on and 6 to test on, 32 x 32 x 3, 3 classes" in printed
    assert "waiting" in printed
    opened = Run.open(tmp_path / "run")
    assert (opened.recipe.data.size, opened.recipe.data.n_classes) == (32, 3)
    assert opened.recipe.sources["data.n_classes"] == "found in the data"
    assert opened.config["classes"] == ["cat", "cow", "dog"]
    (line,) = opened.metrics()
    assert 0 <= line["waiting_seconds"] <= line["seconds"]


def test_a_run_on_a_folder_is_evaluated_on_one_crop_or_ten(tmp_path, pets, small, capsys):
    run(tmp_path, pets)
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    capsys.readouterr()
    assert evaluate.main([str(tmp_path / "run"), *options(tmp_path, pets)]) == 0
    assert f"{line['test_error']['fused']:.2f}" in capsys.readouterr().out
    assert evaluate.main([str(tmp_path / "run"), *options(tmp_path, pets, "--crops", "10")]) == 0
    assert "on 6 images of pets, 10 crops of each" in capsys.readouterr().out


def test_what_a_test_with_other_views_found_is_kept_and_shown_on_the_page(tmp_path, pets, small, capsys):
    run(tmp_path, pets, "--size", "24")
    folder, common = str(tmp_path / "run"), options(tmp_path, pets)
    page = tmp_path / "run" / "report" / "index.html"
    for view in (["--scales", "32"], ["--dense", "--scales", "32,40"], ["--dense", "--scales", "32,40"]):
        assert evaluate.main([folder, *common, *view]) == 0
    assert (
        f"testing {folder} on 6 images of pets, whole, and mirrored, resized to 32 and 40 pixels"
        in capsys.readouterr().out
    )
    opened = Run.open(tmp_path / "run")
    found = opened.evaluations()
    assert [(line["crops"], line["scales"], line["epoch"]) for line in found] == [
        ("1", [32], 1),
        ("whole", [32, 40], 1),
    ]
    assert set(found[0]["test_error"]) == {"1", "2", "fused"}
    assert "the images are seen" not in page.read_text()
    assert evaluate.main([folder, *common]) == 0
    assert "<td>whole, and mirrored, resized to 32 and 40 pixels</td>" in page.read_text()


@pytest.mark.parametrize(
    "words", [["--scales", "many"], ["--scales", "4"], ["--scales", "32,"], ["--dense", "--crops", "5"]]
)
def test_a_view_that_cannot_be_is_one_line(tmp_path, words, capsys):
    assert evaluate.main([str(tmp_path), *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_another_network_is_trained_and_the_run_keeps_which(tmp_path, pets, capsys):
    assert run(tmp_path, pets, "--model", "vgg11", "--width", "0.0625", "--classifiers", "3") == 0
    opened = Run.open(tmp_path / "run")
    assert (opened.recipe.model.definition, opened.recipe.data.size) == ("vgg11", 32)
    assert "network   3 classifiers" in capsys.readouterr().out
    assert opened.load()[0]["weights/conv5_2.weight"].shape == (3, 3, 32, 32)
    resumed = ["--resume", "--run", str(tmp_path / "run"), "--epochs", "2", *options(tmp_path, pets)]
    assert train.main(resumed) == 0
    assert len(opened.metrics()) == 2


def test_a_run_goes_on_after_images_were_added_only_where_they_are_named(tmp_path, pets, small, capsys):
    run(tmp_path, pets)
    weights = Run.open(tmp_path / "run").load()[0]
    write(pets, {"dog/new.jpg": jpeg(99)})
    resume = ["--resume", "--run", str(tmp_path / "run"), "--epochs", "2", *options(tmp_path, pets)]
    assert train.main(resume) == 2
    assert "the run was trained on other images or labels than this copy of pets has" in capsys.readouterr().err
    (pets / "dog" / "new.jpg").unlink()
    assert train.main(resume) == 0
    arrays = Run.open(tmp_path / "run").load()[0]
    assert any(not np.array_equal(weights[name], arrays[name]) for name in weights)


def test_a_run_on_a_folder_labels_files_as_a_test_sees_them_without_the_folder(tmp_path, pets, small, capsys):
    run(tmp_path, pets)
    opened = Run.open(tmp_path / "run")
    data = opened.recipe.data.load(tmp_path / "cache", pets)
    path = data.test.root / data.test.index.name(int(data.test.rows[0]))
    image = opened.recipe.data.read_image(path, data.test.shape)
    np.testing.assert_array_equal(image, read_images(data.test, [0])[0])
    capsys.readouterr()
    assert predict.main([str(tmp_path / "run"), str(path), str(pets / "cat" / "broken.jpg")]) == 2
    printed = capsys.readouterr()
    assert re.match(rf"{path}: (cat|cow|dog), decided by classifier", printed.out)
    assert (
        printed.err
        == f"error: {pets / 'cat' / 'broken.jpg'} is cut short: give an intact JPEG, PNG, GIF, BMP or WebP image.\n"
    )


def test_explain_says_whether_reading_or_the_network_is_the_limit(tmp_path, pets, small, capsys):
    assert train.main(["folder", "--explain", "--batch-size", "8", "--classifiers", "2", *options(tmp_path, pets)]) == 0
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("images: ")]
    assert re.fullmatch(
        r"images: .* ms to read one, .* ms to train on it, so (reading|the network) is the limit; .*", said
    )
    assert limit(0.003, 0.001).endswith("so reading is the limit; reading takes 75% of the threads")


def test_the_recipe_without_a_folder_is_refused_in_one_line(tmp_path, small, capsys):
    assert train.main(["folder", "--run", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.startswith(
        "error: the recipe trains on a folder of your own, and none was named: give it by"
    )
    assert not (tmp_path / "run").exists()
