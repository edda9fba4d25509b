import os
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cldl.objective import Objective
from cldl.predict import explain, main
from tests.cldl import tiny


@pytest.fixture
def run(tmp_path, monkeypatch):
    return tiny.run(tmp_path / "run", monkeypatch)


def save(array, path, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_it_says_the_label_who_decided_and_how_sure_each_classifier_is(run, tmp_path, capsys):
    path = save(tiny.bright(4)[..., 0], tmp_path / "four.png")
    assert main([str(run.folder), str(path)]) == 0
    # p = e^s / (e^s + 9), with s = 2 and 5
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: 4, decided by classifier 2 (top)",
        "  classifier 1 (bottom): 4 with 45.09%",
        "  classifier 2 (top): 4 with 94.28%",
    ]


def test_a_classifier_of_another_opinion_says_how_sure_it_is_of_the_answer_too():
    lower, upper = np.log([[0.7, 0.2, 0.1]]), np.log([[0.001, 0.998, 0.001]])
    model = SimpleNamespace(logits=lambda images: [lower, upper], objective=Objective((1.0, 1.0)), class_names="012")
    assert explain(model, np.zeros((28, 28, 1), np.uint8)).splitlines() == [
        "1, decided by classifier 2 (top)",
        "  classifier 1 (bottom): 0 with 70.00%, 1 with 20.00%",
        "  classifier 2 (top): 1 with 99.80%",
    ]


def test_the_other_images_are_answered_where_one_cannot_be_read(run, tmp_path, capsys):
    first, last = (save(tiny.bright(k)[..., 0], tmp_path / f"{k}.png") for k in (1, 2))
    assert main([str(run.folder), str(first), str(tmp_path / "none.png"), str(tmp_path), str(last)]) == 2
    captured = capsys.readouterr()
    assert [line.split(",")[0] for line in captured.out.splitlines()[::3]] == [f"{first}: 1", f"{last}: 2"]
    assert captured.err.splitlines() == [
        f"error: {tmp_path / 'none.png'} is not there: give the path of a PNG or JPEG file.",
        f"error: {tmp_path} is a folder: give the path of a PNG or JPEG file.",
    ]


def test_a_folder_that_is_no_run_is_one_line_and_status_2(tmp_path, capsys):
    assert main([str(tmp_path), "image.png"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
def test_a_file_name_that_is_no_text_is_no_error(run, tmp_path, capsys):
    path = tmp_path / os.fsdecode(b"\xff.png")
    save(tiny.bright(3)[..., 0], path)
    assert main([str(run.folder), str(path)]) == 0
    assert "\\xff.png: 3, decided by" in capsys.readouterr().out
