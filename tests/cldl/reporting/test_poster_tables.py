"""The poster's two tables: its numbers, the recipes that reach each of its cells, and what runs reached."""

import csv
from html import escape

import pytest

from cldl.recipes import RECIPES, find
from cldl.report import main
from cldl.reporting import poster
from cldl.reporting.poster_tables import TABLES, cells
from cldl.training.run import Run
from tests.cldl import tiny

OBJECTS = """
Dataset               Maxout  NIN    DSN    GoogLeNet  CLDL
CIFAR-100             38.57   35.96  34.57  -          30.40
CIFAR-100,_augmented  -       32.75  -      -          29.05
MNIST                 0.47    0.42   0.39   -          0.28
ImageNet              -       -      -      11.1       10.21
"""
SCENES = """
Dataset    Places  Deep19  DAG-CNN  Places-AlexNet  Places-CNDS8
MIT67      54.32   70.80   77.50    68.20           76.10
SUN397     68.24   51.90   56.20    54.30           60.70
Places205  50.00   -       -        80.90           84.10

Dataset    Places-GoogLeNet  Places205-VGG11  Places205-VGG13  Places205-VGG16  CLDL
MIT67      76.30             82.00            81.90            81.20            84.69
SUN397     61.10             65.30            66.70            66.90            70.40
Places205  85.41             87.60            88.10            88.50            88.67
"""
OUTSIDE = {
    "folder": "the poster does not have these data",
    "mnist_nin_shared": "its loss goes beyond the poster's formula",
    "mit67_vgg11_softmax": "the poster has no VGG11 on MIT67",
    "sun397_vgg16_softmax": "the poster has no VGG16 on SUN397",
}


def typed(text):
    """The cells of a table as the poster prints it: (data set, system): number, or None for a dash."""
    found = {}
    for block in text.strip().split("\n\n"):
        (_, *systems), *rows = (line.split() for line in block.splitlines())
        for name, *numbers in rows:
            for system, number in zip(systems, numbers, strict=True):
                found[name.replace("_", " "), system] = None if number == "-" else float(number)
    return found


@pytest.mark.parametrize(("table", "text"), [*zip(TABLES, (OBJECTS, SCENES), strict=True)])
def test_the_tables_are_the_posters_gaps_and_all(table, text):
    shown = {(data, system): None if n == "-" else float(n) for data, system, n, _, _ in cells(table, [])}
    assert shown == typed(text)
    assert list(shown) == sorted(
        typed(text), key=lambda cell: ([*table.cells].index(cell[0]), table.systems.index(cell[1]))
    )


@pytest.mark.parametrize("table", TABLES)
def test_every_cell_has_a_recipe_and_a_gap_has_none(table):
    for data, system, number, here, recipe in cells(table, []):
        if number == "-":
            assert (here, recipe) == ("", ""), (data, system)
        else:
            assert (here, recipe in RECIPES) == ("-", True), (data, system)


def test_a_recipe_has_a_cell_or_says_why_not():
    reached = {recipe for table in TABLES for *_, recipe in cells(table, [])}
    assert {recipe.name: poster.why_not(recipe) for recipe in RECIPES.values() if recipe.name not in reached} == OUTSIDE
    assert all(not poster.why_not(find(name)) for name in reached - {""})


def test_the_systems_of_the_scenes_are_these_recipes():
    by_cell = {(data, system): recipe for data, system, _, _, recipe in cells(TABLES[1], [])}
    assert by_cell["MIT67", "Deep19"] == "mit67_vgg19_features"
    assert by_cell["SUN397", "Places205-VGG13"] == "sun397_vgg13_features"
    assert by_cell["Places205", "Places205-VGG11"] == "places205_vgg11_softmax"
    assert by_cell["MIT67", "Places"] == by_cell["MIT67", "Places-AlexNet"] == "mit67_alexnet_features"
    assert [by_cell[data, "CLDL"] for data in ("MIT67", "SUN397", "Places205")] == [
        *("mit67_vgg11", "sun397_vgg16", "places205_vgg11"),
    ]


def finished(folder, name, error, top5=None, seed=0, limit=None, held_out=None, **values):
    """A run of two epochs that ends with these errors; its folder as text."""
    limits = {"seed": seed, "limit_train": limit, "held_out": held_out}
    run = Run.create(folder, find(name).changed(epochs=2, **values), **tiny.SETTINGS | limits)
    lines = tiny.metrics(2, run.recipe.model.n_classifiers)
    lines[0]["test_error"]["fused"] = 0.0
    lines[-1]["test_error"]["fused"] = error
    if top5 is not None:
        for line in lines:
            line["test_top5_error"] = dict(line["test_error"], fused=top5)
    run.record(lines)
    return str(folder)


def printed(capsys, *runs):
    """The table that is printed, {(data set, system, recipe): what was reached}; and all of the text."""
    assert main(["--poster", *runs]) == 0
    text, found, last = capsys.readouterr().out, {}, ["", ""]
    for line in text.splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if len(row) == 5:
            last = [own or above for own, above in zip(row, last, strict=False)]
            found[last[0], last[1], row[4]] = row[3]
    return found, text


def test_what_runs_reached_stands_in_the_posters_measure(tmp_path, capsys):
    found, _ = printed(
        capsys,
        finished(tmp_path / "a", "mnist_nin", 0.5),
        finished(tmp_path / "b", "imagenet_googlenet", 40.0, top5=12.5),
        finished(tmp_path / "c", "places205_alexnet", 52.0, top5=20.0),
        finished(tmp_path / "d", "mit67_vgg11_features", 19.0),
        finished(tmp_path / "e", "sun397_vgg16", 30.0, top5=9.0),
    )
    assert found["MNIST", "CLDL", "mnist_nin"] == "0.50"
    assert found["MNIST", "CLDL", "mnist_nin_published"] == "-"
    assert found["ImageNet", "CLDL", "imagenet_googlenet"] == "12.50"
    assert found["Places205", "Places-AlexNet", "places205_alexnet"] == "80.00"
    assert (
        found["Places205", "Places", "places205_alexnet"] == "48.00"
    )  # of the best class alone, as the poster's 50.00
    assert found["MIT67", "Places205-VGG11", "mit67_vgg11_features"] == "81.00"
    assert found["SUN397", "CLDL", "sun397_vgg16"] == "70.00"


def test_a_run_that_does_not_tell_the_posters_measure_is_not_shown(tmp_path, capsys):
    found, _ = printed(capsys, finished(tmp_path / "a", "imagenet_googlenet", 40.0))
    assert found["ImageNet", "CLDL", "imagenet_googlenet"] == "-"


def test_seeds_are_averaged_and_of_other_differences_the_best_row_is_shown_with_what_was_changed(tmp_path, capsys):
    runs = [finished(tmp_path / str(seed), "mnist_nin", 0.4 + 0.2 * seed, seed=seed) for seed in (0, 1)]
    found, text = printed(capsys, *runs, finished(tmp_path / "worse", "mnist_nin", 0.7, dropout=0.1))
    assert found["MNIST", "CLDL", "mnist_nin"] == "0.50 ± 0.14"
    lines = text.splitlines()
    assert "mnist_nin: seeds 0, 1; epochs 2" in lines
    assert "mnist_nin: seed 0; epochs 2; dropout 0.1; not shown: another row is better" in lines
    found, text = printed(capsys, *runs, finished(tmp_path / "better", "mnist_nin", 0.3, dropout=0.1))
    assert found["MNIST", "CLDL", "mnist_nin"] == "0.30"
    assert "mnist_nin: seed 0; epochs 2; dropout 0.1" in text.splitlines()


def test_tests_that_saw_the_images_in_other_ways_are_told(tmp_path, capsys):
    folder = finished(tmp_path / "a", "places205_vgg11", 50.0, top5=15.0)
    errors = dict.fromkeys(("1", "2", "3", "fused"), 45.0)
    line = {
        "epoch": 2,
        "crops": "10",
        "scales": [256],
        "test_error": errors,
        "test_top5_error": dict(errors, fused=12.0),
    }
    Run.open(tmp_path / "a").record_evaluation(line)
    _, text = printed(capsys, folder)
    assert "places205_vgg11: seed 0; epochs 2; 10 crops of each, resized to 256 pixels: 88.00" in text.splitlines()


def test_a_run_on_a_part_of_the_data_is_no_result(tmp_path, capsys):
    found, text = printed(
        capsys,
        finished(tmp_path / "few", "mnist_nin", 0.1, limit=1000),
        finished(tmp_path / "held", "mnist_nin_softmax", 0.1, held_out=5000),
        finished(tmp_path / "shared", "mnist_nin_shared", 0.1),
    )
    assert found["MNIST", "CLDL", "mnist_nin"] == found["MNIST", "NIN", "mnist_nin_softmax"] == "-"
    lines = text.splitlines()
    assert "mnist_nin: seed 0; epochs 2; not shown: first 1,000 training images" in lines
    assert "mnist_nin_softmax: seed 0; epochs 2; not shown: tested on 5,000 training images" in lines
    assert "mnist_nin_shared: seed 0; epochs 2; not shown: its loss goes beyond the poster's formula" in lines


def test_a_changed_recipe_counts_for_what_it_is(tmp_path, capsys):
    one = {"classifiers": 1, "weights": (1.0,)}
    found, _ = printed(capsys, finished(tmp_path / "nin", "mnist_nin", 0.6, **one))
    assert found["MNIST", "NIN", "mnist_nin"] == "0.60"
    assert found["MNIST", "CLDL", "mnist_nin"] == "-"


def test_the_tables_fit_a_terminal_of_100_columns_and_say_what_is_odd_about_the_first_column(tmp_path, capsys):
    _, text = printed(capsys, *(finished(tmp_path / str(s), "cifar100_nin_augmented", 30.0, seed=s) for s in (0, 1)))
    assert max(map(len, text.splitlines())) <= 100
    assert "The first column does not fit its labels: the paper of Places has 68.24 for MIT67" in " ".join(text.split())
    assert "| folder               | the poster does not have these data" in text


def test_comma_separated_values_have_the_mean_and_the_deviation_of_the_seeds(tmp_path, capsys):
    runs = [finished(tmp_path / str(seed), "mnist_nin", 0.4 + 0.2 * seed, seed=seed) for seed in (0, 1)]
    printed(capsys, *runs, "--csv", str(tmp_path / "p.csv"))
    with open(tmp_path / "p.csv", encoding="utf-8") as file:
        (line,) = [line for line in csv.DictReader(file) if line["recipe"] == "mnist_nin"]
    assert (line["system"], line["seeds"]) == ("CLDL", "2")
    assert [float(line[name]) for name in ("here", "standard_deviation")] == pytest.approx([0.5, 0.02**0.5])


def test_pages_and_comma_separated_values_hold_the_tables(tmp_path, capsys):
    printed(capsys, "--html", str(tmp_path / "p.html"), "--csv", str(tmp_path / "p.csv"))
    page, lines = (tmp_path / "p.html").read_text(), (tmp_path / "p.csv").read_text().splitlines()
    assert all(escape(table.title) in page and escape(table.remark) in page for table in TABLES)
    assert lines[0] == "data_set,system,poster,here,standard_deviation,seeds,recipe"
    assert "CIFAR-100,Maxout,38.57,,,0,cifar100_maxout_published" in lines
    assert "Places205,Deep19,,,,0," in lines
    assert len(lines) == 1 + sum(1 for table in TABLES for _ in cells(table, []))


def test_the_errors_beside_a_run_are_those_of_the_same_measure():
    assert next(iter(poster.errors("MIT67", augmented=True).items())) == ("CLDL", pytest.approx(100 - 84.69))
    assert poster.errors("SUN397, partition 3", augmented=True)["DAG-CNN"] == pytest.approx(43.8)
    assert "Places" not in poster.errors("SUN397")
    assert poster.errors("ImageNet") == poster.errors("Places205", augmented=True) == {}
    assert list(poster.top5_errors("ImageNet").items()) == [("CLDL", 10.21), ("GoogLeNet", 11.1)]
    assert poster.top5_errors("MIT67") == {}
