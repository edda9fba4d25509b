"""`.caffemodel` files: every generation of the format, with the names of the published networks."""

import numpy as np
import pytest

pytest.importorskip("google.protobuf")
from cldl.interop import load_weights
from cldl.models import build
from engine.context import Context
from engine.errors import UserError
from layers import Dropout, Flatten, Linear, Network, chain
from tests.cldl.interop.layouts import arrays_of, assert_holds
from tools.fuzzing.weight_files import GENERATIONS, blob, caffemodel, field, varint

CNDS = ("conv1", "conv2", "conv3_1", "conv3_2", "DSN_conv3", "fc6_DSN_conv3", "fc7_DSN_conv3", "fc8_DSN_conv3")
CNDS += ("conv4_1", "conv4_2", "conv5_1", "conv5_2", "fc6", "fc7", "fc8")
ALEXNET = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
VGG11 = ("conv1_1", "conv2_1", "conv3_1", "conv3_2", "conv4_1", "conv4_2", "conv5_1", "conv5_2", "fc6", "fc7", "fc8")


def inception(block):
    return [f"inception_{block}/{part}" for part in ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")]


def loss(m):
    return [f"loss{m}/{part}" for part in ("conv", "fc", "classifier")]


GOOGLENET = ("conv1/7x7_s2", "conv2/3x3_reduce", "conv2/3x3", *inception("3a"), *inception("3b"), *inception("4a"))
GOOGLENET += (*loss(1), *inception("4b"), *inception("4c"), *inception("4d"), *loss(2), *inception("4e"))
GOOGLENET += (*inception("5a"), *inception("5b"), "loss3/classifier")
PUBLISHED = {  # the network, the size of its images here, its classifiers, its layers' names in the published prototxt
    "alexnet": (67, 1, ALEXNET),
    "places_alexnet": (67, 1, ALEXNET),
    "vgg11": (64, 1, VGG11),
    "cnds8": (64, 2, CNDS),
    "googlenet": (64, 3, GOOGLENET),
}


def network_of(name, classes=5, classifiers=None):
    size, published, _ = PUBLISHED[name]
    return build(name, (size, size, 3), classes, classifiers or published, width=1 / 32)


def model(name, arrays, **form):
    """A caffemodel with the published names; arrays are in the order of the network's nodes."""
    return caffemodel(dict(zip(PUBLISHED[name][2], arrays.values(), strict=True)), **form)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_networks_take_all_their_layers_by_their_published_names(name, tmp_path):
    path, network = tmp_path / "net.caffemodel", network_of(name)
    arrays = arrays_of(network)
    path.write_bytes(model(name, arrays))
    report = load_weights(network, path)
    assert_holds(network, arrays, bgr=True)
    assert (report.drawn, report.left, report.kind, report.preprocessing) == ((), (), "Caffe", "rgb_mean")


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("legacy", [False, True], ids=["shape", "num, channels, height, width"])
@pytest.mark.parametrize("double", [False, True], ids=["data", "double_data"])
def test_every_generation_of_the_format_is_read(generation, legacy, double, tmp_path):
    path, network = tmp_path / "net.caffemodel", network_of("vgg11")
    arrays = arrays_of(network)
    path.write_bytes(model("vgg11", arrays, generation=generation, legacy=legacy, double=double))
    load_weights(network, path)
    assert_holds(network, arrays, bgr=True)


def test_a_classifier_of_other_classes_and_lower_classifiers_are_drawn_anew_and_said(tmp_path):
    path, network, there = tmp_path / "places.caffemodel", network_of("vgg11", 5, 3), network_of("vgg11", 205)
    path.write_bytes(model("vgg11", arrays_of(there)))
    report = load_weights(network, path)
    assert [str(head) for head in report.heads] == ["head_top.fc.weight is (205, 128) there and (5, 128) here"]
    assert {name.split(".")[0] for name in report.missing} == {"head_pool3", "head_pool4", "head_top"}
    assert report.left == ("fc8.weight", "fc8.bias")
    assert report.summary() == (
        "20 of 34 parameters are those of places.caffemodel (Caffe); drawn anew: head_top.fc (205 classes there, 5 here), "
        "head_pool3.conv, head_pool3.fc1, head_pool3.fc, head_pool4.conv, head_pool4.fc1 and 1 more"
    )
    assert str(report) == (f"{report.summary()}\nleft in the file: 'fc8.weight', 'fc8.bias'")


def test_a_deeper_network_takes_what_it_has_in_common_as_its_authors_began(tmp_path):
    path, shallow = tmp_path / "vgg11.caffemodel", network_of("vgg11")
    arrays = arrays_of(shallow)
    path.write_bytes(model("vgg11", arrays))
    deep = build("vgg13", (64, 64, 3), 5, width=1 / 32)
    report = load_weights(deep, path)
    assert_holds(deep, arrays, bgr=True)
    assert {name.split(".")[0] for name in report.missing} == {"conv1_2", "conv2_2"}


def test_a_fine_tuned_classifier_is_found_under_its_longer_name(tmp_path):
    path, network = tmp_path / "net.caffemodel", network_of("vgg11")
    arrays = arrays_of(network)
    names = [f"{name}_flickr" if name == "fc8" else name for name in VGG11]
    path.write_bytes(caffemodel(dict(zip(names, arrays.values(), strict=True))))
    assert ("head_top.fc.weight", "fc8_flickr.weight") in load_weights(network, path).taken


def test_a_fine_tuned_googlenet_is_found_under_its_longer_names(tmp_path):
    path, network = tmp_path / "net.caffemodel", network_of("googlenet")
    names = [f"{name}_cars" if "classifier" in name else name for name in GOOGLENET]
    path.write_bytes(caffemodel(dict(zip(names, arrays_of(network).values(), strict=True))))
    taken = dict(load_weights(network, path).taken)
    for head, m in (("head_inception_4a", 1), ("head_inception_4d", 2), ("head_top", 3)):
        assert taken[f"{head}.fc.weight"] == f"loss{m}/classifier_cars.weight"


def test_a_lower_classifier_is_not_taken_for_the_top_one(tmp_path):
    path, network = tmp_path / "net.caffemodel", network_of("cnds8")
    arrays = dict(zip(CNDS, arrays_of(network).values(), strict=True))
    del arrays["fc8"]
    path.write_bytes(caffemodel(arrays))
    report = load_weights(network, path)
    assert report.missing == ("head_top.fc.weight", "head_top.fc.bias")
    assert ("head_conv3_2_relu.fc.weight", "fc8_DSN_conv3.weight") in report.taken


def test_a_layer_without_a_bias_has_one_of_zeros(tmp_path):
    path, network = tmp_path / "net.caffemodel", network_of("alexnet")
    arrays = {name: (w, np.zeros_like(b)) for name, (w, b) in arrays_of(network).items()}
    path.write_bytes(model("alexnet", {name: (w,) for name, (w, _) in arrays.items()}))
    report = load_weights(network, path)
    assert_holds(network, arrays, bgr=True)
    assert ("conv1.bias", "0") in report.taken


def test_numbers_in_several_pieces_are_put_together(tmp_path):
    path, network = tmp_path / "net.caffemodel", network_of("alexnet")
    arrays = arrays_of(network)
    data, others = arrays["conv1"][1].tobytes(), [pair for name, pair in arrays.items() if name != "conv1"]
    w, b = (blob(array, legacy=True, double=False) for array in arrays["conv1"])
    b = b.replace(field(5, data), field(5, data[:8]) + field(5, data[8:]))
    layer = field(1, b"conv1") + field(2, b"Convolution") + field(7, w) + field(7, b)
    path.write_bytes(caffemodel(dict(zip(ALEXNET[1:], others, strict=True))) + field(100, layer))
    load_weights(network, path)
    assert_holds(network, arrays, bgr=True)


def test_a_bias_of_another_length_is_refused(tmp_path):
    path, network = tmp_path / "net.caffemodel", network_of("alexnet")
    arrays = arrays_of(network)
    arrays["conv3"] = (arrays["conv3"][0], np.ones(7, np.float32))
    path.write_bytes(model("alexnet", arrays))
    with pytest.raises(UserError, match=r"nothing was taken: conv3.bias is \(7,\) there and \(12,\) here: choose"):
        load_weights(network, path)


def test_a_file_without_any_layer_of_the_network_is_refused(tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodel({"ip1": (np.ones((2, 3)), np.ones(2))}))
    with pytest.raises(
        UserError, match=r"has nothing that fits the network, but 'ip1.weight', 'ip1.bias': choose the network"
    ):
        load_weights(network_of("alexnet"), path)


def test_a_fully_connected_layer_on_the_image_turns_its_channels_around_too(tmp_path):
    path, layers = tmp_path / "net.caffemodel", [("map", Flatten()), ("drop", Dropout(0.5)), ("fc", Linear(18, 2))]
    network = Network(chain("x", layers), ["fc"], (2, 3, 3))
    w, b = arrays_of(network)["fc"]
    path.write_bytes(caffemodel({"fc": (w, b)}))
    load_weights(network, path)
    x = np.random.default_rng(0).normal(size=(4, 2, 3, 3)).astype(np.float32)
    theirs = x[..., ::-1].transpose(0, 3, 1, 2).reshape(4, 18) @ w.T + b  # channels, rows, columns of blue, green, red
    np.testing.assert_allclose(network.forward(x, Context())[0][0], theirs, atol=1e-6)


def test_a_layer_of_three_arrays_is_refused(tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodel({"conv1": (np.ones((1, 1, 1, 1)),) * 3}))
    with pytest.raises(
        UserError, match="has the layer 'conv1' of type 'Convolution' with weights, which the networks here"
    ):
        load_weights(network_of("alexnet"), path)


def test_several_matrices_of_the_old_form_are_not_taken_for_one(tmp_path):
    path, network = tmp_path / "net.caffemodel", network_of("vgg11")
    arrays = arrays_of(network)
    del arrays["fc7"]
    others = dict(zip([name for name in VGG11 if name != "fc7"], arrays.values(), strict=True))
    matrices = blob(np.ones((2, 1, 64, 128)), legacy=True, double=False)
    path.write_bytes(caffemodel(others) + field(100, field(1, b"fc7") + field(2, b"InnerProduct") + field(7, matrices)))
    with pytest.raises(UserError, match=r"fc7.weight is \(2, 1, 64, 128\) there and \(128, 128\) here"):
        load_weights(network, path)


def test_a_name_that_is_no_text_is_shown_by_its_codes(tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(field(100, field(1, b"\xff") + field(2, b"\xfe") + field(7, blob(np.ones(1), False, False))))
    with pytest.raises(UserError, match=r"has the layer '\\\\xff' of type '\\\\xfe' with weights"):
        load_weights(network_of("alexnet"), path)


def test_layers_that_the_networks_do_not_have_are_refused_and_not_left_out(tmp_path):
    path, network = tmp_path / "net.caffemodel", network_of("alexnet")
    data = model("alexnet", arrays_of(network))
    norm = caffemodel({"bn1": (np.ones(3), np.ones(3), np.ones(1))})
    path.write_bytes(data + norm.replace(b"\x12\x0bConvolution", field(2, b"BatchNorm" + b"Ax")))
    with pytest.raises(
        UserError, match="has the layer 'bn1' of type 'BatchNormAx' with weights, which the networks here"
    ):
        load_weights(network, path)


@pytest.mark.parametrize("size", [0, 7, 2**31, 2**62])
def test_sizes_that_the_file_does_not_hold_are_refused_before_any_memory_is_asked_for(size, tmp_path):
    path = tmp_path / "net.caffemodel"
    write_claim(path, (64, 3, 11, size))
    with pytest.raises(UserError, match=r"'conv1.weight' of shape .*(64, 3, 11|no array)"):
        load_weights(network_of("alexnet"), path)


@pytest.mark.parametrize("dims", [(1,) * 9, (3, 0), ()])
def test_shapes_of_no_array_of_weights_are_refused(dims, tmp_path):
    write_claim(tmp_path / "net.caffemodel", dims)
    with pytest.raises(UserError) as refused:
        load_weights(network_of("alexnet"), tmp_path / "net.caffemodel")
    assert "net.caffemodel has 'conv1.weight' of shape [" in str(refused.value)
    assert "], which no array of weights has: get an intact copy." in str(refused.value)


def write_claim(path, dims):
    """A file with a layer of one number, which claims to be of this shape."""
    shape = field(7, field(1, b"".join(map(varint, dims))))
    path.write_bytes(field(100, field(1, b"conv1") + field(2, b"Convolution") + field(7, shape + field(5, b"1234"))))
