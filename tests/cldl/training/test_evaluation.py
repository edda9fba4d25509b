"""What a network predicts on a set of images: errors in %, logits in single precision, units that never answer."""

import tracemalloc

import numpy as np
import pytest

from cldl.objective import Objective
from cldl.training.evaluation import Evaluation, compute_logits, dead_units
from cldl.training.trained import TrainedModel
from data.dataset import ArraySplit
from data.transforms.preprocessing import Scale
from engine.random import Key
from engine.runtime.cpu import CpuBackend
from layers import Flatten, Linear, Network, Node, ReLU

IMAGES = np.array([[[[255], [0]]], [[[0], [255]]], [[[255], [255]]]], np.uint8)  # (3, 1, 2, 1)
SPLIT = ArraySplit(IMAGES, np.array([0, 1, 0]))


def network(weight):
    """A ReLU of two pixels, as the only classifier."""
    linear = Linear(2, 3)
    linear.weight.value[...] = weight
    linear.bias.value[...] = 0
    nodes = [Node("flat", Flatten()), Node("linear", linear, ("flat",)), Node("relu", ReLU(), ("linear",))]
    return Network(nodes, ["relu"], (1, 2, 1))


def test_errors_are_the_share_of_wrong_answers_in_percent():
    right, wrong = np.array([[2.0, 0.0]] * 4), np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    evaluation = Evaluation.of([wrong, right], np.zeros(4, np.int64), Objective((1.0, 1.0), loss="softmax"))
    assert evaluation.errors == {"1": 25.0, "2": 0.0, "fused": 0.0}
    assert evaluation.apart == {"1": 1, "2": 0}


def pieces(evaluation_of, N, size):
    return Evaluation.join([evaluation_of(slice(start, start + size)) for start in range(0, N, size)])


@pytest.mark.parametrize("loss", ["cldl", "softmax", "hinge"])
def test_it_does_not_matter_how_many_images_are_looked_at_at_a_time(loss):
    rng = np.random.default_rng(1)
    logits, labels = [rng.normal(size=(50, 6)) for _ in range(3)], rng.integers(0, 6, 50)
    objective = Objective((1.0, 0.5, 2.0), loss=loss)

    def part(rows):
        return Evaluation.of([z[rows] for z in logits], labels[rows], objective, samples=50)

    whole, joined = Evaluation.of(logits, labels, objective), pieces(part, 50, 7)
    assert joined.loss == pytest.approx(whole.loss, rel=1e-12)
    for name in (
        "labels",
        "predictions",
        "deciding_exits",
        "answers",
        "confidences",
        "on_target",
        "losses",
        "T",
        "ranks",
    ):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    for figures in ("errors", "apart", "shares", "right_shares", "companions"):
        assert getattr(joined, figures) == getattr(whole, figures)
    assert joined.top_errors(2) == whole.top_errors(2)


class Scores:
    """A network's stand-in: the logits are read off the images; it notes how many are looked at at a time."""

    exits, classes, input_shape = ("bottom", "top"), 500, (1, 1, 1)

    def __init__(self):
        self.key = Key(3)

    def forward(self, x, ctx):
        first = int(ctx.first_sample)
        return [self.key.fold(m).normal((len(x), self.classes)).astype(np.float32) + first for m in range(2)], None


def peak_of(N):
    """The bytes that an evaluation of N images takes at the peak, and those that it keeps."""
    split = ArraySplit(np.zeros((N, 1, 1, 1), np.uint8), np.arange(N) % 500)
    model = TrainedModel(Scores(), Objective((1.0, 1.0)), Scale(), CpuBackend([], threads=1), ())
    tracemalloc.start()
    try:
        evaluation = model.evaluate(split)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(evaluation.predictions) == N
    return peak, kept


def test_the_memory_does_not_grow_with_the_number_of_images_but_for_what_the_docstring_says(monkeypatch):
    monkeypatch.setattr("cldl.training.trained.PIECE", 1 << 17)
    peak_of(2)  # what is loaded and compiled once
    (one, _), (few, kept), (many, all_kept) = peak_of(1), peak_of(1000), peak_of(4000)
    each = 32 + 48 * 2
    assert all_kept - kept == pytest.approx(3000 * each, rel=0.05)
    assert many - few < 3 * 3000 * each < 3000 * 2 * 500 * 4  # the arrays of pieces are joined; the logits are not kept
    assert few - one < 80 * (1 << 17) + 1000 * each


def test_logits_are_those_of_the_network_in_single_precision():
    weight = np.array([[1.0, 0.25, 0.0], [0.0, 0.25, 2.0]], np.float32)
    built = network(weight)
    (logits,) = compute_logits(built, SPLIT, Scale(), CpuBackend(built.parameters(), threads=1))
    assert logits.dtype == np.float32
    assert logits.tolist() == [[1.0, 0.25, 0.0], [0.0, 0.25, 2.0], [1.0, 0.5, 2.0]]


@pytest.mark.parametrize(
    ("weight", "dead"),
    [
        ([[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]], 0),  # however little they answer
        ([[-1.0, 0.5, -1.0], [-1.0, -0.5, -1.0]], 2),
        ([[-1.0, 0.5, 0.25], [0.0, -0.5, 0.25]], 1),
    ],
)
def test_a_unit_is_dead_if_it_is_0_on_all_images(weight, dead):
    built = network(weight)
    assert dead_units(built, SPLIT, Scale(), CpuBackend(built.parameters(), threads=1)) == {"relu": dead}
