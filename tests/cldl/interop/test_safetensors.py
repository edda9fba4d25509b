"""safetensors files: the names of torchvision and timm, and cldl's own in two layouts."""

import json
import math

import numpy as np
import pytest

pytest.importorskip("safetensors")
from safetensors.numpy import save_file

from cldl.interop import load_weights, save_weights
from cldl.models import build
from engine.context import Context
from engine.errors import UserError
from engine.random import Key
from layers import Conv2d, Flatten, GlobalAvgPool, Linear, Network, ReLU, chain
from tests.cldl.interop.layouts import arrays_of, assert_holds

FEATURES = {11: (0, 3, 6, 8, 11, 13, 16, 18), 16: (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)}
FEATURES_BN = (0, 4, 8, 11, 15, 18, 22, 25)  # of VGG-11
INCEPTION = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
TIMM = ("pre_logits.fc1", "pre_logits.fc2", "head.fc")
WIDTH = 1 / 32


def vgg(depth=11, classes=5, classifiers=1):
    return build(f"vgg{depth}", (64, 64, 3), classes, classifiers, width=WIDTH)


def write(path, names, arrays, **others):
    """A file of PyTorch's with these names for the layers, in the order of `arrays`."""
    named = dict(zip(names, arrays.values(), strict=True))
    tensors = {
        f"{name}.{part}": a for name, pair in named.items() for part, a in zip(("weight", "bias"), pair, strict=True)
    }
    save_file(tensors | others, path, metadata={"format": "pt"})
    return path


def torchvision(depth=11, features=None):
    return [*(f"features.{i}" for i in features or FEATURES[depth]), *(f"classifier.{i}" for i in (0, 3, 6))]


@pytest.mark.parametrize("depth", FEATURES)
def test_vgg_takes_the_weights_of_torchvision(depth, tmp_path):
    network = vgg(depth)
    arrays = arrays_of(network)
    report = load_weights(network, write(tmp_path / "vgg.safetensors", torchvision(depth), arrays))
    assert_holds(network, arrays)
    assert (report.kind, report.preprocessing, report.bgr) == ("PyTorch", "rgb_standard", False)
    assert (report.drawn, report.left) == ((), ())


def test_vgg_takes_the_weights_of_timm_whose_hidden_layers_are_convolutions(tmp_path):
    network = vgg()
    arrays = arrays_of(network)
    as_stored = {name: (w.reshape(len(w), -1, 2, 2) if name == "fc6" else w, b) for name, (w, b) in arrays.items()}
    as_stored["fc7"] = (arrays["fc7"][0][:, :, None, None], arrays["fc7"][1])
    names = [*torchvision()[:-3], *TIMM]
    load_weights(network, write(tmp_path / "vgg.safetensors", names, as_stored))
    assert_holds(network, arrays)


def test_vgg_with_batch_normalisation_is_taken_with_it_folded(tmp_path):
    network, random, others, folded = vgg(), np.random.default_rng(4), {}, {}
    arrays = arrays_of(network)
    for (name, (w, b)), i in zip(arrays.items(), FEATURES_BN, strict=False):
        gamma, beta, mean, var = (random.uniform(0.5, 2, len(b)) for _ in range(4))
        for part, array in (("weight", gamma), ("bias", beta), ("running_mean", mean), ("running_var", var)):
            others[f"features.{i + 1}.{part}"] = array
        others[f"features.{i + 1}.num_batches_tracked"] = np.full((), 7)
        others[f"features.{i + 1}.histogram"] = np.ones(3, np.int64)
        s = gamma / np.sqrt(var + 1e-5)
        folded[name] = (s[:, None, None, None] * w, beta + s * (b - mean))
    names = torchvision(features=FEATURES_BN)
    report = load_weights(network, write(tmp_path / "vgg.safetensors", names, arrays, **others))
    assert report.left == ()
    for node in network.nodes:
        if node.name in folded:
            w, b = folded[node.name]
            np.testing.assert_allclose(node.layer.weight.value, w.transpose(2, 3, 1, 0), rtol=1e-6)
            np.testing.assert_allclose(node.layer.bias.value, b, rtol=1e-5, atol=1e-6)


def one_tower():
    """torchvision's AlexNet at a 32nd of its width."""
    shapes = [
        (2, 3, 11, 11),
        (6, 2, 5, 5),
        (12, 6, 3, 3),
        (8, 12, 3, 3),
        (8, 8, 3, 3),
        (128, 288),
        (128, 128),
        (10, 128),
    ]
    names = [*(f"features.{i}" for i in (0, 3, 6, 8, 10)), *(f"classifier.{i}" for i in (1, 4, 6))]
    return names, {name: (np.ones(shape), np.ones(shape[0])) for name, shape in zip(names, shapes, strict=True)}


def test_the_alexnet_of_torchvision_is_another_one_and_is_refused_although_some_layers_fit(tmp_path):
    path = write(tmp_path / "alexnet.safetensors", *one_tower())
    network = build("alexnet", (227, 227, 3), 10, width=WIDTH)
    network.initialise(Key(1))
    before = [p.value.copy() for p in network.parameters()]
    with pytest.raises(UserError) as refused:
        load_weights(network, path)
    assert str(refused.value).startswith(
        f"{path} is of another network, and nothing was taken: conv1.weight is (2, 3, 11, 11) there and (4, 3, 11, 11) here, "
        "conv2.weight is (6, 2, 5, 5) there and (8, 2, 5, 5) here, "
    )
    assert str(refused.value).endswith(
        ", conv5.weight is (8, 8, 3, 3) there and (8, 6, 3, 3) here: choose the network that it is of, or another file; "
        "strict=False, or --weights-partly, takes what fits."
    )
    assert all(np.array_equal(p.value, value) for p, value in zip(network.parameters(), before, strict=True))


def test_where_that_is_asked_for_what_fits_is_taken_and_the_rest_is_reported(tmp_path):
    path = write(tmp_path / "alexnet.safetensors", *one_tower())
    network = build("alexnet", (227, 227, 3), 10, width=WIDTH)
    network.initialise(Key(1))
    before = {p.name: p.value.copy() for p in network.parameters()}
    report = load_weights(network, path, strict=False)
    taken = {name for name, _ in report.taken}
    assert {"fc6.weight", "fc7.weight", "head_top.fc.bias"} < taken
    assert "does not fit: conv1.weight is (2, 3, 11, 11) there and (4, 3, 11, 11) here" in str(report).splitlines()
    for p in network.parameters():
        assert np.array_equal(p.value, before[p.name]) != (p.name in taken)
    assert set(report.drawn) == before.keys() - taken
    assert len(report.taken) + len(report.left) == 16


def test_the_googlenet_of_torchvision_does_not_fit_where_its_convolutions_are_smaller_and_is_refused(tmp_path):
    network = build("googlenet", (64, 64, 3), 5, 3, width=WIDTH)
    arrays, tensors = arrays_of(network), {}
    blocks = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    parts = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")
    names = {"conv1": "conv1", "conv2": "conv2_reduce", "conv3": "conv2"}
    names |= {f"inception{b}.{t}": f"inception_{b}.{o}" for b in blocks for t, o in zip(INCEPTION, parts, strict=True)}
    names |= {"aux1.conv": "head_inception_4a.conv", "aux2.conv": "head_inception_4d.conv"}
    for name, own in names.items():
        w = arrays[own][0]
        tensors[f"{name}.conv.weight"] = w[:, :, 1:-1, 1:-1].copy() if own.endswith("5x5") else w
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{name}.bn.{part}"] = np.ones(len(w), np.float32)
    heads = {"fc": "head_top.fc", "aux1.fc1": "head_inception_4a.fc1", "aux1.fc2": "head_inception_4a.fc"}
    heads |= {"aux2.fc1": "head_inception_4d.fc1", "aux2.fc2": "head_inception_4d.fc"}
    for name, own in heads.items():
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = arrays[own]
    save_file(tensors, tmp_path / "googlenet.safetensors")
    with pytest.raises(
        UserError, match=r"inception_3a.5x5.weight is \(1, 1, 3, 3\) there and \(1, 1, 5, 5\) here, .*5x5.weight"
    ) as no:
        load_weights(network, tmp_path / "googlenet.safetensors")
    assert "torchvision's GoogLeNet has batch normalisation instead of local response normalisation" in str(no.value)
    report = load_weights(network, tmp_path / "googlenet.safetensors", strict=False)
    assert [misfit.name for misfit in report.misfits] == [f"inception_{b}.5x5.weight" for b in blocks]
    assert {name for name in report.missing if "5x5" not in name} == set()
    assert (report.kind, report.preprocessing) == ("torchvision", "rgb_standard")
    assert_holds(network, {own: arrays[own] for own in heads.values()})
    assert report.misfits[0].file_name == "inception3a.branch3.1.conv.weight"
    assert ("conv1.bias", "conv1.bn.bias") in report.taken
    lines = str(report).splitlines()
    assert lines[0] == report.summary()
    assert lines[1].startswith("does not fit: inception_3a.5x5.weight")
    assert lines[-1] == report.note
    conv1 = next(node.layer for node in network.nodes if node.name == "conv1")
    np.testing.assert_allclose(
        conv1.weight.value, arrays["conv1"][0].transpose(2, 3, 1, 0) / math.sqrt(1.001), rtol=1e-6
    )
    np.testing.assert_allclose(conv1.bias.value, 1 - 1 / math.sqrt(1.001), rtol=1e-3)


@pytest.mark.parametrize(("here", "there"), [(16, 11), (11, 16)])
def test_a_file_of_another_depth_is_refused_by_its_number_of_layers(here, there, tmp_path):
    path = write(tmp_path / "vgg.safetensors", torchvision(there), arrays_of(vgg(there)))
    with pytest.raises(
        UserError, match=f"it has {there} convolutions and fully connected layers with weights, and this .* {here}"
    ):
        load_weights(vgg(here), path)


def test_a_network_for_images_of_another_size_says_that_the_first_hidden_layer_does_not_fit(tmp_path):
    path = write(tmp_path / "vgg.safetensors", torchvision(), arrays_of(vgg()))
    larger = build("vgg11", (96, 96, 3), 5, width=WIDTH)
    with pytest.raises(
        UserError, match=r"nothing was taken: fc6.weight is \(128, 64\) there and \(128, 144\) here: choose"
    ):
        load_weights(larger, path)
    assert {misfit.name for misfit in load_weights(larger, path, strict=False).misfits} == {"fc6.weight"}


def test_a_classifier_of_other_classes_keeps_what_was_drawn(tmp_path):
    network = vgg(classes=7)
    network.initialise(Key(3))
    head = network.parameters()[-2:]
    before = [p.value.copy() for p in head]
    report = load_weights(network, write(tmp_path / "vgg.safetensors", torchvision(), arrays_of(vgg())))
    assert report.summary() == (
        "20 of 22 parameters are those of vgg.safetensors (PyTorch); drawn anew: head_top.fc (5 classes there, 7 here)"
    )
    assert [misfit.name for misfit in report.heads] == [head[0].name]
    assert all(np.array_equal(p.value, value) for p, value in zip(head, before, strict=True))


def own(classes=4):
    """A network of one's own, with names of one's own."""
    layers = [("stem", Conv2d(3, 5, 3)), ("relu", ReLU()), ("map", Flatten()), ("out", Linear(5 * 2 * 3, classes))]
    return Network(chain("x", layers), ["out"], (4, 5, 3))


def test_own_names_are_taken_in_the_layout_of_pytorch(tmp_path):
    network = own()
    arrays = arrays_of(network)
    report = load_weights(network, write(tmp_path / "own.safetensors", ("stem", "out"), arrays))
    assert_holds(network, arrays)
    assert (report.kind, report.preprocessing) == ("PyTorch with cldl's names", None)


def test_what_is_saved_is_read_back_as_it_was(tmp_path):
    networks = [build("googlenet", (64, 64, 3), 5, 3, width=WIDTH) for _ in range(2)]
    for seed, network in enumerate(networks):
        network.initialise(Key(seed))
    save_weights(networks[0], tmp_path / "net.safetensors")
    report = load_weights(networks[1], tmp_path / "net.safetensors")
    for a, b in zip(*(network.parameters() for network in networks), strict=True):
        np.testing.assert_array_equal(a.value, b.value)
    assert (report.kind, report.drawn, report.left) == ("cldl", (), ())
    assert all(name == file_name for name, file_name in report.taken)


def test_saved_weights_of_other_classes_or_another_network_are_told_from_each_other(tmp_path):
    save_weights(own(), tmp_path / "own.safetensors")
    report = load_weights(own(classes=6), tmp_path / "own.safetensors")
    assert set(report.left) == {"out.weight", "out.bias"}
    assert [str(head) for head in report.heads] == [
        "out.weight is (30, 4) there and (30, 6) here",
        "out.bias is (4,) there and (6,) here",
    ]
    other = Network(
        chain("x", [("stem", Conv2d(3, 6, 3)), ("map", Flatten()), ("out", Linear(36, 4))]), ["out"], (4, 5, 3)
    )
    with pytest.raises(UserError, match=r"stem.weight is \(3, 3, 3, 5\) there and \(3, 3, 3, 6\) here"):
        load_weights(other, tmp_path / "own.safetensors")


def test_weights_are_saved_under_no_other_suffix(tmp_path):
    with pytest.raises(UserError, match=r"weights are written as .safetensors, not as net.pt: choose such a name"):
        save_weights(own(), tmp_path / "net.pt")


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_become_float32(dtype, tmp_path):
    network = own()
    arrays = {name: tuple(a.astype(dtype) for a in pair) for name, pair in arrays_of(network).items()}
    load_weights(network, write(tmp_path / "own.safetensors", ("stem", "out"), arrays))
    assert {p.value.dtype for p in network.parameters()} == {np.dtype(np.float32)}
    assert_holds(network, {name: tuple(a.astype(np.float32) for a in pair) for name, pair in arrays.items()})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused_and_nothing_is_taken(value, tmp_path):
    network = own()
    network.initialise(Key(0))
    before = [p.value.copy() for p in network.parameters()]
    arrays = {name: tuple(a.astype(np.float64) for a in pair) for name, pair in arrays_of(network).items()}
    arrays["out"][1][2] = value
    with pytest.raises(UserError, match=r"has numbers in 'out.bias' that are not finite: get an intact copy\."):
        load_weights(network, write(tmp_path / "own.safetensors", ("stem", "out"), arrays))
    assert all(np.array_equal(p.value, b) for p, b in zip(network.parameters(), before, strict=True))


def test_a_file_without_weights_is_refused(tmp_path):
    save_file({"steps": np.ones(3, np.int64)}, tmp_path / "none.safetensors")
    with pytest.raises(UserError, match=r"none.safetensors holds no array of floats: choose the network that it is of"):
        load_weights(vgg(), tmp_path / "none.safetensors")


@pytest.mark.parametrize(("kind", "size"), [("BF16", 2), ("F8_E4M3", 1)])
def test_floats_of_a_kind_that_is_not_read_are_refused_by_its_name(kind, size, tmp_path):
    header = json.dumps({"features.0.weight": {"dtype": kind, "shape": [3], "data_offsets": [0, 3 * size]}}).encode()
    path = tmp_path / "short.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(3 * size))
    with pytest.raises(UserError, match=rf"has 'features.0.weight' in {kind}: convert it to F32, F16 or F64\."):
        load_weights(vgg(), path)


def test_normalisation_before_the_first_convolution_is_refused_and_not_left_out(tmp_path):
    others = {f"features.0.{name}": np.ones(3) for name in ("weight", "bias", "running_mean", "running_var")}
    names = torchvision(features=[i + 1 for i in FEATURES[11]])
    path = write(tmp_path / "vgg.safetensors", names, arrays_of(vgg()), **others)
    with pytest.raises(UserError, match=r"has batch normalisation, features.0, before its first convolution: choose"):
        load_weights(vgg(), path)


def test_names_of_no_known_network_are_refused(tmp_path):
    save_file({"layer1.0.conv1.weight": np.ones((2, 2), np.float32)}, tmp_path / "resnet.safetensors")
    with pytest.raises(UserError, match=r"has the names of no network .* here, such as 'layer1\.0\.conv1\.weight'"):
        load_weights(vgg(), tmp_path / "resnet.safetensors")


def test_a_classifier_more_than_the_network_has_is_refused(tmp_path):
    arrays = arrays_of(vgg()) | {"another": (np.ones((3, 5)), np.ones(3))}
    path = write(tmp_path / "vgg.safetensors", [*torchvision(), "classifier.9"], arrays)
    with pytest.raises(UserError, match=r"it has 12 convolutions and fully connected layers with .* 11:"):
        load_weights(vgg(), path)


@pytest.mark.parametrize("part", ["1.running_mean", "1.weight", "0.bias"])
def test_batch_normalisation_of_other_channels_is_refused(part, tmp_path):
    others = {f"features.1.{name}": np.ones(2) for name in ("weight", "bias", "running_mean", "running_var")}
    others[f"features.{part}"] = np.ones(3)
    path = write(tmp_path / "vgg.safetensors", torchvision(), arrays_of(vgg()), **others)
    with pytest.raises(
        UserError, match=rf"has 'features.{part}' of shape \(3,\) behind 2 outputs of 'features.0': get"
    ):
        load_weights(vgg(), path)


def test_batch_normalisation_that_lacks_a_part_is_refused(tmp_path):
    others = {f"features.1.{name}": np.ones(2) for name in ("weight", "bias", "running_var")}
    path = write(tmp_path / "vgg.safetensors", torchvision(), arrays_of(vgg()), **others)
    with pytest.raises(UserError, match=r"has no features.1.running_mean: get an intact copy"):
        load_weights(vgg(), path)


SUMMED = {f"head_{tap}.fc" for tap in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")}


@pytest.mark.parametrize(("name", "size", "heads"), [("dag_alexnet", 227, SUMMED), ("nin_cifar", 32, {"cccp6"})])
def test_classifiers_are_known_below_a_sum_and_below_a_mean(name, size, heads, tmp_path):
    there, here = (build(name, (size, size, 3), classes, width=WIDTH) for classes in (10, 7))
    save_weights(there, tmp_path / "net.safetensors")
    report = load_weights(here, tmp_path / "net.safetensors")
    assert {head.name.rpartition(".")[0] for head in report.heads} == heads
    assert report.misfits == ()


def test_a_vector_that_is_flattened_is_no_map(tmp_path):
    layers = [("stem", Conv2d(3, 4, 1)), ("mean", GlobalAvgPool()), ("flat", Flatten()), ("out", Linear(4, 2))]
    network = Network(chain("x", layers), ["out"], (2, 2, 3))
    arrays = arrays_of(network)
    load_weights(network, write(tmp_path / "own.safetensors", ("stem", "out"), arrays))
    np.testing.assert_array_equal(network.parameters()[2].value, arrays["out"][0].T)


def test_a_network_that_has_predicted_before_predicts_with_the_weights_that_it_is_given(tmp_path):
    """Transformed weights are kept from pass to pass, and made anew where a value has changed."""
    ctx, networks = Context(), [vgg(), vgg()]
    for seed, network in enumerate(networks):
        network.initialise(Key(seed))
    save_weights(networks[0], tmp_path / "net.safetensors")
    x = np.ones((1, 64, 64, 3), np.float32)
    (before,), _ = networks[1].forward(x, ctx)
    before = before.copy()
    load_weights(networks[1], tmp_path / "net.safetensors")
    (after,), _ = networks[1].forward(x, ctx)
    (expected,), _ = networks[0].forward(x, Context())
    np.testing.assert_array_equal(after, expected)
    assert not np.array_equal(before, expected)
