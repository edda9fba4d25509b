"""AlexNet, CNDS-8, GoogLeNet, VGG and DAG-CNN: the sizes of the definitions, right gradients, where classifiers stand."""

from itertools import pairwise

import numpy as np
import pytest

from cldl.gradcheck import chooser
from cldl.models import NETWORKS, build
from cldl.models.alexnet import ALEXNET
from cldl.models.dag_cnn import dag_cnn
from cldl.models.vgg import STAGES, vgg
from cldl.objective import Objective
from cldl.verification.end_to_end import check_network
from engine.context import Context
from engine.errors import UserError
from engine.gradcheck import grid
from engine.random import Key
from layers import Add, AvgPool2d, Dropout, L2Normalize, LocalResponseNorm, MaxPool2d

# the side of the images, and the number of classes, as published
TASKS = {
    "alexnet": (227, 1000),
    "places_alexnet": (227, 205),
    "cnds8": (227, 205),
    "googlenet": (224, 1000),
    **{f"vgg{depth}": (224, 1000) for depth in (11, 13, 16, 19)},
    "dag_alexnet": (227, 67),
    "dag_vgg19": (224, 67),
}
SMALL = {
    "alexnet": 67,
    "places_alexnet": 67,
    "dag_alexnet": 67,
    "cnds8": 39,
}  # the side of small images; 32 for the others
CHAINS = [name for name in TASKS if not name.startswith("dag")]


def published(name, classifiers=1):
    """A network as it was published; no weight is drawn."""
    side, classes = TASKS[name]
    return build(name, (side, side, 3), classes, classifiers)


def small(name, classifiers=1, classes=4, **options):
    """The same graph on small images, a sixteenth as wide."""
    side = SMALL.get(name, 32)
    return build(name, (side, side, 3), classes, classifiers, **{"width": 1 / 16, "initialisation": "he", **options})


def count(network):
    return sum(p.size for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [
        ("alexnet", 60_965_224, 724_406_816),  # 61.0 M and 724 M
        ("places_alexnet", 57_708_109, 724_406_816 - 795 * 4096),  # 57.7 M
        ("cnds8", 60_407_885, 2_018_873_344),  # 60.4 M and 2.0 G
        ("googlenet", 6_998_552, 1_582_671_872),  # 7.00 M and 1.58 G
        ("vgg11", 132_863_336, 7_609_090_048),  # 132.9 M and 7.61 G
        ("vgg13", 133_047_848, 11_308_466_176),  # 133.0 M and 11.3 G
        ("vgg16", 138_357_544, 15_470_264_320),  # 138.4 M and 15.5 G
        ("vgg19", 143_667_240, 19_632_062_464),  # 143.7 M and 19.6 G
    ],
)
def test_the_size_of_a_network_is_that_of_its_definition(name, parameters, multiply_adds):
    network = published(name)
    assert (count(network), network.multiply_adds()) == (parameters, multiply_adds)
    assert not any(p.is_drawn for p in network.parameters())


def test_a_network_is_described_without_a_weight_being_drawn():
    network = published("vgg16")
    assert network.node_shapes()["pool5"] == (7, 7, 512)
    assert "Conv2d(512 to 512" in repr(network)
    assert not any(p.is_drawn for p in network.parameters())


def test_a_branch_of_googlenet_has_its_published_size():
    """A 1x1 convolution of 128 outputs, 1024 units on 4 x 4 pixels of it, 1000 classes: 3.19 M each."""
    sizes = [count(published("googlenet", M)) for M in (1, 2, 3)]
    hidden = (128 + 1) + (4 * 4 * 128 + 1) * 1024 - 1 + (1024 + 1) * 1000
    assert [b - a for a, b in pairwise(sizes)] == [528 * 128 + hidden, 512 * 128 + hidden]


def test_the_branch_of_cnds_has_its_published_size():
    """Windows of 5, 2 apart, make 13 x 13 of 28 x 28; 64 outputs, twice 1024 units, 205 classes."""
    network = published("cnds8", 2)
    assert network.node_shapes()["head_conv3_2_relu.pool"] == (13, 13, 256)
    branch = (256 + 1) * 64 + (13 * 13 * 64 + 1) * 1024 + (1024 + 1) * 1024 + (1024 + 1) * 205
    assert count(network) - count(published("cnds8", 1)) == branch
    names = [node.name for node in network.nodes if node.name.startswith("head_conv3")]
    assert "head_conv3_2_relu.conv_relu" not in names
    assert names[-1] == "head_conv3_2_relu.fc"


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("alexnet", {"conv1": 55, "pool1": 27, "conv2": 27, "pool2": 13, "conv5": 13, "pool5": 6}),
        ("cnds8", {"conv1": 112, "pool1": 56, "pool2": 28, "pool3": 14, "pool4": 7, "pool5": 4}),
        ("googlenet", {"conv1": 112, "pool1": 56, "pool2": 28, "inception_3b": 28, "pool3": 14, "pool4": 7}),
        ("vgg16", {"conv1_2": 224, "pool1": 112, "pool2": 56, "pool3": 28, "pool4": 14, "pool5": 7}),
    ],
)
def test_the_maps_have_the_published_sizes(name, sides):
    shapes = published(name).node_shapes()
    assert {node: shapes[node][0] for node in sides} == sides


def test_the_outputs_of_the_inceptions_are_the_published_ones():
    shapes = published("googlenet").node_shapes()
    found = [shapes[name][-1] for name in shapes if name.startswith("inception") and "." not in name]
    assert found == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


@pytest.mark.parametrize("depth", STAGES)
def test_vgg_has_as_many_layers_with_weights_as_its_name_says(depth):
    names = [p.name for p in published(f"vgg{depth}").parameters()]
    assert sum(name.endswith("weight") for name in names) == depth
    for stage, convolutions in enumerate(STAGES[depth], 1):
        assert sum(name.startswith(f"conv{stage}_") for name in names) == 2 * convolutions


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("alexnet", ["norm1", "pool1", "norm2", "pool2", "pool5"]),
        ("places_alexnet", ["pool1", "norm1", "pool2", "norm2", "pool5"]),
        ("googlenet", ["pool1", "norm1", "norm2", "pool2", "pool3", "pool4"]),
    ],
)
def test_normalisation_and_pooling_stand_in_the_published_order(name, order):
    nodes = [node for node in published(name).nodes if "." not in node.name]
    assert [node.name for node in nodes if isinstance(node.layer, LocalResponseNorm | MaxPool2d)] == order


@pytest.mark.parametrize("name", ["alexnet", "googlenet"])
def test_neighbours_are_normalised_as_in_caffe(name):
    norms = [node.layer for node in published(name).nodes if isinstance(node.layer, LocalResponseNorm)]
    assert [(n.size, n.alpha, n.beta, n.k) for n in norms] == [(5, 1e-4, 0.75, 1)] * 2


def test_pooling_is_that_of_caffe():
    """In ceil mode throughout; the poolings inside the inceptions keep the map's size."""
    pools = {node.name: node.layer for node in published("googlenet", 3).nodes if isinstance(node.layer, MaxPool2d)}
    assert all(pool.ceil for pool in pools.values())
    inside = [(p.kernel, p.stride, p.padding) for name, p in pools.items() if name.startswith("inception")]
    assert inside == [(3, 1, 1)] * 9
    assert {(p.kernel, p.stride, p.padding) for name, p in pools.items() if "." not in name} == {(3, 2, 0)}
    means = [node.layer for node in published("googlenet", 3).nodes if isinstance(node.layer, AvgPool2d)]
    assert [(p.kernel, p.stride, p.padding, p.ceil) for p in means] == [(5, 3, 0, True)] * 2


@pytest.mark.parametrize(
    ("name", "classifiers", "rates"),
    [
        ("alexnet", 1, [0.5, 0.5]),
        ("cnds8", 2, [0.5, 0.5, 0.5, 0.5]),
        ("googlenet", 3, [0.7, 0.7, 0.4]),
        ("vgg11", 1, [0.5, 0.5]),
    ],
)
def test_dropout_has_the_published_rates(name, classifiers, rates):
    nodes = published(name, classifiers).nodes
    assert [node.layer.rate for node in nodes if isinstance(node.layer, Dropout)] == rates


def test_another_rate_of_dropout_is_that_of_the_network_and_of_branches_without_one_of_their_own():
    found = {}
    for name in ("cnds8", "googlenet", "alexnet", "dag_vgg19"):
        network = small(name, 1 if name.startswith("dag") else 2, dropout=0.25)
        found[name] = [node.layer.rate for node in network.nodes if isinstance(node.layer, Dropout)]
    assert found == {
        "cnds8": [0.25] * 4,
        "googlenet": [0.7, 0.25],
        "alexnet": [0.7, 0.25, 0.25],
        "dag_vgg19": [0.25],
    }


def test_a_branch_on_a_map_smaller_than_its_window_takes_windows_of_the_maps_size():
    network = build("vgg11", (64, 128, 3), 4, 3, width=1 / 16)
    shapes = network.node_shapes()
    assert (shapes["pool3"][:2], shapes["head_pool3.pool"][:2]) == ((8, 16), (2, 5))  # windows of 5, 3 apart
    assert (shapes["pool4"][:2], shapes["head_pool4.pool"][:2]) == ((4, 8), (1, 3))  # of 4, 3 apart
    shapes = build("vgg11", (32, 64, 3), 4, 2, width=1 / 16).node_shapes()
    assert (shapes["pool4"][:2], shapes["head_pool4.pool"][:2]) == ((2, 4), (1, 2))  # of 2, 2 apart


def test_a_narrow_network_keeps_an_output_in_every_layer_and_group():
    """AlexNet has two groups in some convolutions, so all have an even number of outputs."""
    outputs = {p.name: p.shape[0] for p in small("alexnet", width=0.001).parameters() if p.name.endswith("bias")}
    expected = {"conv1": 2, "conv2": 2, "conv3": 2, "conv4": 2, "conv5": 2, "fc6": 4, "fc7": 4, "head_top.fc": 4}
    assert outputs == {f"{name}.bias": D for name, D in expected.items()}


def drawn(name, classifiers=1):
    """The values of every parameter of a narrow network, drawn as published."""
    network = small(name, classifiers, classes=64, initialisation="published", width=0.25)
    network.initialise(Key(3))
    return {p.name: p.value for p in network.parameters()}


def biases(found):
    """What biases begin at, by layer; all elements of one are equal."""
    assert all(len(np.unique(value)) == 1 for name, value in found.items() if name.endswith("bias"))
    return {name.removesuffix(".bias"): float(b[0]) for name, b in found.items() if name.endswith("bias")}


def stds(found):
    """The standard deviations of the weights, by layer."""
    return {name.removesuffix(".weight"): value.std() for name, value in found.items() if name.endswith("weight")}


@pytest.mark.parametrize(("name", "start"), [("alexnet", 0.1), ("places_alexnet", 1.0)])
def test_alexnet_draws_its_weights_as_published(name, start):
    found = drawn(name)
    expected = dict.fromkeys(("conv1", "conv3", "head_top.fc"), 0.0) | dict.fromkeys(
        ("conv2", "conv4", "conv5", "fc6", "fc7"), start
    )
    assert biases(found) == pytest.approx(expected)
    for layer, std in stds(found).items():
        assert std == pytest.approx(0.005 if layer in ("fc6", "fc7") else 0.01, rel=0.05), layer


def test_cnds_draws_its_weights_as_published():
    found = drawn("cnds8", 2)
    starts = biases(found)
    branch = {name.rpartition(".")[2]: value for name, value in starts.items() if name.startswith("head_conv3")}
    assert branch == pytest.approx({"conv": 0.1, "fc1": 1, "fc2": 1, "fc": 0})
    trunk = {name: value for name, value in starts.items() if not name.startswith("head")}
    assert trunk.pop("conv1") == 0.5
    assert (trunk.pop("fc6"), trunk.pop("fc7")) == (1, 1)
    assert list(trunk.values()) == pytest.approx([0.1] * 7)
    assert list(stds(found).values()) == pytest.approx([0.01] * 15, rel=0.05)


def test_googlenet_draws_its_weights_as_published():
    found = drawn("googlenet", 3)
    starts = biases(found)
    classifiers = [value for name, value in starts.items() if name.endswith(".fc")]
    assert classifiers == [0, 0, 0]
    others = [value for name, value in starts.items() if not name.endswith(".fc")]
    assert others == pytest.approx([0.2] * (57 + 4))
    assert stds(found)["conv2"] == pytest.approx((3 * 3 * 16) ** -0.5, rel=0.05)  # U(-a, a) with a^2 = 3 / fan in


@pytest.mark.parametrize(("name", "std"), [("vgg11", 0.01), ("vgg13", (9 * 16) ** -0.5)])
def test_vgg_draws_its_weights_as_published(name, std):
    """Of the second stage: of 16 channels."""
    found = drawn(name)
    assert set(biases(found).values()) == {0}
    assert stds(found)["conv2_1"] == pytest.approx(std, rel=0.05)


def test_the_scores_of_a_dag_cnn_are_drawn_as_the_classifier_of_its_chain():
    alexnet, vgg19 = (stds(drawn(name)) for name in ("dag_alexnet", "dag_vgg19"))
    assert alexnet["head_conv5.fc"] == pytest.approx(0.01, rel=0.05)
    assert vgg19["head_conv5_4.fc"] == pytest.approx((512 / 4) ** -0.5, rel=0.05)


PLACES = {
    "alexnet": ["head_pool1", "head_pool2", "head_conv3_relu", "head_conv4_relu", "head_top"],
    "places_alexnet": ["head_norm1", "head_norm2", "head_conv3_relu", "head_conv4_relu", "head_top"],
    "cnds8": ["head_conv3_2_relu", "head_conv5_1_relu", "head_top"],
    "googlenet": ["head_inception_3b", "head_inception_4a", "head_inception_4d", "head_inception_5a", "head_top"],
    **{f"vgg{d}": ["head_pool1", "head_pool2", "head_pool3", "head_pool4", "head_top"] for d in STAGES},
}
THREE = {
    "alexnet": ["head_pool2", "head_conv4_relu", "head_top"],
    "places_alexnet": ["head_norm2", "head_conv4_relu", "head_top"],
    "cnds8": PLACES["cnds8"],
    "googlenet": ["head_inception_4a", "head_inception_4d", "head_top"],
    **{f"vgg{d}": ["head_pool3", "head_pool4", "head_top"] for d in STAGES},
}


@pytest.mark.parametrize("name", CHAINS)
def test_classifiers_stand_where_the_docstring_says_and_names_do_not_depend_on_how_many_there_are(name):
    def where(M):
        return [exit_.removesuffix(".fc") for exit_ in small(name, M).exits]

    most = len(PLACES[name])
    assert where(most) == PLACES[name]
    assert where(3) == THREE[name]
    assert where(1) == ["head_top"]
    shapes = {p.name: p.shape for p in small(name, most).parameters()}
    for M in range(1, most):
        assert {p.name: p.shape for p in small(name, M).parameters()}.items() <= shapes.items()


WEIGHTS = {1: (1.0,), 3: (0.25, 0.5, 0.75)}
GRADIENTS = [(name, 3) for name in CHAINS if name not in ("vgg13", "vgg16")] + [("dag_alexnet", 1), ("dag_vgg19", 1)]


@pytest.mark.parametrize(("name", "classifiers"), GRADIENTS)
def test_a_network_has_the_right_gradient_for_pixels_and_every_weight(name, classifiers):
    """With CLDL's loss, in float64; VGG-13 and -16 are made as 11 and 19 are."""
    inceptions = {"initialisation": "published", "width": 1 / 8} if name == "googlenet" else {}  # narrower ones die
    network = small(name, classifiers, **inceptions)
    found = check_network(network, Objective(WEIGHTS[classifiers]), chooser(Key(0)), 0)
    found.raise_if_failed()
    assert len(found.entries) == 1 + len(network.parameters())
    assert all(e.analytic for e in found.entries)
    assert max(e.relative for e in found.entries) <= 1e-7


def test_lower_classifiers_can_learn_at_a_rate_of_their_own():
    for name in ("vgg11", "googlenet"):
        rates = {p.name: p.lr_mult for p in small(name, 3, lower_lr_mult=0.1).parameters()}
        lower = {name for name in rates if name.startswith("head") and not name.startswith("head_top")}
        assert len(lower) == 12
        assert {name for name, rate in rates.items() if rate == 0.1} == lower
        assert {rate for name, rate in rates.items() if name not in lower} == {1}


# DAG-CNN


def test_a_dag_cnn_taps_every_layer_with_a_relu():
    network = published("dag_alexnet")
    heads = [node.name for node in network.nodes if node.name.endswith(".fc")]
    assert heads == [f"head_{tap}.fc" for tap in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")]
    assert len(network.nodes[-1].inputs) == 7
    assert network.exits == ("scores",)
    assert network.nodes[-2].inputs == ("head_fc7.unit",)  # and no dropout above the last hidden layer
    assert network.multiply_adds() == 720_310_816 + 67 * (96 + 256 + 384 + 384 + 256 + 4096 + 4096)
    assert len(published("dag_vgg19").nodes[-1].inputs) == 18


def test_a_dag_cnn_adds_the_scores_of_unit_vectors_of_means():
    network = small("dag_alexnet", taps=("conv2", "fc6"))
    h = {node.name: y for node, _, y in network.trace(grid((2, 67, 67, 3), Key(1)).astype(np.float32), Context())}
    scores = 0
    for tap, means in (("conv2", h["conv2_relu"].mean(axis=(1, 2))), ("fc6", h["fc6_relu"])):
        unit = means / np.linalg.norm(means, axis=1, keepdims=True)
        weight, bias = (p.value for p in network.parameters() if p.name.startswith(f"head_{tap}.fc."))
        scores = scores + unit @ weight + bias
    np.testing.assert_allclose(h["scores"], scores, rtol=1e-4, atol=1e-6)
    kinds = [type(node.layer) for node in network.nodes]
    assert (kinds.count(L2Normalize), kinds.count(Add)) == (2, 1)


def test_a_dag_cnn_ends_with_its_highest_tap():
    names = [node.name for node in small("dag_alexnet", taps=("conv5", "conv3")).nodes]
    assert "pool5" not in names
    assert [name for name in names if name.endswith(".fc")] == ["head_conv3.fc", "head_conv5.fc"]


def test_the_chain_of_a_dag_cnn_takes_the_weights_of_the_network_it_is_made_of():
    chain, dag = ({p.name: p.shape for p in small(name).parameters()} for name in ("vgg19", "dag_vgg19"))
    assert {name: shape for name, shape in chain.items() if not name.startswith("head")}.items() <= dag.items()


def test_taps_of_a_dag_cnn_that_are_none_are_refused():
    with pytest.raises(UserError) as refused:
        dag_cnn(ALEXNET, (67, 67, 3), 4, taps=("conv1", "pool1"))
    assert str(refused.value) == (
        "there is no layer 'pool1' with a ReLU to tap; choose from conv1, conv2, conv3, conv4, conv5, fc6, fc7."
    )
    with pytest.raises(UserError, match="a DAG-CNN was given 1 taps; 2 or more are needed, of conv1, "):
        dag_cnn(ALEXNET, (67, 67, 3), 4, taps=("conv1",))


# by name


def test_every_network_is_had_by_its_name():
    assert set(TASKS) < set(NETWORKS)
    for name in NETWORKS:
        M = 4 if name.startswith("dsn") else 1
        side = 28 if name.endswith("mnist") else 32 if name.endswith("cifar") else SMALL.get(name, 32)
        options = {} if name.startswith(("dsn", "maxout")) else {"width": 1 / 16}
        network = build(name, image_shape=[side, side, 3], classes=7, classifiers=M, **options)
        assert (len(network.exits), network.classes, network.input_shape) == (M, 7, (side, side, 3))


@pytest.mark.parametrize(
    ("name", "classifiers", "sentence"),
    [
        ("vgg12", 1, "there is no network 'vgg12'; choose one of nin_mnist, "),
        ("vgg11", 6, "the number of classifiers is 6; this network has places for 1 to 5."),
        ("googlenet", 0, "the number of classifiers is 0; this network has places for 1 to 5."),
        ("cnds8", 4, "the number of classifiers is 4; this network has places for 1 to 3."),
        ("dag_alexnet", 3, "the number of classifiers is 3; this network has places for 1."),
        ("dsn_mnist", 1, "the number of classifiers is 1; this network has places for 4."),
        ("alexnet", 1.0, "the number of classifiers is 1.0; this network has places for 1 to 5."),
    ],
)
def test_what_is_no_network_is_refused(name, classifiers, sentence):
    with pytest.raises(UserError) as refused:
        build(name, (67, 67, 3), 4, classifiers)
    assert str(refused.value).startswith(sentence)


def test_an_option_that_a_network_does_not_have_is_refused_with_those_that_it_has():
    with pytest.raises(
        UserError, match=r"^vgg11 has no option 'widht'; choose from initialisation, dropout, width, lower_lr_mult\.$"
    ):
        build("vgg11", (32, 32, 3), 4, widht=0.5)
    with pytest.raises(
        UserError, match=r"^maxout_mnist has no option 'width'; choose from initialisation, dropout, input_dropout"
    ):
        build("maxout_mnist", (28, 28, 1), 10, width=0.5)


@pytest.mark.parametrize("width", [0, -1, "a", np.nan, np.inf, True])
def test_a_width_that_is_no_number_above_0_is_refused(width):
    with pytest.raises(UserError, match=f"^vgg11 was given the width {width!r}; a number above 0 is needed, and 1 is"):
        build("vgg11", image_shape=(32, 32, 3), classes=10, width=width)


@pytest.mark.parametrize("name", TASKS)
def test_tasks_and_initialisations_that_are_none_are_refused(name):
    with pytest.raises(UserError, match=r"the images' shape is \(28, 28\); give"):
        build(name, (28, 28), 4)
    with pytest.raises(UserError, match="the number of classes is 1; give 2 or more"):
        small(name, classes=1)
    with pytest.raises(UserError, match="the initialisation 'zeros' is unknown"):
        small(name, initialisation="zeros")


@pytest.mark.parametrize(
    ("name", "side", "pool"), [("vgg11", 16, "pool5 has a map of 1 x 1"), ("alexnet", 38, "pool5")]
)
def test_images_of_which_nothing_is_left_for_a_pooling_layer_are_refused(name, side, pool):
    options = {"width": 1 / 16, "initialisation": "he"}
    assert build(name, (side + 1, side + 1, 3), 4, **options).classes == 4
    with pytest.raises(UserError, match=f"images of {side} x {side} are too small for this network, as {pool}"):
        build(name, (side, side, 3), 4, **options)


def test_a_depth_that_vgg_does_not_have_is_refused():
    with pytest.raises(UserError, match=r"^there is no VGG-12; choose from 11, 13, 16, 19\.$"):
        vgg(12, (32, 32, 3), 4)
