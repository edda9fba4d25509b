"""An upload is answered as `cldl.predict` answers a file, with T, the exit and what the network was given."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from cldl.loss import cldl_loss
from cldl.predict import main
from cldl.web.answer import Answerer
from engine.errors import UserError
from tests.cldl import tiny

BOTTOM, TOP = 2.0, 5.0  # the logits of the digit that is shown; all others are 0
P_BOTTOM, P_TOP = (np.exp(s) / (np.exp(s) + 9) for s in (BOTTOM, TOP))


@pytest.fixture
def run(tmp_path, monkeypatch):
    return tiny.run(tmp_path / "run", monkeypatch)


def answerer(run):
    return Answerer(run, run.model(threads=1))


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0]).save(buffer, format="png")
    return buffer.getvalue()


def keep_exits(run, **values):
    point = {"above": 0.05, "threshold": 0.4, "error": 1, "cost": 1, "time": 1, "shares": [50, 50]}
    kept = {"measure": "confidence", "temperatures": [1, 1], "fitted_on": "", "tried_on": "", "error": 1}
    (run.folder / "exits.json").write_text(json.dumps(kept | {"points": [point | values]}))


def test_it_is_the_answer_of_predict(run, tmp_path, capsys):
    path = tmp_path / "four.png"
    path.write_bytes(png(tiny.bright(4)))
    found = answerer(run)(path.read_bytes())
    assert main([str(run.folder), str(path), "--format", "json"]) == 0
    of_predict = json.loads(capsys.readouterr().out)
    assert found["label"] == "4"
    for key in ("label", "likeliest", "decided_by", "cost"):
        assert found[key] == of_predict[key]
    own = [{"name": c["name"], **c["likeliest"][0]} for c in found["classifiers"]]
    assert own == of_predict["classifiers"]
    assert [len(c["likeliest"]) for c in found["classifiers"]] == [5, 5]
    assert [c["of_prediction"] for c in found["classifiers"]] == pytest.approx([P_BOTTOM, P_TOP])


def test_t_is_the_companions_doubt_in_the_joint_answer(run):
    image = tiny.bright(4)
    found = answerer(run)(png(image))
    T = [c["T"] for c in found["classifiers"]]
    assert pytest.approx([1 - P_TOP, 1 - P_BOTTOM]) == T  # of two, g = 1
    logits = run.model(threads=1).logits(image[None])
    np.testing.assert_array_equal(T, cldl_loss(logits, np.array([4]), (1.0, 1.0)).companions[:, 0])


def test_early_exit_stops_where_predict_would_by_the_runs_own_threshold(run, tmp_path, capsys):
    path = tmp_path / "four.png"
    path.write_bytes(png(tiny.bright(4)))
    for threshold, stops_at, cost in ((0.4, "classifier 1 (bottom)", 0.5), (0.5, "classifier 2 (top)", 1.0)):
        keep_exits(run, threshold=threshold)
        asked = answerer(run)
        exit = asked(path.read_bytes())["exit"]
        assert (exit["stops_at"], exit["label"], exit["cost"]) == (stops_at, "4", cost)
        assert exit["sureness"] == pytest.approx([P_BOTTOM, P_TOP])
        assert (asked.about["exit"]["threshold"], asked.about["exit"]["measured"]) == (threshold, True)
        assert main([str(run.folder), str(path), "--exit", str(threshold), "--format", "json"]) == 0
        of_predict = json.loads(capsys.readouterr().out)
        assert (of_predict["decided_by"], of_predict["cost"]) == (stops_at, cost)


def test_at_a_temperature_a_classifier_is_as_sure_as_it_says(run):
    keep_exits(run, threshold=0.9)
    kept = json.loads((run.folder / "exits.json").read_text())
    (run.folder / "exits.json").write_text(json.dumps(kept | {"temperatures": [0.25, 1]}))
    exit = answerer(run)(png(tiny.bright(4)))["exit"]
    assert exit["sureness"][0] == pytest.approx(np.exp(8) / (np.exp(8) + 9))
    assert exit["stops_at"] == "classifier 1 (bottom)"


def test_a_run_that_was_not_measured_stops_at_0999_of_confidence(run):
    asked = answerer(run)
    assert asked.about["exit"] == {
        "measure": "confidence",
        "threshold": 0.999,
        "temperatures": (1.0, 1.0),
        "measured": False,
    }
    assert asked(png(tiny.bright(4)))["exit"]["stops_at"] == "classifier 2 (top)"


def test_early_exit_may_have_another_answer_than_all_together(run):
    keep_exits(run, threshold=0.15)
    image = tiny.bright(4)
    image[0, 7] = 255
    asked = answerer(run)
    bottom, top = (network for network in asked.model.network.parameters() if network.shape == (784, 10))
    bottom.value[7, 7], top.value[4, 4] = 2.5, 6.0
    for parameter in (bottom, top):
        parameter.touch()
    found = asked(png(image))
    assert (found["label"], found["decided_by"]) == ("4", "classifier 2 (top)")
    assert (found["exit"]["label"], found["exit"]["stops_at"]) == ("7", "classifier 1 (bottom)")


def test_it_shows_what_the_network_was_given(run):
    found = answerer(run)(png(tiny.bright(4)))
    kind, data = found["given"].split(",")
    assert kind == "data:image/png;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    np.testing.assert_array_equal(np.asarray(picture)[..., None], tiny.bright(4))


def test_costs_are_shares_of_the_multiply_adds(run):
    assert [c["cost"] for c in answerer(run)(png(tiny.bright(4)))["classifiers"]] == [0.5, 1.0]


def test_what_is_known_before_an_image_is(run):
    about = answerer(run).about
    assert about["run"] == str(run.folder)
    assert (about["recipe"], about["classes"]) == (tiny.RECIPE.name, list("0123456789"))
    assert about["input"] == {"height": 28, "width": 28, "channels": 1}
    assert about["classifiers"] == ["classifier 1 (bottom)", "classifier 2 (top)"]
    assert (about["loss"], about["exponent"], about["unweighted_share"]) == ("cldl", 1.0, 0.0)


def test_one_classifier_has_no_early_exit_and_a_t_of_1(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny, "RECIPE", tiny.RECIPE.changed(classifiers=1, weights=(1.0,)))
    monkeypatch.setattr(tiny, "network", lambda M=1, original=tiny.network: original(1))
    asked = answerer(tiny.run(tmp_path / "run", monkeypatch))
    found = asked(png(tiny.bright(4)))
    assert (asked.about["exit"], found["exit"]) == (None, None)
    assert [c["T"] for c in found["classifiers"]] == [1.0]


def test_hinge_losses_have_no_t(run):
    asked = answerer(run)
    object.__setattr__(asked.model.objective, "loss", "hinge")
    assert [c["T"] for c in asked(png(tiny.bright(4)))["classifiers"]] == [None, None]


def test_an_image_without_a_digit_is_refused_in_a_sentence(run):
    with pytest.raises(UserError, match=r"^the image shows no digit: .*; give a picture of one digit\.$"):
        answerer(run)(png(np.full((90, 80, 1), 200, np.uint8)))


def test_a_picture_may_have_as_many_pixels_as_in_predict_and_no_more(run, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 28 * 28)
    data = png(tiny.bright(4))
    assert answerer(run)(data)["label"] == "4"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 28 * 28 - 1)
    with pytest.raises(UserError, match="the image has more than 783 pixels: give a smaller picture"):
        answerer(run)(data)
