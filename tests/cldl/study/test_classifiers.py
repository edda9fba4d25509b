"""python -m cldl.study classifiers: two tables of the training study, and a figure."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from cldl.study import classifiers, training
from cldl.study.__main__ import main
from cldl.study.variants import COUNTS, TABLES
from cldl.train import choose_recipe, parse
from data import registry
from tests.cldl import tiny
from tests.cldl.synthetic import digits

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
    for table in classifiers.SERIES:
        few = {variant: COUNTS[variant] for variant in ("M = 1", "M = 3")}
        monkeypatch.setitem(TABLES, table, replace(TABLES[table], variants=few))
    folders = ["--out", str(tmp_path / "sweep"), "--cache", str(tmp_path / "cache")]
    return lambda *options: main(["classifiers", *folders, *SHORT, "--held-out", "8", *options])


@pytest.mark.parametrize("table", classifiers.SERIES)
def test_the_tables_have_one_to_five_classifiers_with_and_without_augmentation(table):
    recipes = [choose_recipe(parse(training.words(TABLES[table], variant))) for variant in TABLES[table].variants]
    assert [recipe.model.classifiers for recipe in recipes] == [1, 2, 3, 4, 5]
    assert {recipe.data.augment for recipe in recipes} == {table.endswith("augmented")}


def test_each_number_is_trained_once_plain_and_augmented_and_drawn(study, tmp_path, monkeypatch):
    assert study() == 0
    for table in classifiers.SERIES:
        lines = [json.loads(line) for line in (tmp_path / "sweep" / f"{table}.jsonl").read_text().splitlines()]
        assert [line["variant"] for line in lines] == ["M = 1", "M = 3"]
        assert {line["recipe"]["data"]["augment"] for line in lines} == {table.endswith("augmented")}
    assert Image.open(tmp_path / "sweep" / "classifiers.png").width > 500
    monkeypatch.setattr(training.train, "main", lambda arguments: pytest.fail("trained twice"))
    assert study() == 0


def test_where_a_run_is_stopped_the_study_ends_with_its_status_and_draws_what_there_is(study, tmp_path, monkeypatch):
    train, called = training.train.main, []

    def stopped_at_the_second(arguments):
        called.append(arguments)
        return 130 if len(called) == 2 else train(arguments)

    monkeypatch.setattr(training.train, "main", stopped_at_the_second)
    assert study() == 130
    assert len(called) == 2
    assert (tmp_path / "sweep" / "classifiers.png").exists()
    assert classifiers.points(tmp_path / "sweep" / "classifiers.jsonl").keys() == {1}


def test_the_results_may_lie_in_another_folder_than_the_runs(study, tmp_path):
    (tmp_path / "notes").mkdir()
    assert study("--results", str(tmp_path / "notes"), "--seeds", "1") == 0
    assert {path.name for path in (tmp_path / "notes").iterdir()} == {f"{table}.jsonl" for table in classifiers.SERIES}


def test_the_figure_has_the_mean_of_the_seeds_and_beside_it_the_posters_four_numbers():
    figure = classifiers.draw({"classifiers": {1: [40.0, 42.0], 2: [38.0]}, "classifiers_augmented": {}})
    ours, theirs = figure.axes
    assert ours.get_xlabel() == theirs.get_xlabel() == "number of classifiers"
    assert next(line.get_xydata().tolist() for line in ours.lines) == [[1, 41], [2, 38]]
    assert [text.get_text() for text in ours.texts] == ["41.00", "38.00"]
    assert [line.get_xydata().tolist() for line in theirs.lines] == [
        [[1, 35.96], [3, 30.40]],
        [[1, 32.75], [3, 29.05]],
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["without augmentation", "with augmentation"]


def test_an_option_that_no_run_knows_is_refused(study, capsys):
    assert study("--colour", "red") == 2
    printed = capsys.readouterr()
    assert "there is no option --colour" in printed.err
    assert "figure:" not in printed.out  # there is nothing to draw
