"""The networks of the poster: right gradients, the sizes of the definitions, names that do not depend on the exits."""

import numpy as np
import pytest

from cldl.gradcheck import chooser
from cldl.loss import cldl_loss
from cldl.models.dsn import dsn
from cldl.models.heads import attach_heads
from cldl.models.maxout import MAXOUT_CIFAR, MAXOUT_MNIST, maxout
from cldl.models.nin import NIN_CIFAR, NIN_MNIST, nin
from cldl.objective import Objective
from cldl.recipes import FAMILIES, RECIPES
from cldl.recipes.spec import KINDS
from cldl.verification.end_to_end import END_TO_END, check_network
from engine.context import Context
from engine.errors import UserError
from engine.gradcheck import grid
from engine.parameters import cast, initialise
from engine.random import Key
from layers.pooling import GlobalAvgPool, MaxPool2d
from layers.relu import ReLU

MNIST, CIFAR = ((28, 28, 1), 10), ((32, 32, 3), 100)  # images and classes


@pytest.fixture(scope="module")
def end_to_end():
    return check_network(nin(NIN_MNIST, *MNIST, 5), Objective((0.25, 0.5, 0.75, 1.0, 1.25)), chooser(Key(0)), 0)


def test_cldl_nin_has_the_right_gradient_for_pixels_and_every_weight(end_to_end):
    end_to_end.raise_if_failed()
    assert [e.name for e in end_to_end.entries] == ["pixels", *(p.name for p in nin(NIN_MNIST, *MNIST, 5).parameters())]
    assert all(abs(e.analytic) > 1e-3 for e in end_to_end.entries)
    assert max(e.relative for e in end_to_end.entries) <= 1e-7


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_network_of_every_family_has_the_right_gradient_for_pixels_and_every_weight(family):
    found = END_TO_END[family](chooser(Key(0)), 0)
    found.raise_if_failed()
    assert all(e.analytic for e in found.entries)
    assert max(e.relative for e in found.entries) <= 1e-7


def test_every_kind_of_network_has_recipes_and_is_checked():
    assert {recipe.model.kind for recipe in RECIPES.values()} == set(KINDS["model"])
    for family, recipes in FAMILIES.items():
        assert {recipe.model.kind for recipe in recipes} == {recipes[0].model.kind}, family
        assert family in END_TO_END


def test_the_size_of_cldl_nin_is_that_of_the_definition():
    alone, network = nin(NIN_MNIST, *MNIST, 1), nin(NIN_MNIST, *MNIST, 3)
    assert sum(p.value.size for p in alone.parameters()) == 349_674  # 0.350 M and 50.7 M: Network in Network itself
    assert alone.multiply_adds() == 50_699_712
    lower = (48 * 14 * 14 + 1) * 10 + (48 * 7 * 7 + 1) * 10
    assert sum(p.value.size for p in network.parameters()) == 349_674 + lower
    assert network.multiply_adds() == 50_699_712 + lower - 20
    assert network.classes == 10


def test_the_size_of_nin_for_cifar_100_is_that_of_the_definition():
    alone, network = nin(NIN_CIFAR, *CIFAR, 1), nin(NIN_CIFAR, *CIFAR, 3)
    assert sum(p.value.size for p in alone.parameters()) == 984_356  # 0.984 M and 223.6 M
    assert alone.multiply_adds() == 223_592_448
    lower = (96 * 16 * 16 + 1) * 100 + (192 * 8 * 8 + 1) * 100
    assert sum(p.value.size for p in network.parameters()) == 984_356 + lower
    assert network.classes == 100


def test_the_published_weights_have_the_published_standard_deviations():
    network = nin(NIN_CIFAR, *CIFAR, 1, initialisation="published")
    initialise(network.parameters(), Key(5))
    stds = [p.value.std() for p in network.parameters() if p.value.ndim == 4]
    expected = [0.001, 0.01, 0.01, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05]
    assert stds == pytest.approx(expected, rel=0.05)


def test_the_fourth_and_fifth_classifier_look_into_blocks_3_and_2_behind_the_first_relu():
    taps = {M: [e.removesuffix(".linear") for e in nin(NIN_CIFAR, *CIFAR, M).exits[:-1]] for M in (3, 4, 5)}
    pools, relus = ("head_pool1", "head_pool2"), ("head_conv2_relu", "head_conv3_relu")
    assert taps == {3: [*pools], 4: [*pools, relus[1]], 5: [pools[0], relus[0], pools[1], relus[1]]}
    shapes = [
        p.shape for p in nin(NIN_CIFAR, *CIFAR, 5).parameters() if p.name.startswith("head") and p.value.ndim == 2
    ]
    assert shapes == [(96 * 16**2, 100), (192 * 16**2, 100), (192 * 8**2, 100), (192 * 8**2, 100)]


@pytest.mark.parametrize(("name", "nin_parameters", "nin_work"), [
    ("mnist", 349_674, 50_699_712), ("cifar100", 984_356, 223_592_448)
])  # fmt: skip
def test_the_size_of_dsn_is_that_of_nin_with_an_inner_product_on_each_blocks_first_convolution(
    name, nin_parameters, nin_work
):
    network = dsn(NIN_MNIST, *MNIST) if name == "mnist" else dsn(NIN_CIFAR, *CIFAR)
    features = {"mnist": (96 * 28**2, 128 * 14**2, 128 * 7**2), "cifar100": (192 * 32**2, 192 * 16**2, 192 * 8**2)}[
        name
    ]
    K = network.classes
    assert sum(p.value.size for p in network.parameters()) == nin_parameters + sum((f + 1) * K for f in features)
    assert network.multiply_adds() == nin_work + sum(features) * K
    assert network.exits == (
        "head_conv1.linear",
        "head_conv2.linear",
        "head_conv3.linear",
        "head_top.mean",
    )  # before the ReLU
    assert network.nodes[-1].inputs == ("cccp6",)  # no ReLU on the logits


def test_the_companions_of_dsn_learn_at_a_thousandth_of_the_rate_and_ever_less():
    parameters = dsn(NIN_MNIST, *MNIST).parameters()
    companions = [p for p in parameters if p.name.startswith("head")]
    assert len(companions) == 6
    for p in companions:
        assert p.lr_mult == 0.001
        assert [p.lr_policy(t) for t in (0, 10_000)] == pytest.approx([1, 2**-0.75])
    trunk = [p for p in parameters if p not in companions]
    assert {p.lr_policy for p in trunk} == {None}
    assert [p.lr_mult for p in trunk][-2:] == [0.1, 0.1]


def test_dsn_draws_its_trunk_and_its_companions_as_published():
    network = dsn(NIN_CIFAR, *CIFAR)
    initialise(network.parameters(), Key(5))
    weights = {p.name: p.value for p in network.parameters() if p.value.ndim > 1}
    for name, w in weights.items():
        if name.startswith("head"):
            assert np.abs(w).max() <= (3 / len(w)) ** 0.5
            assert w.std() == pytest.approx(len(w) ** -0.5, rel=0.02)
        else:
            assert w.std() == pytest.approx(0.05, rel=0.05)


def test_the_size_of_the_maxout_networks_is_that_of_the_definitions():
    mnist, cifar = maxout(MAXOUT_MNIST, *MNIST), maxout(MAXOUT_CIFAR, *CIFAR)
    h0, h1, h2, y = 8 * 8 * 96, 8 * 8 * 48 * 96, 5 * 5 * 48 * 96, 24 * 3 * 3 * 10
    assert sum(p.value.size for p in mnist.parameters()) == h0 + h1 + h2 + y + 3 * 96 + 10 == 418_714
    assert mnist.multiply_adds() == 21**2 * h0 + 9**2 * h1 + 6**2 * h2 + y
    h0, h1, h2, h3, y = 8 * 8 * 3 * 192, 8 * 8 * 96 * 384, 5 * 5 * 192 * 384, 192 * 5 * 5 * 2500, 500 * 100
    biases = 192 + 384 + 384 + 2500 + 100
    assert sum(p.value.size for p in cifar.parameters()) == h0 + h1 + h2 + h3 + y + biases == 16_292_920  # 16.3 M
    assert cifar.multiply_adds() == 33**2 * h0 + 15**2 * h1 + 9**2 * h2 + h3 + y


def test_the_maps_of_the_maxout_networks_have_the_published_sizes():
    sizes = {}
    for definition, form in ((MAXOUT_MNIST, MNIST), (MAXOUT_CIFAR, CIFAR)):
        shapes = maxout(definition, *form).node_shapes()
        sizes[form[0]] = [shapes[f"{kind}{i}"][0] for i in (1, 2, 3) for kind in ("conv", "pool")]
    assert sizes == {MNIST[0]: [21, 10, 9, 4, 6, 3], CIFAR[0]: [33, 16, 15, 7, 9, 5]}


def test_the_norms_of_the_maxout_networks_are_the_published_ones():
    norms = [p.max_norm for p in maxout(MAXOUT_CIFAR, *CIFAR).parameters() if p.value.ndim > 1]
    assert norms == [0.9, 1.9365, 1.9365, 1.9, 1.9365]
    assert [p.max_norm for p in maxout(MAXOUT_MNIST, *MNIST).parameters() if p.value.ndim > 1] == [
        0.9,
        1.9365,
        1.9365,
        1.9365,
    ]
    rates = [p.lr_mult for p in maxout(MAXOUT_CIFAR, *CIFAR, convolution_lr_mult=0.05).parameters()]
    assert rates == [0.05] * 6 + [1.0] * 4


@pytest.mark.parametrize("M", [1, 2, 3, 4, 5])
def test_the_trunk_has_the_same_names_and_size_whatever_classifiers_there_are(M):
    alone, network = nin(NIN_MNIST, *MNIST, 1), nin(NIN_MNIST, *MNIST, M)
    assert len(network.exits) == M
    shapes = {p.name: p.shape for p in network.parameters()}
    assert {name: shape for name, shape in shapes.items() if not name.startswith("head")} == {
        p.name: p.shape for p in alone.parameters()
    }
    heads = sum(node.layer.multiply_adds(shape) for node, shape, _ in network.rows() if node.name.startswith("head"))
    assert network.multiply_adds() - heads == alone.multiply_adds()


def test_weights_move_between_a_network_with_one_exit_and_one_with_five():
    five, one = nin(NIN_MNIST, *MNIST, 5), nin(NIN_MNIST, *MNIST, 1)
    five.initialise(Key(7))
    weights = {p.name: p.value for p in five.parameters()}
    for p in one.parameters():
        p.value[...] = weights[p.name]
    x = grid((2, 28, 28, 1), Key(4), 1.0).astype(np.float32)
    assert np.array_equal(one.forward(x, Context())[0][-1], five.forward(x, Context())[0][-1])


def test_lower_classifiers_on_the_mean_are_linear_in_48_numbers():
    shapes = [p.shape for p in nin(NIN_MNIST, *MNIST, 3, lower="mean").parameters() if p.name.startswith("head")]
    assert shapes == [(48, 10), (10,), (48, 10), (10,)]


def test_lower_classifiers_of_convolutions_see_every_pixel_and_average():
    network = nin(NIN_MNIST, *MNIST, 3, lower="conv")
    shapes = [p.shape for p in network.parameters() if p.name.startswith("head_pool1")]
    assert shapes == [(1, 1, 48, 48), (48,), (1, 1, 48, 10), (10,)]


def test_half_the_width_has_half_the_outputs_but_as_many_classes():
    outputs = [p.shape[0] for p in nin(NIN_MNIST, *MNIST, 1, width=0.5).parameters() if p.name.endswith("bias")]
    assert outputs == [48, 32, 24, 64, 48, 24, 64, 48, 10]


def test_lower_classifiers_begin_undecided():
    ctx = Context()
    logits, _ = nin(NIN_MNIST, *MNIST, 3).forward(grid((2, 28, 28, 1), Key(4), 1.0).astype(np.float32), ctx)
    assert not logits[0].any()
    assert not logits[1].any()


def test_names_of_parameters_are_unique_and_say_where_they_are():
    names = [p.name for p in nin(NIN_MNIST, *MNIST, 3).parameters()]
    assert len(set(names)) == len(names) == 22
    assert names[0] == "conv1.weight"
    assert "head_pool2.linear.bias" in names


def test_float32_and_float64_agree_end_to_end():
    x, labels = grid((2, 28, 28, 1), Key(4), 1.0), np.array([3, 8])
    found = []
    for dtype in (np.float32, np.float64):
        network = nin(NIN_MNIST, *MNIST, 3)
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
    network = nin(NIN_MNIST, *MNIST, 2)
    x = grid((2, 28, 28, 1), Key(4), 1.0).astype(np.float32)
    runs = [network.forward(x, Context(training=True, key=Key(1)))[0] for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(*runs, strict=True))


def test_nin_takes_any_image_and_number_of_classes():
    network = nin(NIN_CIFAR, (48, 40, 3), 7)
    assert network.classes == 7
    assert network.node_shapes()["pool2"] == (12, 10, 192)


def test_maxout_leaves_out_the_gradients_below_its_first_convolution():
    network = maxout(MAXOUT_MNIST, *MNIST)  # the image is dropped out before that
    assert [node.name for node in network.nodes if not network.learns(node.name)] == ["dropout0"]


def test_a_head_stands_on_each_tapped_node_with_its_shape():
    shapes = []

    def head(shape):
        shapes.append(shape)
        return [("mean", GlobalAvgPool())]

    trunk = [("a", MaxPool2d(2)), ("b", ReLU()), ("c", MaxPool2d(2))]
    network = attach_heads(trunk, ("b", "a"), head, [("mean", GlobalAvgPool())], (8, 8, 3))
    assert shapes == [(4, 4, 3), (4, 4, 3)]
    assert [(node.name, *node.inputs) for node in network.nodes] == [
        ("a", "x"), ("head_a.mean", "a"), ("b", "a"), ("head_b.mean", "b"), ("c", "b"), ("head_top.mean", "c")
    ]  # fmt: skip
    assert network.exits == ("head_a.mean", "head_b.mean", "head_top.mean")
    with pytest.raises(UserError, match="there is no node 'd' to attach a classifier to; choose from a, b, c"):
        attach_heads(trunk, ("a", "d"), head, [("mean", GlobalAvgPool())], (8, 8, 3))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_no_network_can_be_made_of_is_refused_in_one_sentence(family):
    model = FAMILIES[family][0].model
    for image in ((28, 28), (28, 0, 1)):
        with pytest.raises(UserError) as refused:
            model.build(image, 10)
        assert str(refused.value) == f"the images' shape is {image}; give (height, width, channels), each 1 or more."
    with pytest.raises(UserError, match=r"the number of classes is 1; give 2 or more\."):
        model.build((28, 28, 1), 1)


@pytest.mark.parametrize("make", [nin, dsn, maxout])
def test_an_unknown_initialisation_is_refused(make):
    with pytest.raises(UserError, match="the initialisation 'zeros' is unknown; choose one of he, published"):
        make(MAXOUT_MNIST if make is maxout else NIN_MNIST, *MNIST, initialisation="zeros")


def test_places_for_classifiers_and_images_too_small_are_refused():
    with pytest.raises(UserError, match="6 classifiers; it has places for 1 to 5"):
        nin(NIN_MNIST, *MNIST, 6)
    with pytest.raises(UserError, match="form 'both' is unknown; choose one of map, mean"):
        nin(NIN_MNIST, *MNIST, 3, lower="both")
    with pytest.raises(UserError, match="a window of 8 pixels does not fit an image of 5"):
        maxout(MAXOUT_MNIST, (5, 5, 1), 10)
