"""Training without a recipe: your own network, data and losses."""

import math
import threading

import numpy as np
import pytest

from cldl.loss import cldl_loss
from cldl.objective import Objective
from cldl.training.trainer import Trainer
from data.dataset import ArraySplit, Dataset, read_images
from engine.context import Context
from engine.errors import UserError
from engine.optim import AdamW, Constant
from engine.random import Key
from layers import Flatten, Linear, Network, Node, ReLU
from tests.cldl.synthetic import digits
from tests.cldl.training.test_trainer import run, timeless, weights


def small_network(M=2, shape=(28, 28, 1), classes=10):
    """A linear classifier on the image, and another behind a ReLU."""
    D = math.prod(shape)
    nodes = [
        Node("flat", Flatten(), ("x",)),
        Node("low", Linear(D, classes), ("flat",)),
        Node("hidden", Linear(D, 12), ("flat",)),
        Node("relu", ReLU(), ("hidden",)),
        Node("top", Linear(12, classes), ("relu",)),
    ]
    if M == 1:
        del nodes[1]
    network = Network(nodes, exits=["low", "top"][-M:], input_shape=shape)
    network.initialise(Key(4))
    return network


def own_trainer(dataset=None, M=2, weights=(1.0, 1.0), schedule=None, **options):
    """A training without a recipe."""
    network = small_network(M)
    schedule = schedule or Constant(epochs=2, batch_size=16, learning_rate=0.001)
    optimiser = AdamW(network.parameters())
    return Trainer(network, Objective(weights), optimiser, dataset or digits(), schedule, threads=2, **options)


def test_a_network_without_a_recipe_learns():
    t = own_trainer(schedule=Constant(epochs=10, batch_size=16, learning_rate=0.001))
    lines = run(t, 10)
    assert lines[-1]["train_loss"] < 0.5 * lines[0]["train_loss"]
    assert lines[-1]["learning_rate"] == 0.001
    assert set(lines[-1]["test_error"]) == {"1", "2", "fused"}


def test_the_trainer_begins_with_the_weights_that_the_network_has():
    drawn = np.concatenate([p.value.ravel() for p in small_network().parameters()])
    assert np.array_equal(weights(own_trainer(seed=7)), drawn)


def test_without_a_preprocessing_pixels_become_0_to_1():
    preprocess = own_trainer().preprocessing
    x = preprocess(np.array([0, 51, 255], np.uint8).reshape(1, 1, 3, 1), Context())
    np.testing.assert_allclose(x.ravel(), [0, 0.2, 1], rtol=1e-6)


class InAFile:
    """The images of a split in a file; it notes who reads what."""

    def __init__(self, path, split):
        read_images(split, range(len(split))).tofile(path)
        self.path, self.labels, self.shape, self.fingerprint = path, split.labels, split.shape, split.fingerprint
        self.reads = []

    def __len__(self):
        return len(self.labels)

    def read(self, indices, out):
        self.reads.append((threading.current_thread(), len(indices)))
        np.take(np.memmap(self.path, np.uint8, "r", shape=(len(self), *self.shape)), indices, axis=0, out=out)


def test_a_split_on_disk_trains_to_the_bits_of_the_same_images_in_memory(tmp_path):
    memory = digits()
    disk = Dataset(
        "squares",
        InAFile(tmp_path / "train", memory.train),
        InAFile(tmp_path / "test", memory.test),
        memory.class_names,
    )
    a, b = own_trainer(memory), own_trainer(disk)
    assert list(map(timeless, run(a))) == list(map(timeless, run(b)))
    assert np.array_equal(weights(a), weights(b))
    assert [size for _, size in disk.train.reads] == [8] * 12  # a chunk a thread, two threads, 3 steps an epoch
    assert threading.main_thread() not in {thread for thread, _ in disk.train.reads}


def test_a_limited_data_set_trains_on_the_first_samples_alone():
    small, large = digits(48), digits(96)
    limited = Dataset("squares", large.train, small.test, small.class_names).limited(train=48)
    a, b = own_trainer(small), own_trainer(limited)
    assert list(map(timeless, run(a))) == list(map(timeless, run(b)))


def test_training_calls_the_loss_that_users_call(monkeypatch):
    calls = []

    def watched(logits, labels, *arguments, **options):
        result = cldl_loss(logits, labels, *arguments, **options)
        calls.append((len(labels), result.value))
        return result

    monkeypatch.setattr("cldl.objective.cldl_loss", watched)
    t = own_trainer()
    next(t.steps())
    assert [N for N, _ in calls] == [8, 8]
    assert sum(value for _, value in calls) == pytest.approx(t.metrics.loss / 16, rel=1e-12)


def test_a_gradient_that_the_loss_returns_is_the_one_that_is_trained_with(monkeypatch):
    def top_only(logits, labels, *arguments, **options):
        result = cldl_loss(logits, labels, *arguments, **options)
        result.gradients[0][...] = 0
        return result

    monkeypatch.setattr("cldl.objective.cldl_loss", top_only)
    t = own_trainer()
    next(t.steps())
    views = {p.name: view for p, view in t.backend.gradients.views.items()}
    assert not views["low.weight"].any()
    assert views["top.weight"].any()


def test_the_schedule_sets_the_momentum_where_it_has_one():
    plain = own_trainer()
    ramp = own_trainer(schedule=Constant(epochs=2, batch_size=24, learning_rate=0.001, momentum_ramp=(0.5, 0.6, 1.0)))
    run(plain, 1)
    assert plain.optimiser.momentum == 0.9
    seen = []
    for _ in ramp.steps():
        seen.append(ramp.optimiser.momentum)
    assert seen == [0.5, 0.55]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"M": 1}, "the objective has 2 weights; the network has 1 exits: give one weight to each exit"),
        ({"weights": (1.0,)}, "the objective has 1 weights; the network has 2 exits"),
        ({"dataset": "colour"}, r"has images of shape \(28, 28, 3\); the network takes \(28, 28, 1\)"),
        ({"dataset": "classes"}, "has 11 classes; the network tells 10 apart"),
    ],
)
def test_parts_that_do_not_fit_are_refused(options, sentence):
    d = digits()
    colour = [np.repeat(split.images, 3, axis=-1) for split in (d.train, d.test)]
    others = {
        "colour": Dataset(
            "d", ArraySplit(colour[0], d.train.labels), ArraySplit(colour[1], d.test.labels), d.class_names
        ),
        "classes": Dataset("d", d.train, d.test, (*d.class_names, "ten")),
    }
    with pytest.raises(UserError, match=sentence):
        own_trainer(**options | ({"dataset": others[options["dataset"]]} if "dataset" in options else {}))


def test_an_optimiser_of_other_parameters_is_refused():
    network, other = small_network(), small_network()
    schedule = Constant(epochs=1, batch_size=16, learning_rate=0.001)
    with pytest.raises(UserError, match=r"build it of network\.parameters\(\)"):
        Trainer(network, Objective((1.0, 1.0)), AdamW(other.parameters()), digits(), schedule)
