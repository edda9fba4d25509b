import csv
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cldl.inference import softmax
from cldl.objective import Objective
from cldl.predict import main
from cldl.prediction import predict_image, text
from tests.cldl import tiny


@pytest.fixture
def run(tmp_path, monkeypatch):
    return tiny.run(tmp_path / "run", monkeypatch)


def save(array, path, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_it_says_the_label_who_decided_the_likeliest_answers_and_how_sure_each_classifier_is(run, tmp_path, capsys):
    path = save(tiny.bright(4)[..., 0], tmp_path / "four.png")
    assert main([str(run.folder), str(path)]) == 0
    # p = e^s / (e^s + 9), with s = 2 and 5; together exp(-L), with L = 0.078 for 4, and 7.5 for each other digit
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: 4, decided by classifier 2 (top)",
        "  likeliest: 4 with 99.48%, 0 with 0.06%, 1 with 0.06%",
        "  classifier 1 (bottom): 4 with 45.09%",
        "  classifier 2 (top): 4 with 94.28%",
    ]


def test_a_classifier_of_another_opinion_says_how_sure_it_is_of_the_answer_too():
    lower, upper = np.log([[0.7, 0.2, 0.1]]), np.log([[0.001, 0.998, 0.001]])
    model = SimpleNamespace(logits=lambda images: [lower, upper], objective=Objective((1.0, 1.0)), class_names="012")
    assert text(predict_image(model, np.zeros((28, 28, 1), np.uint8))).splitlines()[2:] == [
        "  classifier 1 (bottom): 0 with 70.00%, 1 with 20.00%",
        "  classifier 2 (top): 1 with 99.80%",
    ]


@pytest.mark.parametrize(("p", "close"), [(0.54, True), (0.56, False)])
def test_two_answers_that_are_nearly_as_likely_are_both_named(p, close):
    logits = [np.log([[p, 1 - p]])]
    model = SimpleNamespace(logits=lambda images: logits, objective=Objective((1.0,)), class_names="ab")
    first = text(predict_image(model, np.zeros((28, 28, 1), np.uint8))).splitlines()[0]
    assert first == "a, decided by the classifier" + close * "; b is nearly as likely"


def test_the_first_classifier_that_is_sure_enough_answers_and_the_rest_is_not_computed(run, tmp_path, capsys):
    path = save(tiny.bright(4)[..., 0], tmp_path / "four.png")
    assert main([str(run.folder), str(path), "--exit", "0.4"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: 4, decided by classifier 1 (bottom), with 50.0% of the multiply-adds",
        "  likeliest: 4 with 45.09%, 0 with 6.10%, 1 with 6.10%",
        "  classifier 1 (bottom): 4 with 45.09%",
    ]
    assert main([str(run.folder), str(path), "--exit", "0.5", "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["decided_by"], answer["cost"], len(answer["classifiers"])) == ("classifier 2 (top)", 1, 2)
    assert answer["likeliest"][0]["probability"] == pytest.approx(
        0.9948, abs=1e-4
    )  # of both together, as without the option
    assert main([str(run.folder), str(path), "--exit", "0.5"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == (
        f"{path}: 4, decided by classifier 2 (top); all were asked, as none below the top is sure with 0.5 (confidence 0.45)"
    )
    assert main([str(run.folder), str(path), "--exit", "2"]) == 2
    assert "give a number from 0 to 1" in capsys.readouterr().err


def test_the_likeliest_answers_have_the_models_own_probabilities():
    rng = np.random.default_rng(0)
    logits, objective = [rng.normal(size=(1, 5)) for _ in range(3)], Objective((1.0, 1.0, 1.0))
    model = SimpleNamespace(logits=lambda images: logits, objective=objective, class_names="abcde")
    prediction = predict_image(model, np.zeros((28, 28, 1), np.uint8))
    parts = [(objective.probabilities(logits)[0], prediction.likeliest, 3)]
    parts += [(softmax(z)[0], own.likeliest, 5) for z, own in zip(logits, prediction.classifiers, strict=True)]
    for P, likeliest, count in parts:
        assert [a.label for a in likeliest] == ["abcde"[k] for k in np.argsort(-P)[:count]]
        assert [a.probability for a in likeliest] == sorted(P.tolist(), reverse=True)[:count]


def test_json_is_an_object_a_line_refused_images_included(run, tmp_path, capsys):
    path = save(tiny.bright(4)[..., 0], tmp_path / "four.png")
    blank = save(np.full((90, 80), 200, np.uint8), tmp_path / "blank.png")
    assert main([str(run.folder), str(path), str(blank), "--format", "json"]) == 2
    answer, refused = map(json.loads, capsys.readouterr().out.splitlines())
    assert (answer["file"], answer["label"], answer["refused"]) == (str(path), "4", None)
    assert [a["label"] for a in answer["likeliest"]] == ["4", "0", "1"]
    assert answer["likeliest"][0]["probability"] == pytest.approx(0.9948, abs=1e-4)
    assert answer["decided_by"] == "classifier 2 (top)"
    assert [c["name"] for c in answer["classifiers"]] == ["classifier 1 (bottom)", "classifier 2 (top)"]
    assert refused["label"] is None
    assert refused["refused"].startswith(f"{blank} shows no digit")


def test_csv_is_a_table_with_a_row_an_image_refused_ones_included(run, tmp_path, capsys):
    path = save(tiny.bright(4)[..., 0], tmp_path / "four, or 4.png")
    blank = save(np.full((90, 80), 200, np.uint8), tmp_path / "blank.png")
    assert main([str(run.folder), str(path), str(blank), "--format", "csv"]) == 2
    answer, refused = csv.DictReader(capsys.readouterr().out.splitlines())
    assert (answer["file"], answer["label"], answer["second"], answer["refused"]) == (str(path), "4", "0", "")
    assert float(answer["probability"]) == pytest.approx(0.9948, abs=1e-4)
    assert (refused["file"], refused["label"], refused["decided_by"]) == (str(blank), "", "")
    assert "shows no digit" in refused["refused"]


def test_what_the_network_was_given_is_written_as_a_picture(run, tmp_path, capsys):
    paths = [save(tiny.bright(k)[..., 0], tmp_path / f"{k}.png") for k in (3, 5)]
    shown = tmp_path / "shown.png"
    assert main([str(run.folder), *map(str, paths), "--show", str(shown)]) == 0
    pixels = np.asarray(Image.open(shown))[..., 0]
    assert pixels.shape == (224 + 16, 2 * 232 + 8)  # 28 pixels, each 8 x 8, and 8 between and around
    for i, k in enumerate((3, 5)):
        image = pixels[8:232, 8 + 232 * i : 232 + 232 * i]
        np.testing.assert_array_equal(image[::8, ::8], tiny.bright(k)[..., 0])


def test_a_picture_that_cannot_be_written_is_one_line_and_status_2(run, tmp_path, capsys):
    path = save(tiny.bright(3)[..., 0], tmp_path / "three.png")
    for name in ("none/shown.png", "shown.text"):
        assert main([str(run.folder), str(path), "--show", str(tmp_path / name)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {tmp_path / name} cannot be written (")
        assert error.endswith("): give a name such as given.png.\n")


def test_a_terminal_shows_what_the_network_was_given(run, tmp_path, capsys, monkeypatch):
    path = save(tiny.bright(3)[..., 0], tmp_path / "three.png")
    monkeypatch.setattr("cldl.predict.is_terminal", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert main([str(run.folder), str(path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:14] == ["   ▀", *[""] * 13]
    assert out[14].startswith(f"{path}: 3")


def test_the_other_images_are_answered_where_one_cannot_be_read(run, tmp_path, capsys):
    first, last = (save(tiny.bright(k)[..., 0], tmp_path / f"{k}.png") for k in (1, 2))
    assert main([str(run.folder), str(first), str(tmp_path / "none.png"), str(tmp_path), str(last)]) == 2
    captured = capsys.readouterr()
    assert [line.split(",")[0] for line in captured.out.splitlines()[::4]] == [f"{first}: 1", f"{last}: 2"]
    assert captured.err.splitlines() == [
        f"error: {tmp_path / 'none.png'} is not there: give the path of a PNG, JPEG, WebP, GIF, BMP or TIFF file.",
        f"error: {tmp_path} is a folder: give the path of a PNG, JPEG, WebP, GIF, BMP or TIFF file.",
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
