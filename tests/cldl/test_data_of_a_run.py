"""What a run is fed with: its preprocessing and augmentation, the same at every resume, evaluation and prediction."""

import json

import numpy as np
import pytest
from PIL import Image

from cldl import commands, evaluate, predict, recipes, train
from cldl.recipes import find
from cldl.reporting import gallery
from cldl.training.run_data import limited
from cldl.training.trainer import Trainer
from data import registry
from data.dataset import Dataset, read_images
from data.transforms.augmentation import CropFlip
from data.transforms.preprocessing import Scale
from engine.context import Context
from engine.initialisers import he
from layers import Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d, ReLU, Sequential
from tests.networks import stack

COLOURS = ("red apple", "green leaf", "blue sky")


def network(classes=3):
    """Two classifiers for colour images of 12 x 10 pixels."""
    blocks = [
        Sequential(Conv2d(3, 6, 3, padding=1, weight=he), ReLU(), MaxPool2d(2)),
        Sequential(Dropout(0.3), Conv2d(6, classes, 3, padding=1, weight=he)),
    ]
    return stack(blocks, [Sequential(Flatten(), Linear(180, classes)), GlobalAvgPool()], (12, 10, 3))


def photographs(seed=0):
    """Images whose label is their brightest colour."""
    rng = np.random.default_rng(seed)

    def part(n):
        labels = np.arange(n) % 3
        images = rng.integers(0, 150, (n, 12, 10, 3))
        images[np.arange(n), :, :, labels] += 100
        return images.astype(np.uint8), labels

    return Dataset.from_arrays("squares", *part(60), *part(20), COLOURS)


VALUES = {"classifiers": 2, "weights": (1.0, 1.0), "batch_size": 20, "warmup": 0.0, "epochs": 2}


@pytest.fixture
def world(tmp_path, monkeypatch):
    """The commands on these photographs under the name of CIFAR-100, in a folder of our own."""
    monkeypatch.setattr(recipes.Recipe, "build_network", lambda recipe: network())
    monkeypatch.setitem(registry.LOADERS, "cifar100", lambda cache, data, say: photographs(0 if data is None else 1))
    monkeypatch.setenv("CLDL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("cldl.reporting.page.DPI", 30)  # quickly drawn
    monkeypatch.setattr(gallery, "SHOWN", 5)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(main, *arguments):
    return main([str(argument) for argument in arguments])


def started(folder, *more, epochs=2, kind="gcn_zca"):
    arguments = ["--dataset", "cifar100", "--preprocessing", kind, "--augment", "yes", "--classifiers", 2]
    arguments += ["--loss.weights", "1,1", "--batch-size", 20, "--warmup", 0, "--threads", 2, "--epochs", epochs]
    return command(train.main, "mnist_nin", *arguments, "--run", folder, *more)


def test_the_configuration_names_what_the_run_was_fed_with(world):
    assert started("run", "--limit-train", 40) == 0
    config = json.loads((world / "run" / "config.json").read_text())
    data = photographs()
    assert config["dataset_name"] == data.name
    assert config["training_sha256"] == data.train.fingerprint  # of all images, whatever the limit
    assert (
        config["preprocessing_sha256"]
        == find("mnist_nin").changed(preprocessing="gcn_zca").build_preprocessing(data).sha256
    )
    assert config["classes"] == list(COLOURS)
    assert config["recipe"]["data"]["augment"] is True
    assert [path.name for path in (world / "cache").iterdir()] == [f"fit-gcn_zca-{data.train.fingerprint[:16]}.h5"]


def test_a_configuration_limits_the_data_and_says_what_is_held_out():
    data = photographs()
    part = limited(data, {"limit_train": 3, "limit_test": 4, "held_out": 5})
    assert np.array_equal(read_images(part.train, range(3)), read_images(data.train, range(3)))
    N = len(data.train)
    assert np.array_equal(read_images(part.test, range(4)), read_images(data.train, range(N - 5, N - 1)))
    assert (len(part.train), len(part.test)) == (3, 4)
    assert len(limited(data, {"limit_train": None, "limit_test": None}).train) == N


def test_scale_is_fitted_to_nothing_and_keeps_nothing(world):
    assert started("run", kind="scale") == 0
    assert json.loads((world / "run" / "config.json").read_text())["preprocessing_sha256"] is None
    assert not (world / "cache").exists()


@pytest.fixture
def run(world, capsys):
    assert started("run") == 0
    capsys.readouterr()
    return world / "run"


AGAIN = {
    "resume": (train.main, ["--resume", "--run"]),
    "evaluate": (evaluate.main, []),
    "predict": (predict.main, []),
}


def again(name, run, *more):
    Image.fromarray(np.full((24, 20, 3), (20, 20, 250), np.uint8)).save(run.parent / "sky.png")
    main, arguments = AGAIN[name]
    images = [run.parent / "sky.png"] if name == "predict" else []
    return command(main, *arguments, run, *images, *more)


@pytest.mark.parametrize("name", AGAIN)
def test_the_same_data_and_fit_are_taken_again(run, name, capsys):
    assert again(name, run) == 0
    assert "fitting" not in capsys.readouterr().out


@pytest.mark.parametrize("name", AGAIN)
def test_another_copy_of_the_data_is_refused_in_a_sentence_and_nothing_is_fitted_on_it(run, name, capsys):
    assert again(name, run, "--data", "elsewhere") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the run was trained on other images or labels than this copy of squares has")
    assert error.count("\n") == 1
    assert len(list((run.parent / "cache").iterdir())) == 1


@pytest.mark.parametrize("name", AGAIN)
def test_another_fit_is_refused_in_a_sentence(run, name, capsys):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"preprocessing_sha256": "0" * 64}))
    assert again(name, run) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the run was trained with another gcn_zca than the one in")
    assert config["preprocessing_sha256"] in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", AGAIN)
def test_a_fit_that_was_deleted_is_made_again_to_the_same_bits(run, name):
    for path in (run.parent / "cache").iterdir():
        path.unlink()
    assert again(name, run) == 0


@pytest.mark.parametrize("name", AGAIN)
def test_a_run_of_a_version_that_kept_no_sums_goes_on(run, name):
    config = json.loads((run / "config.json").read_text())
    for key in ("dataset_name", "training_sha256", "preprocessing_sha256", "classes"):
        del config[key]
    (run / "config.json").write_text(json.dumps(config))
    assert again(name, run) == 0


def test_a_colour_picture_of_any_size_is_answered_by_the_name_of_its_class(world, capsys):
    assert started("run", "--learning-rate", 0.02, epochs=15, kind="standard") == 0
    capsys.readouterr()
    for k, (name, size) in enumerate(zip(COLOURS, [(12, 10), (64, 31), (9, 200)], strict=True)):
        picture = np.full((*size, 3), 60, np.uint8)
        picture[..., k] = 220
        Image.fromarray(picture).save("picture.png")
        assert command(predict.main, "run", "picture.png") == 0
        assert capsys.readouterr().out.startswith(f"picture.png: {name}, decided by")


def trainer(threads=2, chunk=None, **values):
    t = Trainer.from_recipe(find("mnist_nin").changed(**{**VALUES, **values}), photographs(), seed=0, threads=threads)
    t.backend.chunk = chunk or t.backend.chunk
    return t


def gradients(**options):
    t = trainer(**options)
    next(t.steps())
    return t.backend.gradients.buffer.copy()


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(recipes.Recipe, "build_network", lambda recipe: network())


@pytest.mark.parametrize("kind", ["standard", "gcn_zca"])
def test_augmentation_depends_on_neither_chunks_nor_threads(small, kind):
    options = {"preprocessing": kind, "augment": True}
    first = gradients(threads=1, **options)
    size = np.abs(first).max()
    for threads, chunk in ((1, 3), (2, 7), (2, 1)):
        assert np.abs(gradients(threads=threads, chunk=chunk, **options) - first).max() < 1e-4 * size
    assert np.abs(gradients(preprocessing=kind, augment=False) - first).max() > 1e-2 * size


def test_a_run_with_augmentation_restored_after_a_step_goes_on_to_the_same_bits(small):
    whole, part, rest = (trainer(preprocessing="gcn_zca", augment=True) for _ in range(3))
    list(whole.steps())
    next(part.steps())
    arrays, numbers = part.state()
    rest.restore({name: array.copy() for name, array in arrays.items()}, numbers)
    list(rest.steps())
    for a, b in zip(whole.network.parameters(), rest.network.parameters(), strict=True):
        np.testing.assert_array_equal(a.value, b.value)


def test_test_images_are_never_augmented(small):
    plain, augmented = trainer(), trainer(augment=True)
    for name in ("on_target", "losses", "predictions"):
        np.testing.assert_array_equal(getattr(plain.evaluate(), name), getattr(augmented.evaluate(), name))


class Watched:
    """An augmentation that keeps its inputs and outputs."""

    def __init__(self):
        self.given, self.returned = [], []

    def __call__(self, x, ctx):
        self.given.append(x.copy())
        self.returned.append(CropFlip()(x, ctx).copy())
        return self.returned[-1]


def test_preprocessed_images_are_cropped_and_every_step_draws_anew(small, monkeypatch):
    watched = Watched()
    monkeypatch.setattr(recipes.Recipe, "build_augmentation", lambda recipe: watched)
    t = trainer(threads=1, chunk=60, preprocessing="standard", batch_size=60)  # a batch is one chunk
    for _ in range(2):
        list(t.steps())
        t.end_epoch()
    orders = [t.key.fold(1).fold(epoch).permutation(60) for epoch in range(2)]
    assert len(watched.given) == 2
    for x, order in zip(watched.given, orders, strict=True):
        np.testing.assert_array_equal(x, t.preprocessing(t.dataset.train.images[order], Context()))
    first, second = (y[np.argsort(order)] for y, order in zip(watched.returned, orders, strict=True))
    assert not np.array_equal(first, second)


def test_a_trainer_takes_the_preprocessing_that_it_is_given(small):
    t = Trainer.from_recipe(
        find("mnist_nin").changed(**VALUES, preprocessing="gcn_zca"), photographs(), Scale(0.5, 2.0)
    )
    assert t.preprocessing.mean == 0.5


def test_a_data_set_with_another_number_of_classes_is_refused(small):
    whole = photographs()
    data = Dataset(whole.name, whole.train, whole.test, (*COLOURS, "dark night"))
    with pytest.raises(
        commands.UserError, match="squares has 4 classes; the network tells 3 apart: choose another recipe"
    ):
        Trainer.from_recipe(find("mnist_nin").changed(**VALUES), data)
