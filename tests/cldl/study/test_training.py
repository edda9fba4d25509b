"""python -m cldl.study training: each variant and seed is trained once, leaves a line, and is compared with the first one."""

import json
from pathlib import Path

import pytest
from PIL import Image

from cldl.recipes.stored import to_json
from cldl.study import training
from cldl.study.__main__ import main
from cldl.study.variants import TABLES, Table
from cldl.train import choose_recipe, parse
from data import registry
from engine.errors import UserError
from tests.cldl import tiny
from tests.cldl.synthetic import digits

NOTES = Path(__file__).parents[3] / "docs" / "lab-notes" / "training"
SHORT = "--epochs 1 --threads 1 --batch-size 24 --warmup 0 --held-out 8"
SMALL = Table("mnist_nin", SHORT, {"softmax": "--classifiers 1", "CLDL": "", "mixed": "--unweighted-share 0.5"})


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The study of a small table in a folder; `study()` gives the exit status."""
    monkeypatch.setitem(registry.LOADERS, "mnist", lambda cache, data, say: digits(32, 10))
    monkeypatch.setattr(
        "cldl.recipes.recipe.Recipe.build_network", lambda recipe: tiny.network(recipe.model.classifiers)
    )
    monkeypatch.setattr("cldl.reporting.run_report.write_report", lambda folder, *_: folder)
    monkeypatch.setitem(TABLES, "mnist", SMALL)
    folders = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    return lambda *options: main(["training", "mnist", *folders, *options])


def results(tmp_path):
    return [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]


def test_every_variant_and_seed_is_a_line_and_a_row_of_the_comparison(study, tmp_path, capsys):
    assert study("--seeds", "0", "1") == 0
    found = results(tmp_path)
    assert [(line["seed"], line["variant"]) for line in found] == [(s, v) for s in (0, 1) for v in SMALL.variants]
    for line in found:
        M = 1 if line["variant"] == "softmax" else 3
        assert set(line["errors"]) == {*map(str, range(1, M + 1)), "fused"}
        assert sum(line["decides_rightly"].values()) == pytest.approx(100 - line["errors"]["fused"])
        assert sum(line["in_turn"].values()) == pytest.approx(
            100
        )  # the wrong answers, and each classifier's right ones
        assert line["curve"] == [line["errors"]["fused"]]
        assert line["images"].endswith("8 training images held out")
    shown = capsys.readouterr().out.splitlines()
    rows, words = shown[-9:-6], shown[-5:]
    assert [row.split()[0] for row in rows] == ["softmax", "CLDL", "mixed"]
    assert all(" ± " in row and " 2 " in row for row in rows)
    assert words[1].startswith("less softmax: ")
    for heading in ("mean of P", "surest", "in turn", "classifiers 1 to M"):  # of the table, each explained
        assert heading in shown[-10]
        assert heading in " ".join(words)
    assert Image.open(tmp_path / "out" / "mnist.png").width > 500


def test_what_has_a_line_is_not_trained_again_and_what_was_stopped_is_resumed(study, tmp_path, monkeypatch):
    train, called = training.train.main, []

    def stopped_at_the_second(arguments):
        called.append(arguments)
        status = train(arguments)
        return 130 if len(called) == 2 else status

    monkeypatch.setattr(training.train, "main", stopped_at_the_second)
    assert study() == 130
    assert [line["variant"] for line in results(tmp_path)] == ["softmax"]
    assert study() == 0
    assert ["--resume" in arguments for arguments in called] == [False, False, True, False]
    assert [line["variant"] for line in results(tmp_path)] == list(SMALL.variants)


def test_results_whose_runs_have_all_ended_are_drawn_again(study, tmp_path):
    assert study("--only", "softmax") == 0
    (picture,) = (tmp_path / "out").glob("*.png")
    picture.unlink()
    assert study("--only", "softmax") == 0
    assert picture.exists()


def test_only_the_variants_that_are_named_are_trained(study, tmp_path):
    assert study("--only", "mixed", "CLDL") == 0
    assert [line["variant"] for line in results(tmp_path)] == ["mixed", "CLDL"]


def test_an_unknown_variant_is_refused(study, capsys):
    assert study("--only", "other") == 2
    assert "mnist has no variant 'other': choose from softmax, CLDL, mixed." in capsys.readouterr().err.replace(
        "\n", " "
    )


def test_a_result_of_other_settings_is_not_taken_for_this_one(study, capsys):
    assert study("--only", "softmax") == 0
    assert study("--only", "softmax", "--dropout", "0.1") == 2
    assert "of another recipe: give another --results" in capsys.readouterr().err.replace("\n", " ")


def test_a_file_that_holds_no_results_is_refused(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text('{"variant": 3}\n')
    with pytest.raises(UserError, match=r"results.jsonl .*: give another --results"):
        training.read(path)


def test_results_of_one_variant_with_different_classifiers_are_refused(study, tmp_path):
    assert study("--only", "softmax", "CLDL") == 0
    path = tmp_path / "out" / "results.jsonl"
    softmax, cldl = results(tmp_path)
    path.write_text("".join(json.dumps(line) + "\n" for line in (softmax, cldl, {**softmax, "errors": cldl["errors"]})))
    with pytest.raises(UserError, match=r"has runs of 'softmax' with different classifiers: give another --results"):
        training.read(path)


def test_the_difference_is_that_of_runs_with_one_seed():
    def line(variant, seed, error):
        return {
            "variant": variant,
            "seed": seed,
            "errors": {"1": error, "fused": error},
            "rules": {"mean": 1, "surest": 2},
        }

    found = [
        line("softmax", 0, 5.0),
        line("softmax", 1, 7.0),
        line("CLDL", 0, 4.0),
        line("CLDL", 1, 5.0),
        line("CLDL", 2, 90.0),
    ]
    softmax, cldl = training.lines(SMALL, found)[1:]
    assert "6.00 ± 1.00" in softmax
    assert "-1.50 ± 0.50" in cldl


@pytest.mark.parametrize("name", TABLES)
def test_every_variant_of_every_table_is_a_recipe_that_sees_the_same_images_as_often(name):
    table = TABLES[name]
    recipes = [choose_recipe(parse(training.words(table, variant))) for variant in table.variants]
    assert len({(recipe.data, recipe.optimiser, recipe.schedule) for recipe in recipes}) == 1
    assert len({(recipe.model, recipe.loss) for recipe in recipes}) == len(recipes)
    assert all(recipe.build_network().exits for recipe in recipes)


@pytest.mark.parametrize("path", sorted(NOTES.glob("*.jsonl")), ids=lambda path: path.stem)
def test_the_results_in_the_lab_notes_are_of_todays_tables(path):
    table = TABLES[path.stem]
    for line in training.read(path):
        arguments = [*training.words(table, line["variant"]), "--seed", str(line["seed"])]
        assert training.is_same(line["recipe"], to_json(choose_recipe(parse(arguments))))
