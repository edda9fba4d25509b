"""What a network predicts on a set of images: errors in %, logits in single precision, units that never answer."""

import numpy as np
import pytest

from cldl.objective import Objective
from cldl.training.evaluation import Evaluation, compute_logits, dead_units
from data.dataset import ArraySplit
from data.transforms.preprocessing import Scale
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
    evaluation = Evaluation([wrong, right], np.zeros(4, np.int64), Objective((1.0, 1.0), loss="softmax"))
    assert evaluation.errors == {"1": 25.0, "2": 0.0, "fused": 0.0}


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
