"""Networks: the whole of CLDL-NIN from pixels to loss and back, its size, and how blocks and classifiers are joined."""

import inspect

import numpy as np
import pytest

from cldl import models as networks
from cldl.gradcheck import chooser
from cldl.loss import cldl_loss
from cldl.models import dsn, maxout, nin
from cldl.verification import end_to_end as verification
from cldl.verification.cases import Scores
from engine.context import Context
from engine.errors import UserError
from engine.gradcheck import check_layer, grid
from engine.initialisers import normal
from engine.parameters import cast, initialise
from engine.random import Key
from layers.conv2d import Conv2d
from layers.flatten import Flatten
from layers.linear import Linear
from layers.network import Network
from layers.pooling import GlobalAvgPool, MaxPool2d
from layers.relu import ReLU
from layers.sequential import Sequential


@pytest.fixture(scope="module")
def end_to_end():
    return verification.check_nin(chooser(Key(0)), 0)


def test_cldl_nin_has_the_right_gradient_for_pixels_and_every_weight(end_to_end):
    end_to_end.raise_if_failed()
    assert [e.name for e in end_to_end.entries] == ["pixels", *(p.name for p in nin("mnist", 5).parameters())]
    assert all(abs(e.analytic) > 1e-3 for e in end_to_end.entries)
    assert max(e.relative for e in end_to_end.entries) <= 1e-7


@pytest.mark.parametrize("check", [verification.check_dsn, verification.check_maxout])
def test_dsn_and_maxout_have_the_right_gradient_for_pixels_and_every_weight(check):
    found = check(chooser(Key(0)), 0)
    found.raise_if_failed()
    assert all(e.analytic for e in found.entries)
    assert max(e.relative for e in found.entries) <= 1e-7


def test_every_network_of_the_project_is_checked():
    made = {
        name
        for name, f in inspect.getmembers(networks, inspect.isfunction)
        if f.__annotations__.get("return") == "Network"
    }
    assert made
    assert made <= set(verification.END_TO_END)


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


def test_the_fourth_and_fifth_classifier_look_into_blocks_3_and_2_behind_the_first_relu():
    places = {M: [tuple(layer.weight.shape) for name, layer, _ in nin("cifar100", M).layers() if name.startswith("classifier")
                  and isinstance(layer, Linear)] for M in (3, 4, 5)}  # fmt: skip
    pool1, pool2, relu2, relu3 = (96 * 16**2, 100), (192 * 8**2, 100), (192 * 16**2, 100), (192 * 8**2, 100)
    assert places == {3: [pool1, pool2], 4: [pool1, pool2, relu3], 5: [pool1, relu2, pool2, relu3]}
    network = nin("cifar100", 5)
    assert [type(block.layers[-1]) for block in network.blocks[:4]] == [MaxPool2d, ReLU, MaxPool2d, ReLU]


@pytest.mark.parametrize(("name", "nin_parameters", "nin_work"), [
    ("mnist", 349_674, 50_699_712), ("cifar100", 984_356, 223_592_448)
])  # fmt: skip
def test_the_size_of_dsn_is_that_of_nin_with_an_inner_product_on_each_blocks_first_convolution(
    name, nin_parameters, nin_work
):
    network = dsn(name)
    features = {"mnist": (96 * 28**2, 128 * 14**2, 128 * 7**2), "cifar100": (192 * 32**2, 192 * 16**2, 192 * 8**2)}[
        name
    ]
    K = network.classes
    assert sum(p.value.size for p in network.parameters()) == nin_parameters + sum((f + 1) * K for f in features)
    assert network.multiply_adds() == nin_work + sum(features) * K
    assert len(network.classifiers) == 4
    assert [type(block.layers[-1]) for block in network.blocks[:3]] == [Conv2d] * 3  # before its ReLU
    assert not isinstance(network.blocks[-1].layers[-1], ReLU)


def test_the_companions_of_dsn_learn_at_a_thousandth_of_the_rate_and_ever_less():
    parameters = dsn("mnist").parameters()
    companions = [p for p in parameters if p.name.startswith("classifier")]
    assert len(companions) == 6
    for p in companions:
        assert p.lr_mult == 0.001
        assert [p.lr_policy(t) for t in (0, 10_000)] == pytest.approx([1, 2**-0.75])
    trunk = [p for p in parameters if p not in companions]
    assert {p.lr_policy for p in trunk} == {None}
    assert [p.lr_mult for p in trunk][-2:] == [0.1, 0.1]


def test_dsn_draws_its_trunk_and_its_companions_as_published():
    network = dsn("cifar100")
    initialise(network.parameters(), Key(5))
    weights = {p.name: p.value for p in network.parameters() if p.value.ndim > 1}
    for name, w in weights.items():
        if name.startswith("classifier"):
            assert np.abs(w).max() <= (3 / len(w)) ** 0.5
            assert w.std() == pytest.approx(len(w) ** -0.5, rel=0.02)
        else:
            assert w.std() == pytest.approx(0.05, rel=0.05)


def test_the_size_of_the_maxout_networks_is_that_of_the_definitions():
    mnist, cifar = maxout("mnist"), maxout("cifar100")
    h0, h1, h2, y = 8 * 8 * 96, 8 * 8 * 48 * 96, 5 * 5 * 48 * 96, 24 * 3 * 3 * 10
    assert sum(p.value.size for p in mnist.parameters()) == h0 + h1 + h2 + y + 3 * 96 + 10 == 418_714
    assert mnist.multiply_adds() == 21**2 * h0 + 9**2 * h1 + 6**2 * h2 + y
    h0, h1, h2, h3, y = 8 * 8 * 3 * 192, 8 * 8 * 96 * 384, 5 * 5 * 192 * 384, 192 * 5 * 5 * 2500, 500 * 100
    biases = 192 + 384 + 384 + 2500 + 100
    assert sum(p.value.size for p in cifar.parameters()) == h0 + h1 + h2 + h3 + y + biases == 16_292_920  # 16.3 M
    assert cifar.multiply_adds() == 33**2 * h0 + 15**2 * h1 + 9**2 * h2 + h3 + y


def test_the_maps_of_the_maxout_networks_have_the_published_sizes():
    mnist = [28, 28, 21, 21, 10, 10, 9, 9, 4, 4, 6, 6, 3]
    cifar = [32, 32, 33, 33, 16, 16, 15, 15, 7, 7, 9, 9, 5]
    for name, sizes in (("mnist", mnist), ("cifar100", cifar)):
        assert [shape[0] for _, _, shape in maxout(name).layers()][: len(sizes)] == sizes


def test_the_norms_of_the_maxout_networks_are_the_published_ones():
    norms = [p.max_norm for p in maxout("cifar100").parameters() if p.value.ndim > 1]
    assert norms == [0.9, 1.9365, 1.9365, 1.9, 1.9365]
    assert [p.max_norm for p in maxout("mnist").parameters() if p.value.ndim > 1] == [0.9, 1.9365, 1.9365, 1.9365]
    rates = [p.lr_mult for p in maxout("cifar100", convolution_rate=0.05).parameters()]
    assert rates == [0.05] * 6 + [1.0] * 4


@pytest.mark.parametrize(("classifiers", "blocks"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)])
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
    with pytest.raises(UserError, match="6 classifiers; it has places for 1 to 5"):
        nin("mnist", 6)
    with pytest.raises(UserError, match="initialisation 'zeros' is unknown"):
        nin("mnist", 3, initialisation="zeros")
    with pytest.raises(UserError, match="no NIN for 'svhn'"):
        nin("svhn")
    with pytest.raises(UserError, match="no NIN for 'svhn'"):
        dsn("svhn")
    with pytest.raises(UserError, match="no Maxout network for 'svhn'"):
        maxout("svhn")
