import json

import numpy as np
import pytest

from cldl.evaluate import main
from cldl.reporting import gallery
from data import registry
from data.dataset import Dataset
from engine.errors import UserError
from tests.cldl import tiny

LABELS = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 8])


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run that has 9 of 10 images right."""
    images = np.stack([tiny.bright(k) for k in range(10)])
    digits = Dataset.from_arrays("MNIST", images[:1], LABELS[:1], images, LABELS, tuple("0123456789"))
    monkeypatch.setitem(registry.LOADERS, "mnist", lambda cache, data, say: digits)
    monkeypatch.setattr("cldl.reporting.page.DPI", 30)
    monkeypatch.setattr(gallery, "SHOWN", 5)
    return tiny.run(tmp_path / "run", monkeypatch)


def test_it_prints_the_table_and_writes_the_report(run, capsys):
    assert main([str(run.folder)]) == 0
    out = capsys.readouterr().out
    page = run.folder / "report" / "index.html"
    assert f"testing {run.folder} on 10 images of MNIST" in out
    table = out.partition("Neither is ahead: ")[0].splitlines()
    assert table[-2].split() == ["all", "together", "(fused)", "10.00"]
    assert table[-1] == "on the poster: CLDL 0.28, DSN 0.39, NIN 0.42, Maxout 0.47"
    assert "This was a trial of 2 of the recipe's 12 epochs. The whole recipe (about " in out
    assert out.endswith(f"report: {page}\n")
    assert "1 wrong (10.00 %)" in page.read_text()


def test_the_runs_own_limit_of_test_images_holds(run, capsys):
    path = run.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"limit_test": 4}))
    assert main([str(run.folder)]) == 0
    assert "on 4 images" in capsys.readouterr().out


def test_a_run_without_metrics_has_a_report_too(run):
    (run.folder / "metrics.jsonl").unlink()
    assert main([str(run.folder)]) == 0
    assert (run.folder / "report" / "index.html").exists()


def test_nothing_of_the_run_but_its_report_changes(run):
    before = {file: file.read_bytes() for file in run.folder.iterdir()}
    main([str(run.folder)])
    assert {file: file.read_bytes() for file in run.folder.iterdir() if file.is_file()} == before


@pytest.mark.parametrize("spoil", ["nothing there", "no checkpoint", "damaged", "no data"])
def test_what_cannot_be_evaluated_is_one_line_and_status_2(run, monkeypatch, capsys, spoil):
    if spoil == "nothing there":
        run.folder = run.folder.parent / "none"
    if spoil == "no checkpoint":
        (run.folder / "checkpoint.h5").unlink()
    if spoil == "damaged":
        data = (run.folder / "checkpoint.h5").read_bytes()
        (run.folder / "checkpoint.h5").write_bytes(data[: len(data) // 2])
    if spoil == "no data":

        def fail(cache, data, say):
            raise UserError("MNIST could not be had: connect.")

        monkeypatch.setitem(registry.LOADERS, "mnist", fail)
    assert main([str(run.folder)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


def test_the_errors_are_shown_where_the_report_cannot_be_written(run, capsys):
    (run.folder / "report").write_text("no folder")
    assert main([str(run.folder)]) == 2
    captured = capsys.readouterr()
    assert "all together (fused)             10.00" in captured.out
    assert captured.err.startswith(f"error: cannot write {run.folder / 'report'} (")
    assert captured.err.count("\n") == 1
