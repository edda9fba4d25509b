"""The files of a run as a stranger, or another version, may have written them: each is refused in one sentence."""

import json
import tracemalloc

import pytest

from cldl import report
from cldl.training.machine import changes, versions
from cldl.training.run import Run
from engine.errors import UserError
from engine.io.storage import write_arrays
from tests.cldl import tiny


@pytest.fixture
def run(tmp_path, monkeypatch):
    return tiny.run(tmp_path / "run", monkeypatch)


def refusal(action):
    with pytest.raises(UserError) as refused:
        action()
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert len(sentence) < 500
    return sentence


CONFIG = {
    "threads": (10**9, "has threads 1000000000, expected a whole number from 1 to 1,024"),
    "seed": (-1, "has seed -1, expected a whole number from 0 to 9,223,372,036,854,775,807"),
    "device": ("tpu", "has device 'tpu', expected one of auto, cpu, cuda"),
    "limit_train": (0, "has limit_train 0, expected a whole number from 1 to"),
    "machine": ("a\x1b[2J", r"has machine 'a\x1b[2J', expected one line of text"),
    "classes": (["a", 3], "has classes[1] 3, expected one line of text"),
    "versions": ({"numpy": 2}, "has versions.numpy 2, expected one line of text"),
    "weights": ({"file": "a", "sha256": "b"}, "has no weights.drawn_anew"),
    "future": (1, "has 'future', which this version does not know"),
    "format": (True, "has format True; this version reads 2"),
    "sources": ([], "has sources [], expected an object of names and values"),
}


@pytest.mark.parametrize("name", CONFIG)
def test_a_value_of_another_type_or_range_is_refused_with_what_was_expected(run, name):
    value, predicate = CONFIG[name]
    path = run.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    assert f"{path} {predicate}" in refusal(lambda: Run.open(run.folder))


EVALUATION = {"epoch": 2, "crops": "10", "scales": [32], "test_error": {"1": 3.0, "2": 2.0, "fused": 1.0}}
EVALUATIONS = {
    "crops": (7, "has crops 7, expected one of 1, 5, 10, 36, whole in line 1"),
    "scales": ([0], "has scales[0] 0, expected a whole number from 1 to 65,536 in line 1"),
    "test_error": ({"1": 3.0, "fused": 1.0}, "has no test_error.2 in line 1"),
    "test_top5_error": ({"1": 3.0}, "has no test_top5_error.2 in line 1"),
    "future": (1, "has 'future', which this version does not know in line 1"),
}


@pytest.mark.parametrize("name", EVALUATIONS)
def test_a_line_of_evaluations_is_refused_with_what_was_expected(run, name):
    run.record_evaluation(EVALUATION)
    assert run.evaluations() == [EVALUATION]
    value, predicate = EVALUATIONS[name]
    path = run.folder / "evaluations.jsonl"
    path.write_text(json.dumps(EVALUATION | {name: value}) + "\n")
    assert f"{path} {predicate}: remove it, or restore it from a copy." in refusal(run.evaluations)


RECIPE = {
    "-3": "schedule.epochs is -3; choose a value from 1 to 100000.",
    "2.5": "schedule.epochs is 2.5; give a whole number.",
    "1e400": "has the number 1e400, which is not finite: restore it",
    "NaN": "has the number NaN, which is not finite: restore it",
    "1" + 5000 * "0": "has a number of 5,001 digits: restore it",
    "1" + 250 * "0": "; choose a value from 1 to 100000.",
    '3, "epochs": 3': "has a name twice in one object: restore it",
    '3, "future": 1': "the recipe has 'schedule.future', which this version does not know: restore it, or use",
    r'"\ud800"': "has half a surrogate pair in a text: restore it",
    100_000 * "[": "is nested more than 16 deep: restore it",
    '"' + 100_000 * "a" + '"': "aaa'; give a whole number.",
    "[" + 100_000 * "1," + "1]": "...]; give a whole number.",
}


@pytest.mark.parametrize("epochs", RECIPE, ids=lambda text: text[:20].replace("\\", "/"))
def test_a_damaged_number_of_epochs_is_refused_in_a_sentence_and_little_memory(run, epochs):
    path = run.folder / "config.json"
    text = path.read_text()
    assert text.count('"epochs": 2') == 1
    path.write_text(text.replace('"epochs": 2', f'"epochs": {epochs}'))
    tracemalloc.start()
    sentence = refusal(lambda: Run.open(run.folder))
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert str(path) in sentence
    assert RECIPE[epochs] in sentence


@pytest.mark.parametrize("text", ["[]", "3", '"text"'])
def test_a_configuration_that_is_no_object_is_refused(run, text):
    (run.folder / "config.json").write_text(text)
    assert "config.json is" in refusal(lambda: Run.open(run.folder))
    (run.folder / "config.json").write_text("{}")
    assert "config.json has format None; this version reads 2" in refusal(lambda: Run.open(run.folder))


def test_a_configuration_without_end_is_not_read_to_its_end(run):
    with (run.folder / "config.json").open("r+b") as file:
        file.truncate(1 << 40)
    assert "config.json has more than 1,048,576 bytes: restore it" in refusal(lambda: Run.open(run.folder))


LINE = {
    "a number that is a text": ({"train_loss": "low"}, "has train_loss 'low', expected a number"),
    "a negative error": (
        {"test_error": {"1": -1, "2": 0, "fused": 0}},
        "has test_error.1 -1, expected a number from 0",
    ),
    "a classifier that is missing": ({"test_error": {"1": 1, "fused": 1}}, "has no test_error.2"),
    "a classifier too many": ({"test_share": {"1": 1, "2": 1, "3": 1}}, "has 'test_share.3', which this version"),
    "half an epoch": ({"epoch": 1.5}, "has epoch 1.5, expected a whole number from 1 to 100,000"),
    "infinity": ({"seconds": float("inf")}, "has the number Infinity, which is not finite"),
}


@pytest.mark.parametrize("damage", LINE)
def test_a_line_of_metrics_is_refused_by_its_number(run, damage, capsys):
    values, predicate = LINE[damage]
    lines = tiny.metrics(2, M=2)
    run.record([lines[0], lines[1] | values])
    sentence = refusal(run.metrics)
    path = run.folder / "metrics.jsonl"
    assert sentence.startswith(f"{path} {predicate}")
    assert sentence.endswith(" in line 2: restore it from a copy.")
    assert report.main([str(run.folder)]) == 2
    assert capsys.readouterr().err == f"error: {sentence}\n"


NUMBERS = {
    "step": (-1, "has step -1, expected a whole number from 0"),
    "epoch": (0.5, "has epoch 0.5, expected a whole number from 0 to 100,000"),
    "loss": ("low", "has loss 'low', expected a number"),
    "future": (1, "has 'future', which this version does not know"),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_of_a_checkpoint_is_refused_with_what_was_expected(run, name):
    value, predicate = NUMBERS[name]
    arrays, numbers = run.load()
    write_arrays(run.folder / "checkpoint.h5", arrays, numbers | {name: value}, kind="checkpoint", version=2)
    assert refusal(run.load).startswith(f"{run.folder / 'checkpoint.h5'} {predicate}")


def test_another_version_of_a_package_or_processor_is_named():
    config = {"versions": versions(), "machine": "an abacus"}
    assert changes(config).startswith("processor an abacus (now ")
