"""python -m cldl.report: finished runs beside the poster's table."""

import csv
import json
import re
from pathlib import Path

import pytest

from cldl.recipes import find
from cldl.report import HEAD, main
from cldl.reporting import comparison
from cldl.reporting.recipe_list import list_recipes
from cldl.reporting.rows import rows
from cldl.training.run import Run
from tests.cldl import tiny
from tests.cldl.reporting.drawn import legend, legend_is_clear


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr("cldl.training.run.processor", lambda: "an abacus")


def finished(folder, name="mnist_nin", error=0.5, seed=0, done=2, limit=None, **values):
    """A run of two epochs that ends with this error; its folder as text."""
    settings = tiny.SETTINGS | {"seed": seed, "threads": 2, "limit_train": limit}
    run = Run.create(folder, find(name).changed(epochs=2, **values), **settings)
    lines = tiny.metrics(2, run.recipe.model.n_classifiers)
    lines[-1]["test_error"]["fused"] = error
    run.record(lines[:done])
    return str(folder)


def table(capsys):
    """The rows of the Markdown table that was printed, head and rule left out, as lists of cells."""
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == list(HEAD)
    return cells[2:]


def test_each_method_stands_beside_its_own_cell_of_the_poster(tmp_path, capsys):
    names = {
        "mnist_nin": ("MNIST", "CLDL", "0.28", "+0.22"),
        "mnist_nin_softmax": ("MNIST", "NIN", "0.42", "+0.08"),
        "mnist_dsn": ("MNIST", "DSN", "0.39", "+0.11"),
        "mnist_maxout": ("MNIST", "Maxout", "0.47", "+0.03"),
        "cifar100_nin": ("CIFAR-100", "CLDL", "30.40", "-29.90"),
        "cifar100_nin_augmented_softmax": ("CIFAR-100, augmented", "NIN", "32.75", "-32.25"),
    }
    assert main([finished(tmp_path / name, name) for name in names]) == 0
    for row, (name, (data, method, theirs, difference)) in zip(table(capsys), names.items(), strict=True):
        machine = "an abacus, 2 threads"
        assert row == [data, f"{method} ({name})", "0.50", theirs, difference, "0", "2", machine, "2 min 2 s"]


def test_the_error_is_that_of_the_last_epoch_though_an_earlier_one_were_better(tmp_path, capsys):
    folder = finished(tmp_path / "run", error=20.0)
    assert Run.open(tmp_path / "run").metrics()[0]["test_error"]["fused"] < 20
    assert main([folder]) == 0
    assert table(capsys)[0][2] == "20.00"


def test_runs_that_differ_in_their_seeds_alone_share_a_row(tmp_path, capsys):
    seeds = [finished(tmp_path / str(seed), error=0.4 + 0.1 * seed, seed=seed) for seed in range(3)]
    other = finished(tmp_path / "other", learning_rate=0.01)
    assert main([*seeds, other]) == 0
    first, second = table(capsys)
    assert first[2:6] == ["0.50 ± 0.10", "0.28", "+0.22", "0, 1, 2"]
    assert second[1] == "CLDL (mnist_nin, learning_rate 0.01)"


def test_a_run_that_is_named_twice_counts_once(tmp_path, capsys):
    folder = finished(tmp_path / "run")
    assert main([folder, f"{folder}/../run"]) == 0
    assert table(capsys)[0][2:6] == ["0.50", "0.28", "+0.22", "0"]


def test_what_all_runs_have_changed_is_said_once_below_the_table(tmp_path, capsys):
    one = finished(tmp_path / "one", learning_rate=0.01)
    assert main([one]) == 0
    assert "\n\nChanged: learning_rate 0.01.\n\n" in (out := capsys.readouterr().out)
    assert "CLDL (mnist_nin) " in out
    other = finished(tmp_path / "other", learning_rate=0.01, dropout=0.25)
    assert main([one, other, "--html", str(tmp_path / "table.html")]) == 0
    assert "\n\nChanged in all: learning_rate 0.01.\n\n" in (out := capsys.readouterr().out)
    assert "CLDL (mnist_nin) " in out
    assert "CLDL (mnist_nin, dropout 0.25) " in out
    page = (tmp_path / "table.html").read_text()
    assert page.count("learning_rate 0.01") == 1
    assert "MNIST: CLDL (mnist_nin, dropout 0.25)" in page


def test_a_folder_of_ones_own_is_called_by_its_name(tmp_path, capsys):
    run = finished(tmp_path / "run", "folder")
    assert main([run]) == 0
    assert table(capsys)[0][0] == "a folder of your own"  # as a run of an older version has it
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset_name": "birds"}))
    assert main([run]) == 0
    assert table(capsys)[0][0] == "birds"


def test_cldl_whose_exponent_is_0_is_called_deep_supervision(tmp_path, capsys):
    assert main([finished(tmp_path / "run", exponent=0)]) == 0
    (row,) = table(capsys)
    assert row[1] == "deep supervision, 3 classifiers (mnist_nin)"
    assert row[3] == "-"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("training_sha256", "0" * 64),
        ("limit_train", 100),
        ("limit_test", 100),
        ("held_out", 100),
        ("machine", "a slide rule"),
        ("threads", 1),
    ],
)
def test_runs_that_differ_in_more_than_their_seeds_do_not_share_a_row(tmp_path, capsys, name, value):
    runs = [finished(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    path = tmp_path / "1" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    assert main(runs) == 0
    assert [row[5] for row in table(capsys)] == ["0", "1"]


def test_what_the_poster_has_not_is_not_compared(tmp_path, capsys):
    runs = [
        finished(tmp_path / "five", classifiers=5),
        finished(tmp_path / "few", limit=1000),
        finished(tmp_path / "deep", loss="softmax"),
    ]
    assert main(runs) == 0
    five, few, deep = table(capsys)
    assert five[1].startswith("CLDL, 5 classifiers (mnist_nin, ")
    assert few[0] == "MNIST (first 1,000 training images)"
    assert deep[1].startswith("deep supervision, 3 classifiers")
    assert five[3:5] == few[3:5] == deep[3:5] == ["-", "-"]


def test_the_page_holds_the_same_table_and_the_learning_curves(tmp_path, capsys):
    runs = [finished(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    other = finished(tmp_path / "other", "mnist_nin_softmax")
    assert main([*runs, other, "--html", str(tmp_path / "table.html")]) == 0
    page = (tmp_path / "table.html").read_text(encoding="utf-8")
    for row in table(capsys):
        assert all(f">{cell}</td>" in page for cell in row)
    titles = re.findall(r"<title>(\S+), epoch (\d): (\S+) %</title>", page)
    points = {runs[0]: ("12.5", "0.5"), runs[1]: ("12.5", "0.5"), other: ("25", "0.5")}
    assert titles == [
        (run, str(epoch), error) for run, errors in points.items() for epoch, error in enumerate(errors, 1)
    ]
    assert "MNIST: CLDL (mnist_nin, 2 seeds)" in page
    assert not re.search(r"(href|src)=\"(?!#)", page)


def test_the_comma_separated_values_are_numbers_in_full_precision_a_line_a_run(tmp_path, capsys):
    errors = {0: 1 / 3, 1: 0.5}
    runs = [finished(tmp_path / str(seed), error=error, seed=seed) for seed, error in errors.items()]
    softmax = finished(tmp_path / "softmax", "mnist_nin_softmax", limit=1000)
    assert main([*runs, softmax, "--csv", str(tmp_path / "table.csv")]) == 0
    assert (tmp_path / "table.csv").read_bytes().count(b"\r") == 0
    with open(tmp_path / "table.csv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["run"] for line in lines] == [*runs, softmax]
    assert [(int(line["seed"]), float(line["error"])) for line in lines[:2]] == list(errors.items())
    assert [line["poster"] for line in lines] == ["0.28", "0.28", ""]
    assert {(line["data_set"], line["epochs"], line["seconds"], line["images_per_second"]) for line in lines} == {
        ("MNIST", "2", "122.0", "1234.5")
    }
    assert [line["limit_train"] for line in lines] == ["", "", "1000"]
    own = Run.open(tmp_path / "0").metrics()[-1]
    assert [float(lines[0][f"error_{m}"]) for m in "123"] == [own["test_error"][m] for m in "123"]
    assert float(lines[0]["training_error_fused"]) == own["train_error"]["fused"]
    assert (lines[2]["error_2"], lines[2]["error_3"]) == ("", "")


@pytest.mark.parametrize("name", ["curves.png", "curves.svg", "curves.pdf"])
def test_the_learning_curves_are_drawn_into_one_picture(tmp_path, capsys, name):
    runs = [finished(tmp_path / "a"), finished(tmp_path / "b", dropout=0.1)]
    assert main([*runs, "--curves", str(tmp_path / name)]) == 0
    assert (tmp_path / name).stat().st_size > 5000


def test_a_picture_of_an_unknown_kind_is_refused_and_so_are_curves_of_no_runs(tmp_path, capsys):
    assert main([finished(tmp_path / "a"), "--curves", str(tmp_path / "curves.txt")]) == 2
    assert "give one such as curves.png" in capsys.readouterr().err
    assert main(["--poster", "--curves", str(tmp_path / "curves.png")]) == 2
    assert "name their folders" in capsys.readouterr().err


def test_runs_that_differ_in_their_seeds_alone_have_one_colour_and_one_name(tmp_path):
    seeds = [Run.open(Path(finished(tmp_path / str(seed), seed=seed))) for seed in (0, 1)]
    other = Run.open(Path(finished(tmp_path / "other", learning_rate=0.01)))
    figure = comparison.curves(rows([*seeds, other]))
    first, second, third = figure.axes[0].lines
    assert first.get_color() == second.get_color() != third.get_color()
    assert legend(figure) == ["MNIST: CLDL (mnist_nin, 2 seeds)", "MNIST: CLDL (mnist_nin, learning_rate 0.01)"]
    assert third.get_ydata().tolist() == [12.5, 0.5]
    assert legend_is_clear(figure)
    assert figure.axes[0].get_yscale() == "log"


def test_the_axis_is_linear_where_no_error_is_small(tmp_path, monkeypatch):
    run = Run.open(Path(finished(tmp_path / "run")))
    monkeypatch.setattr(Run, "metrics", lambda self: [{"test_error": {"fused": error}} for error in (90.0, 50.0)])
    axes = comparison.curves(rows([run])).axes[0]
    assert (axes.get_yscale(), axes.get_ylim()) == ("linear", (45.0, 100.0))


def test_a_run_that_is_not_finished_is_refused_with_the_way_to_finish_it(tmp_path, capsys):
    folder = finished(tmp_path / "run", done=1)
    assert main([folder]) == 2
    error = capsys.readouterr().err
    assert f"{folder} has 1 of its 2 epochs: finish it with python -m cldl.train --resume --run {folder}" in error
    assert error.count("\n") == 1


def test_what_is_not_finished_or_no_run_is_left_out_and_said(tmp_path, capsys):
    done, half = finished(tmp_path / "done"), finished(tmp_path / "half", done=1)
    (tmp_path / "note.txt").write_text("no run")
    assert main([half, done, str(tmp_path / "note.txt")]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("CLDL (mnist_nin)") == 1
    assert f"not finished or hold no run: {half}, {tmp_path / 'note.txt'}." in " ".join(printed.out.split())
    first, second = printed.err.splitlines()
    assert first.startswith(f"left out: {half} has 1 of its 2 epochs: finish it with")
    assert second.startswith(f"left out: {tmp_path / 'note.txt'} holds no run")


def test_where_every_run_is_left_out_each_is_an_error(tmp_path, capsys):
    assert main([finished(tmp_path / name, done=1) for name in "ab"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line[:7] for line in printed.err.splitlines()] == ["error: "] * 2


def test_a_data_set_or_network_that_the_poster_has_not_is_a_row_without_its_number(tmp_path, monkeypatch, capsys):
    folder = finished(tmp_path / "own")
    monkeypatch.setattr("cldl.reporting.poster.NAMES", {})
    assert main([folder]) == 0
    assert table(capsys)[0][:5] == ["mnist", "CLDL (mnist_nin)", "0.50", "-", "-"]
    listed = list(list_recipes())
    assert any(line.startswith("  mnist_nin ") for line in listed[listed.index("mnist") :])


def test_a_run_that_was_continued_with_more_epochs_has_a_row_of_its_own(tmp_path, capsys):
    longer, plain = finished(tmp_path / "longer"), finished(tmp_path / "plain", seed=1)
    path = tmp_path / "longer" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"changed_epochs": [{"epochs": 1, "after": 1}]}))
    assert main([longer, plain]) == 0
    assert [row[6] for row in table(capsys)] == ["1 → 2", "2"]


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err


def test_the_name_of_the_processor_is_kept_with_a_run(tmp_path, monkeypatch):
    monkeypatch.undo()
    Run.create(tmp_path, find("mnist_nin"), seed=0)
    assert json.loads((tmp_path / "config.json").read_text())["machine"] not in ("", "an abacus")


def test_two_seeds_have_a_spread_and_one_thread_is_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(tiny.SETTINGS, "threads", 1)
    runs = [tmp_path / str(seed) for seed in (0, 1)]
    for seed, folder in enumerate(runs):
        run = Run.create(folder, find("mnist_nin").changed(epochs=2), **tiny.SETTINGS | {"seed": seed})
        lines = tiny.metrics(2)
        lines[-1]["test_error"]["fused"] = 0.4 + 0.2 * seed
        run.record(lines)
    assert main(list(map(str, runs))) == 0
    (row,) = table(capsys)
    assert (row[2], row[5], row[7]) == ("0.50 ± 0.14", "0, 1", "an abacus, 1 thread")


def test_the_markdown_table_is_lined_up_with_numbers_to_the_right(tmp_path, capsys):
    assert main([finished(tmp_path / "run")]) == 0
    head, rule, row = capsys.readouterr().out.splitlines()[:3]
    numbers = {HEAD[i] for i in (2, 3, 4, 6, 8)}
    for name, line in zip(head.strip("|").split("|"), rule.strip("|").split("|"), strict=True):
        dashes = "-" * (len(name) - 2)
        assert line == (f" {dashes[1:]}: " if name.strip() in numbers else f" {dashes} ")
    assert " error in % | the poster | difference | seeds | epochs |" in head
    assert "       0.50 |       0.28 |      +0.22 | 0     |      2 |" in row


def test_the_page_has_a_title_and_numbers_to_the_right(tmp_path, capsys):
    assert main([finished(tmp_path / "run"), "--html", str(tmp_path / "table.html")]) == 0
    page = (tmp_path / "table.html").read_text(encoding="utf-8")
    assert "<title>Runs beside the poster</title>" in page
    assert "<h1>Runs beside the poster</h1>" in page
    assert '<td class="number">+0.22</td><td>0</td>' in page
