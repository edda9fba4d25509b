"""A run's folder: its name, the model that is opened from it, and what its files remember."""

import json
import time

import pytest

from cldl.recipes.losses import SoftmaxSpec
from cldl.training import run as runs
from cldl.training.run import Run, make_new_folder, newest_folder
from data.transforms.preprocessing import Scale
from engine.errors import UserError
from tests.cldl import tiny


@pytest.fixture
def in_a_new_folder(tmp_path, monkeypatch):
    """The working folder, at five past three on 9 July 2026."""
    monkeypatch.chdir(tmp_path)
    now = time.struct_time((2026, 7, 9, 3, 5, 8, 0, 0, 0))
    strftime = time.strftime
    monkeypatch.setattr(runs.time, "strftime", lambda form: strftime(form, now))
    return tmp_path


@pytest.mark.usefixtures("in_a_new_folder")
def test_a_new_folder_has_the_recipes_name_and_the_time_and_a_number_where_that_is_taken():
    names = [make_new_folder("mnist_nin").as_posix() for _ in range(3)]
    stem = "runs/mnist_nin-20260709-030508"
    assert names == [stem, f"{stem}-2", f"{stem}-3"]


def test_the_newest_folder_is_the_last_one_of_that_recipe_that_holds_a_run(in_a_new_folder):
    for name in ("mnist_nin-20260101-000000", "mnist_nin-20260301-000000", "mnist_nin_softmax-20260401-000000"):
        folder = in_a_new_folder / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    (in_a_new_folder / "runs" / "mnist_nin-20260501-000000").mkdir()  # holds no run
    assert newest_folder("mnist_nin").as_posix() == "runs/mnist_nin-20260301-000000"


@pytest.mark.usefixtures("in_a_new_folder")
def test_without_a_run_of_the_recipe_there_is_no_newest_one():
    with pytest.raises(
        UserError, match=r"^there is no run of mnist_nin in runs/ to continue: name its folder with --run\.$"
    ):
        newest_folder("mnist_nin")


def test_a_model_has_the_threads_and_the_preprocessing_that_were_asked_for(tmp_path, monkeypatch):
    run, preprocessing = tiny.run(tmp_path / "run", monkeypatch), Scale()
    model = run.model(preprocessing, threads=3, device="cpu")
    assert model.backend.threads == 3
    assert model.preprocessing is preprocessing


def test_the_precision_of_a_model_reaches_its_backend(tmp_path, monkeypatch):
    run, asked = tiny.run(tmp_path / "run", monkeypatch), {}
    make = runs.make_backend
    monkeypatch.setattr(runs, "make_backend", lambda *parts, **options: asked.update(options) or make(*parts))
    run.model(threads=1, device="cpu", precision="tf32")
    assert (asked["threads"], asked["precision"]) == (1, "tf32")
    run.model(threads=1, device="cpu")
    assert (asked["threads"], asked["precision"]) == (1, "float32")


def test_a_model_that_must_be_fitted_again_looks_for_the_data_where_it_was_told(tmp_path, monkeypatch):
    run, asked = tiny.run(tmp_path / "run", monkeypatch), {}
    monkeypatch.setattr("cldl.recipes.recipe.Recipe.fixed_preprocessing", lambda recipe: None)
    monkeypatch.setattr(runs, "load_data", lambda recipe, config, **where: asked.update(where) or (None, Scale()))
    run.model(cache=tmp_path / "cache", data=tmp_path / "data", threads=1, device="cpu")
    assert asked == {"cache": tmp_path / "cache", "data": tmp_path / "data"}


def test_the_objective_of_a_model_is_that_of_the_checkpoints_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr("cldl.recipes.recipe.Recipe.build_network", lambda recipe: tiny.network())
    recipe = tiny.RECIPE.changed(loss=SoftmaxSpec(weights=(1.0, 1.0), companion_epochs=2.0))
    run = Run.create(tmp_path / "run", recipe, **tiny.SETTINGS)
    for epoch, weights in ((1, (1.0, 1.0)), (2, (0.0, 1.0))):
        arrays = {f"weights/{p.name}": p.value for p in tiny.network().parameters()}
        run.save(arrays, tiny.POSITION | {"epoch": epoch})
        assert run.model(threads=1, device="cpu").objective.weights == weights


def test_every_change_of_the_epochs_is_remembered(tmp_path, monkeypatch):
    run = tiny.run(tmp_path / "run", monkeypatch)
    run.change_epochs(5, 2)
    run.change_epochs(9, 3)
    stored = json.loads((run.folder / "config.json").read_text())
    assert stored["changed_epochs"] == [{"epochs": 2, "after": 2}, {"epochs": 5, "after": 3}]
    assert Run.open(run.folder).recipe.schedule.epochs == run.recipe.schedule.epochs == 9


def test_a_run_without_a_finished_epoch_has_no_metrics(tmp_path, monkeypatch):
    run = tiny.run(tmp_path / "run", monkeypatch)
    (run.folder / "metrics.jsonl").unlink()
    assert run.metrics() == []


def test_a_damaged_checkpoint_says_what_to_do(tmp_path, monkeypatch):
    run = tiny.run(tmp_path / "run", monkeypatch)
    (run.folder / "checkpoint.h5").write_bytes(b"no HDF5")
    with pytest.raises(UserError, match="start the run anew with --run and another folder"):
        run.load()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("test_companions", {"1": 2.1, "2": 0.5}),
        ("test_error", {"1": 100.5, "2": 1.0, "fused": 1.0}),
        ("test_share", {"1": 100.5, "2": 0.0}),
        ("images_per_second", -0.5),
    ],
)
def test_metrics_out_of_their_range_are_refused(tmp_path, monkeypatch, field, value):
    run = tiny.run(tmp_path / "run", monkeypatch)
    run.record([line | {field: value} for line in tiny.metrics(2, M=2)])
    with pytest.raises(UserError, match=field):
        run.metrics()


def test_metrics_at_the_ends_of_their_ranges_are_taken(tmp_path, monkeypatch):
    run = tiny.run(tmp_path / "run", monkeypatch)
    ends = {"test_companions": {"1": 2.0, "2": 0.0}, "test_share": {"1": 100.0, "2": 0.0}, "images_per_second": 0.5}
    lines = [line | ends for line in tiny.metrics(2, M=2)]
    run.record(lines)
    assert run.metrics() == lines


def test_a_notebook_shows_a_run_with_its_last_errors(tmp_path, monkeypatch):
    run = tiny.run(tmp_path / "<run>", monkeypatch)
    shown = run._repr_html_()
    assert "<b>mnist_nin</b>" in shown
    assert "&lt;run&gt;: 2 of 2 epochs" in shown
    assert shown.count("<tr>") == 3
