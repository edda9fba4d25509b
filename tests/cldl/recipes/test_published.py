"""The published values, typed a second time from their sources: a typing error in a recipe or a model shows here.

Sources: mavenlin/cuda-convnet, NIN/{mnist,cifar-10,cifar-100}_{def,params}; lisa-lab/pylearn2, scripts/papers/maxout/mnist.yaml
and cifar10_no_aug.yaml; s9xie/DSN, examples/best_cifar10_9.65.
"""

from functools import cache

import numpy as np
import pytest

from cldl.recipes import find
from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.linear import Linear
from layers.maxout import Maxout
from layers.pooling import MaxPool2d

# outputs, window, padding of each convolution, from the bottom to the top
NIN_MNIST = [
    (96, 5, 2),
    (64, 1, 0),
    (48, 1, 0),
    (128, 5, 2),
    (96, 1, 0),
    (48, 1, 0),
    (128, 5, 2),
    (96, 1, 0),
    (10, 1, 0),
]
NIN_CIFAR = [
    (192, 5, 2),
    (160, 1, 0),
    (96, 1, 0),
    (192, 5, 2),
    (192, 1, 0),
    (192, 1, 0),
    (192, 3, 1),
    (192, 1, 0),
    (100, 1, 0),
]
MAXOUT_MNIST = [(96, 8, 0), (96, 8, 3), (96, 5, 3)]  # channels times pieces
MAXOUT_CIFAR = [(192, 8, 4), (384, 8, 3), (384, 5, 3)]
CONVOLUTIONS = {
    "mnist_nin_published": NIN_MNIST,
    "cifar100_nin_published": NIN_CIFAR,
    "mnist_dsn_published": NIN_MNIST,
    "cifar100_dsn_published": NIN_CIFAR,
    "mnist_maxout_published": MAXOUT_MNIST,
    "cifar100_maxout_published": MAXOUT_CIFAR,
}
POOLS = {
    "nin": [(3, 2), (3, 2)],
    "dsn": [(3, 2), (3, 2)],
    "maxout": [(4, 2), (4, 2), (2, 2)],
}  # window, stride; ceil mode
DROPOUTS = {
    "mnist_nin_published": [0.5, 0.5],
    "cifar100_nin_published": [0.5, 0.5],
    "mnist_dsn_published": [0.5, 0.5],
    "cifar100_dsn_published": [0.5, 0.5],
    "mnist_maxout_published": [0.2, 0.5, 0.5, 0.5],  # of the image first, of the classifier's input last
    "cifar100_maxout_published": [0.2, 0.5, 0.5, 0.5, 0.5],
}
# learning rate, momentum, weight decay, images a step, epochs
TRAINING = {
    "mnist_nin_published": (0.1, 0.9, 1e-4, 128, 260),  # epsW 1 times coefficient 0.1; wc 1e-5 over 0.1
    "cifar100_nin_published": (0.02, 0.9, 5e-4, 128, 260),  # epsW 0.01 times coefficient 2; wc 1e-3 over 2
    "mnist_dsn_published": (0.025, 0.9, 5e-4, 100, 250),  # 150,000 steps of 100 of 60,000 images
    "cifar100_dsn_published": (0.025, 0.9, 5e-4, 100, 300),
    "mnist_maxout_published": (0.05, 0.5, 0.0, 128, 300),
    "cifar100_maxout_published": (0.17, 0.5, 0.0, 128, 785),
}
PUBLISHED = pytest.mark.parametrize("name", TRAINING)


@cache
def network(name):
    """The network of a recipe; no test changes it."""
    return find(name).build_network()


def layers_of(name, kind):
    """The layers of one type in the network of a recipe, from the bottom to the top, also those inside others."""

    def flat(layer):
        inner = getattr(layer, "layers", ())
        return [layer, *(found for part in inner for found in flat(part))]

    found = [layer for node in network(name).nodes for layer in flat(node.layer)]
    return [layer for layer in found if isinstance(layer, kind)]


@PUBLISHED
def test_the_convolutions_are_the_published_ones(name):
    shapes = [(c.outputs, c.window.kernel, c.window.padding) for c in layers_of(name, Conv2d)]
    assert shapes == CONVOLUTIONS[name]
    assert {c.window.stride for c in layers_of(name, Conv2d)} == {1}


@PUBLISHED
def test_poolings_and_dropouts_are_the_published_ones(name):
    assert [(p.kernel, p.stride) for p in layers_of(name, MaxPool2d)] == POOLS[find(name).model.kind]
    assert all(p.ceil for p in layers_of(name, MaxPool2d))
    assert [d.rate for d in layers_of(name, Dropout)] == DROPOUTS[name]


@PUBLISHED
def test_the_training_is_the_published_one(name):
    recipe = find(name)
    schedule, optimiser = recipe.schedule, recipe.optimiser
    found = schedule.learning_rate, optimiser.momentum, optimiser.weight_decay, schedule.batch_size, schedule.epochs
    assert found == pytest.approx(TRAINING[name], rel=1e-12)


def test_the_steps_and_slopes_of_the_learning_rates_are_the_published_ones():
    for name in ("mnist_nin_published", "cifar100_nin_published"):
        rates = find(name).schedule
        assert [rates.learning_rate_at(e) / rates.learning_rate for e in (199, 201, 231)] == pytest.approx(
            [1, 0.1, 0.01]
        )
    dsn = find("cifar100_dsn_published").schedule  # 0.025 for 120,000 steps of 500 an epoch, then 0.0001
    assert [dsn.learning_rate_at(e) for e in (239, 241)] == pytest.approx([0.025, 0.0001])
    maxout = find("mnist_maxout_published").schedule  # divided by 1.00004 an update; 469 an epoch
    assert maxout.learning_rate_at(10) == pytest.approx(0.05 / 1.00004**4690)
    assert maxout.learning_rate_at(1e6) == pytest.approx(1e-6)
    assert [maxout.momentum_at(e) for e in (0, 125, 250, 290)] == pytest.approx([0.5, 0.6, 0.7, 0.7])
    cifar = find("cifar100_maxout_published").schedule  # linear to 0.01 of it at epoch 500
    assert [cifar.learning_rate_at(e) for e in (250, 500, 700)] == pytest.approx([0.17 * 0.505, 0.0017, 0.0017])
    assert cifar.momentum_at(250) == pytest.approx(0.6)


def multipliers(name):
    """The learning-rate multiplier and the decay multiplier of every parameter of a recipe's network."""
    return {p.name: (p.lr_mult, p.decay_mult) for p in network(name).parameters()}


def test_only_the_top_convolution_of_nin_for_mnist_learns_at_a_tenth_and_biases_learn_at_twice_the_rate():
    found = multipliers("mnist_nin_published")
    for layer in ("conv1", "cccp1", "cccp2", "conv2", "cccp3", "cccp4", "conv3", "cccp5"):
        assert (found[f"{layer}.weight"], found[f"{layer}.bias"]) == ((1, 1), (2, 0)), layer
    assert (found["cccp6.weight"], found["cccp6.bias"]) == ((0.1, 1), (0.2, 0))


def test_nin_for_cifar_learns_at_one_rate_and_its_biases_at_twice_that():
    trunk = {name: m for name, m in multipliers("cifar100_nin_published").items() if not name.startswith("head")}
    assert len(trunk) == 18
    assert all(m == ((2, 0) if name.endswith("bias") else (1, 1)) for name, m in trunk.items())


def test_companions_of_dsn_learn_at_a_thousandth_which_falls_with_the_updates():
    for name in ("mnist_dsn_published", "cifar100_dsn_published"):
        heads = [p for p in network(name).parameters() if p.name.startswith("head")]
        assert len(heads) == 6
        for p in heads:
            assert p.lr_mult == (0.002 if p.name.endswith("bias") else 0.001)
            assert p.lr_policy(10_000) == pytest.approx(2**-0.75)
        assert {p.lr_mult for p in network(name).parameters() if p.name == "cccp6.weight"} == {0.1}
        assert find(name).build_objective().weights == (1, 1, 1, 1)


def test_pieces_and_bounds_of_the_norms_of_maxout_are_the_published_ones():
    assert [m.pieces for m in layers_of("mnist_maxout_published", Maxout)] == [2, 2, 4]
    assert [m.pieces for m in layers_of("cifar100_maxout_published", Maxout)] == [2, 2, 2, 5]
    assert [linear.weight.shape[1] for linear in layers_of("cifar100_maxout_published", Linear)] == [2500, 100]
    norms = {
        "mnist_maxout_published": [0.9, 1.9365, 1.9365, 1.9365],
        "cifar100_maxout_published": [0.9, 1.9365, 1.9365, 1.9, 1.9365],
    }
    for name, expected in norms.items():
        weights = [p for p in network(name).parameters() if p.name.endswith("weight")]
        assert [p.max_norm for p in weights] == expected
        assert all(np.abs(p.value).max() <= 0.005 for p in weights)
    rates = [
        (p.name.endswith("bias"), p.lr_mult) for p in find("cifar100_maxout_published").build_network().parameters()
    ]
    assert [m for _, m in rates] == [0.05] * 6 + [1.0] * 4
