"""The kinds of files that the project reads: how intact ones are made, what reads them, and how their structure is damaged."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from cldl import report
from cldl.exits import exits_of
from cldl.interop import load_weights
from cldl.recipes import find
from cldl.recipes.recipe import Recipe
from cldl.study import training
from cldl.study.variants import TABLES
from cldl.training.early_exit import ABOVE, ExitStudy, Kept, usual_rule
from cldl.training.run import Run
from cldl.training.seen import Seen
from cldl.training.step_log import StepLines, StepLog
from cldl.training.trainer import Trainer
from data.dataset import read_images
from data.disk.index import load_index
from data.disk.photos import load_photos
from data.disk.views import View
from data.fetch.download import quiet
from data.pictures.digits import read_digit
from data.pictures.files import read_picture
from data.sources import cifar100, mnist
from data.sources.folder import find as find_folder
from data.sources.scenes import find_mit67
from data.transforms.preprocessing import fitted
from engine.context import Context
from engine.io.files import write_json
from engine.random import Key
from layers import Conv2d, Flatten, Linear, Network, Node, chain
from tools.fuzzing import intact, weight_files
from tools.fuzzing.damage import Restructure, arrays, chunks, inside_gzip, json_lines, json_tree, protobuf, safetensors

DIGITS = intact.dataset(28, 28, 1)
RECIPE = find("mnist_nin").changed(classifiers=2, weights=(1.0, 1.0), epochs=2, batch_size=10)
SETTINGS = {
    "seed": 0,
    "threads": 1,
    "device": "cpu",
    "precision": "float32",
    "limit_train": None,
    "limit_test": 5,
    "dataset_name": "digits",
    "training_sha256": "0" * 64,
    "preprocessing_sha256": None,
    "classes": list("0123456789"),
}
build_network = Recipe.build_network  # the recipe's own


class Kind(NamedTuple):
    """One kind of file: its name in a folder, what fills the folder and gives intact versions of the file, and its reader."""

    file: str
    make: Callable[[Path], list[bytes]]
    read: Callable[[Path], object]
    restructure: Restructure | None = None


def small_network(recipe: Recipe) -> Network:
    """Two small classifiers, in the place of the recipe's own network."""
    heads = [Node(name, Linear(784, 10), ("flat",)) for name in ("low", "top")]
    return Network([Node("flat", Flatten()), *heads], ["low", "top"], (28, 28, 1))


def make_trainer() -> Trainer:
    """Of such a network, on noise."""
    Recipe.build_network = small_network
    return Trainer.from_recipe(RECIPE, DIGITS, threads=1)


def make_run(file: str, folder: Path) -> list[bytes]:
    """A finished run, of which one file will be damaged; its times are the same every time."""
    trainer, lines = make_trainer(), []
    run = Run.create(folder, RECIPE, **SETTINGS)
    write_json(folder / "config.json", run.config | {"started": "2026-01-01T00:00:00+0000"})
    for _ in range(RECIPE.schedule.epochs):
        list(trainer.steps())
        lines.append(trainer.end_epoch()[0] | {"seconds": 1.5, "images_per_second": 20.0})
    run.record(lines)
    run.record_evaluation({"epoch": 2, **Seen(10, (32, 48)).as_line(), "test_error": lines[-1]["test_error"]})
    run.save(*trainer.state())
    return intact.both_formats(folder / file) if file.endswith(".h5") else [(folder / file).read_bytes()]


def read_config(folder: Path) -> None:
    """Everything that is built from a recipe, except its data; and the report of runs."""
    recipe = Run.open(folder).recipe
    recipe.build_optimiser(build_network(recipe)), recipe.build_objective().at(1)
    recipe.schedule.learning_rate_at(0.5), recipe.schedule.momentum_at(0.5)
    read_metrics(folder)


def read_metrics(folder: Path) -> None:
    """The report of runs."""
    rows = report.rows([report.finished(folder)])
    sections = report.compare(rows)
    report.markdown(sections[0]), report.html(sections), report.comma_separated(report.numbers(rows))


def read_evaluations(folder: Path) -> None:
    """What is shown of tests, and a test that is recorded."""
    run = Run.open(folder)
    lines = [{**Seen.of_line(line).as_line(), **line} for line in run.evaluations()]
    for line in lines:
        run.record_evaluation(line)


def read_checkpoint(folder: Path) -> None:
    """A prediction, and a training that goes on."""
    run, trainer = Run.open(folder), make_trainer()
    run.model(threads=1, device="cpu").predict_proba(DIGITS.test.images[:1])
    trainer.restore(*run.load())
    trainer.model().predict(DIGITS.test.images[:1])


def make_exits(folder: Path) -> list[bytes]:
    """What early exit of two classifiers has kept."""
    points = [Kept(above, 0.9, 0.5, 0.6, 0.7, (60.0, 40.0)) for above in ABOVE]
    found = ExitStudy("these", "those", DIGITS.test, [], DIGITS.test.labels, 0.5, (1.2, 0.8), {}, "margin", points)
    found.save(folder)
    return [(folder / "exits.json").read_bytes()]


def read_exits(folder: Path) -> None:
    """The rule, and by it where samples leave."""
    rule, _ = usual_rule(folder, 2)
    exits_of(rule, [np.eye(10), np.eye(10)])


def make_steps(folder: Path) -> list[bytes]:
    """The steps of an epoch."""
    trainer = make_trainer()
    log = StepLog(trainer, [StepLines(folder, trainer)])
    for _ in trainer.steps():
        log.step(trainer)
    log.close()
    return [(folder / "steps.jsonl").read_bytes()]


def read_steps(folder: Path) -> None:
    """What is kept of the steps when the run goes on."""
    at_its_end: Any = SimpleNamespace(epoch=0, step=2)
    StepLines(folder, at_its_end).close()


def read_results(folder: Path) -> None:
    """The comparison of the training study."""
    training.lines(TABLES["mnist"], training.read(folder / "results.jsonl"))


def read_mnist(folder: Path) -> None:
    """From a folder of IDX files to the cache, and from there."""
    mnist.load(folder, data=folder)


def read_cifar(folder: Path, name: str = "") -> None:
    """From an archive, or a folder of its files, to the cache, and from there."""
    cifar100.load(folder, data=folder / name)


def read_fit(folder: Path) -> None:
    """A fit, and images that it preprocesses."""
    fitted("gcn_zca", intact.COLOURS, folder)(intact.COLOURS.test.images, Context())


def read_images_of_folder(folder: Path) -> None:
    """A folder of classes with an image that is indexed, and read where it is not skipped."""
    view = View(16, scales=(16, 24), test_scale=16, shift=0.1)
    data = load_photos(find_folder(folder / "photos"), folder / "cache", threads=1).dataset(view)
    read_images(data.train.varied(Key(0))), read_images(data.test)


def read_image_index(folder: Path) -> None:
    """A cached index, of which nothing may be true any more."""
    load_index(folder / "photos", ["cat/1.jpg", "cat/2.jpg"], folder / "index.h5", "photos", quiet, threads=1)


def read_image_list(folder: Path) -> None:
    """The list of the test images of MIT67."""
    load_photos(find_mit67(folder), folder / "cache", threads=1)


def read_pictures(folder: Path) -> None:
    """A picture in colours, and a digit."""
    read_picture(folder / "picture.png", 32, 32)
    read_digit(folder / "picture.png")


def network_of_weights() -> Network:
    """A convolution, a flattened map of 2 x 2, and two fully connected layers."""
    layers = [("conv", Conv2d(3, 5, 3)), ("map", Flatten()), ("hidden", Linear(20, 6)), ("top", Linear(6, 4))]
    return Network(chain("x", layers), ["top"], (4, 4, 3))


def read_weights(name: str, folder: Path) -> None:
    """The weights of a file that fit a network, and the report on them."""
    str(load_weights(network_of_weights(), folder / name, strict=False))


FILES = "config.json", "metrics.jsonl", "evaluations.jsonl", "checkpoint.h5"
RUN = {name: partial(make_run, name) for name in FILES}
FIT, IDX = f"fit-gcn_zca-{intact.COLOURS.train.fingerprint[:16]}.h5", mnist.FILES["train_images"].name
PACK = partial(gzip.compress, mtime=0)
KINDS = {
    "config": Kind("config.json", RUN["config.json"], read_config, json_tree),
    "metrics": Kind("metrics.jsonl", RUN["metrics.jsonl"], read_metrics, json_lines),
    "evaluations": Kind("evaluations.jsonl", RUN["evaluations.jsonl"], read_evaluations, json_lines),
    "checkpoint": Kind("checkpoint.h5", RUN["checkpoint.h5"], read_checkpoint, arrays),
    "exits": Kind("exits.json", make_exits, read_exits, json_tree),
    "steps": Kind("steps.jsonl", make_steps, read_steps, json_lines),
    "results": Kind("results.jsonl", intact.results, read_results, json_lines),
    "mnist-cache": Kind("mnist.h5", intact.mnist_cache, mnist.load, arrays),
    "cifar-cache": Kind("cifar100.h5", intact.cifar_cache, cifar100.load, arrays),
    "fit": Kind(FIT, intact.fit, read_fit, arrays),
    "idx": Kind(IDX, intact.idx, read_mnist),
    "idx-gzip": Kind(f"{IDX}.gz", partial(intact.idx, pack=PACK, suffix=".gz"), read_mnist, inside_gzip),
    "cifar": Kind(intact.TRAIN, intact.cifar, read_cifar),
    "cifar-names": Kind(intact.NAMES, partial(intact.cifar, name=intact.NAMES), read_cifar),
    "cifar-tar": Kind(cifar100.ARCHIVE, intact.cifar_archive, partial(read_cifar, name=cifar100.ARCHIVE), inside_gzip),
    "image": Kind(intact.IMAGE, intact.images, read_images_of_folder, chunks),
    "image-index": Kind("index.h5", intact.image_index, read_image_index, arrays),
    "image-list": Kind("TestImages.txt", intact.image_list, read_image_list),
    "safetensors": Kind(
        "net.safetensors", weight_files.safetensors_files, partial(read_weights, "net.safetensors"), safetensors
    ),
    "onnx": Kind("net.onnx", weight_files.onnx_files, partial(read_weights, "net.onnx"), protobuf),
    "caffemodel": Kind("net.caffemodel", weight_files.caffemodels, partial(read_weights, "net.caffemodel"), protobuf),
    "picture": Kind("picture.png", intact.pictures_and_tiff, read_pictures, chunks),
}
