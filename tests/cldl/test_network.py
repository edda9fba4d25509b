"""Networks: the whole of CLDL-NIN from pixels to loss and back, its size, and how blocks and classifiers are joined."""

import inspect

import numpy as np
import pytest

from cldl import gradcheck_wholes, networks
from cldl.gradcheck import chooser
from cldl.gradcheck_cases import Scores
from cldl.loss import cldl_loss
from cldl.network import Network
from cldl.networks import nin
from engine.context import Context
from engine.errors import UserError
from engine.gradcheck import check_layer, grid
from engine.key import Key
from engine.parameters import cast, initialise, normal
from layers.conv2d import Conv2d
from layers.flatten import Flatten
from layers.linear import Linear
from layers.pooling import GlobalAvgPool
from layers.relu import ReLU
from layers.sequential import Sequential


@pytest.fixture(scope="module")
def end_to_end():
    return gradcheck_wholes.check_nin(chooser(Key(0)), 0)


def test_cldl_nin_has_the_right_gradient_for_pixels_and_every_weight(end_to_end):
    end_to_end.raise_if_failed()
    assert [e.name for e in end_to_end.entries] == ["pixels", *(p.name for p in nin("mnist", 3).parameters())]
    assert all(abs(e.analytic) > 1e-3 for e in end_to_end.entries)
    assert max(e.relative for e in end_to_end.entries) <= 1e-7


def test_every_network_of_the_project_is_checked():
    made = {
        name
        for name, f in inspect.getmembers(networks, inspect.isfunction)
        if f.__annotations__.get("return") == "Network"
    }
    assert made
    assert made <= set(gradcheck_wholes.WHOLES)


def test_the_size_of_cldl_nin_is_that_of_the_definition():
    alone, network = nin("mnist", 1), nin("mnist", 3)
    assert sum(p.value.size for p in alone.parameters()) == 349_674  # 0.350 M and 50.7 M: Network in Network itself
    assert alone.multiply_adds() == 50_699_712
    lower = (48 * 14 * 14 + 1) * 10 + (48 * 7 * 7 + 1) * 10
    assert sum(p.value.size for p in network.parameters()) == 349_674 + lower
    assert network.multiply_adds() == 50_699_712 + lower - 20
    assert network.classes == 10


def test_the_size_of_nin_for_cifar_100_is_that_of_the_definition():
    alone, network = nin("cifar100", 1), nin("cifar100", 3)
    assert sum(p.value.size for p in alone.parameters()) == 984_356  # 0.984 M and 223.6 M
    assert alone.multiply_adds() == 223_592_448
    lower = (96 * 16 * 16 + 1) * 100 + (192 * 8 * 8 + 1) * 100
    assert sum(p.value.size for p in network.parameters()) == 984_356 + lower
    assert network.classes == 100


def test_the_published_weights_have_the_published_deviations():
    network = nin("cifar100", 1, initialisation="published")
    initialise(network.parameters(), Key(5))
    deviations = [p.value.std() for p in network.parameters() if p.value.ndim == 4]
    expected = [0.001, 0.01, 0.01, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05]
    assert deviations == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("classifiers", "blocks"), [(1, 1), (2, 2), (3, 3)])
def test_fewer_classifiers_leave_the_trunk_as_it_is(classifiers, blocks):
    network = nin("mnist", classifiers)
    assert len(network.blocks) == len(network.classifiers) == blocks
    heads = sum(layer.multiply_adds(shape) for name, layer, shape in network.layers() if name.startswith("classifier"))
    assert network.multiply_adds() - heads == nin("mnist", 1).multiply_adds()


def test_lower_classifiers_on_the_mean_are_linear_in_48_numbers():
    shapes = [p.shape for p in nin("mnist", 3, lower="mean").parameters() if p.name.startswith("classifier")]
    assert shapes == [(48, 10), (10,), (48, 10), (10,)]


def test_lower_classifiers_begin_undecided():
    ctx = Context()
    logits, _ = nin("mnist", 3).forward(grid((2, 28, 28, 1), Key(4), 1.0).astype(np.float32), ctx)
    assert not logits[0].any()
    assert not logits[1].any()


def test_names_of_parameters_are_unique_and_say_where_they_are():
    names = [p.name for p in nin("mnist", 3).parameters()]
    assert len(set(names)) == len(names) == 22
    assert names[0] == "block1.0.weight"
    assert "classifier2.1.bias" in names


def test_float32_and_float64_agree_end_to_end():
    x, labels = grid((2, 28, 28, 1), Key(4), 1.0), np.array([3, 8])
    found = []
    for dtype in (np.float32, np.float64):
        network = nin("mnist", 3)
        initialise(network.parameters(), Key(1))
        cast(network.parameters(), dtype)
        ctx = Context(training=True, key=Key(2))
        logits, cache = network.forward(x.astype(dtype), ctx)
        result = cldl_loss(logits, labels)
        network.backward(result.gradients, cache, ctx, need_dx=False)
        found.append((result.value, [ctx.gradients()[p] for p in network.parameters()]))
    (single, dsingle), (double, ddouble) = found
    assert single == pytest.approx(double, rel=1e-5)
    for a, b in zip(dsingle, ddouble, strict=True):
        assert a.dtype == np.float32
        assert np.linalg.norm(a - b) <= 1e-3 * np.linalg.norm(b)  # ReLU and pooling near-ties


def test_the_same_pass_gives_the_same_bits():
    network = nin("mnist", 2)
    x = grid((2, 28, 28, 1), Key(4), 1.0).astype(np.float32)
    runs = [network.forward(x, Context(training=True, key=Key(1)))[0] for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(*runs, strict=True))


def test_a_classifier_that_only_rearranges_keeps_every_promise():
    """Its gradient is a view of the scores' gradient, which must not be added into."""
    bias = normal(0.5)
    blocks = [Sequential(Conv2d(2, 3, 2, stride=2, bias=bias), ReLU()), Conv2d(3, 12, 2, stride=2, bias=bias)]
    network = Network(blocks, [Flatten(), Flatten()], (4, 4, 2))
    initialise(network.parameters(), Key(0))
    report = check_layer(Scores(network), (4, 4, 2), samples=2)
    report.raise_if_failed()


def test_a_network_that_does_not_fit_together_is_refused():
    block, head = Conv2d(1, 4, 3), GlobalAvgPool()
    with pytest.raises(UserError, match="1 blocks and 2 classifiers"):
        Network([block], [head, head], (8, 8, 1))
    with pytest.raises(UserError, match="all must give the same K"):
        Network([block, Conv2d(4, 5, 3)], [head, head], (8, 8, 1))
    with pytest.raises(UserError, match="all must give the same K"):
        Network([block], [ReLU()], (8, 8, 1))
    with pytest.raises(UserError, match="last axis must be 1"):
        Network([block], [head], (8, 8, 2))
    with pytest.raises(UserError, match="takes vectors"):
        Network([block], [Linear(4, 2)], (8, 8, 1))
    with pytest.raises(UserError, match="4 classifiers"):
        nin("mnist", 4)
    with pytest.raises(UserError, match="initialisation 'zeros' is unknown"):
        nin("mnist", 3, initialisation="zeros")
    with pytest.raises(UserError, match="no NIN for 'svhn'"):
        nin("svhn")
