"""ONNX files: networks that take their weights answer as onnxruntime does, and other graphs are refused."""

import re

import numpy as np
import pytest

pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper

from cldl.inference import softmax
from cldl.interop import load_weights
from cldl.models import build
from engine.context import Context
from engine.errors import UserError
from layers import Add, Conv2d, Flatten, GlobalAvgPool, Linear, MaxPool2d, Network, Node, ReLU, chain
from tests.cldl.interop import zoo
from tests.cldl.interop.layouts import assert_holds

SIZES = {"alexnet": 227, "googlenet": 224, "vgg19": 224}


def answers(path, x):
    """What onnxruntime gives for images (N, H, W, C) whose channels are in the file's order."""
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(x.transpose(0, 3, 1, 2))})[0]


def images(size, seed=1):
    """Two images less their mean, of red, green, blue."""
    return np.random.default_rng(seed).normal(0, 50, (2, size, size, 3)).astype(np.float32)


def difference(network, path, x):
    """The largest of the differences between the logarithms of probabilities."""
    (logits,), _ = network.forward(x, Context())
    return np.abs(np.log(softmax(logits)) - np.log(answers(path, x[..., ::-1]))).max()


@pytest.mark.parametrize("name", zoo.MODELS)
def test_the_zoos_networks_answer_as_onnxruntime_does(name, tmp_path):
    size = SIZES[name]
    path = zoo.save(zoo.MODELS[name](10, 1 / 16), tmp_path / "model.onnx")
    network = build(name, (size, size, 3), 10, width=1 / 16)
    report = load_weights(network, path)
    assert len(report.taken) == len(network.parameters())
    assert (report.drawn, report.left) == ((), ())
    assert (report.kind, report.bgr, report.preprocessing) == ("ONNX from Caffe", True, "rgb_mean")
    assert difference(network, path, images(size)) < 1e-4


@pytest.mark.parametrize("classifiers", [2, 5])
def test_a_network_with_lower_classifiers_takes_the_same_and_draws_these(classifiers, tmp_path):
    path = zoo.save(zoo.googlenet(10, 1 / 16), tmp_path / "model.onnx")
    networks = [build("googlenet", (224, 224, 3), 10, M, width=1 / 16) for M in (1, classifiers)]
    reports = [load_weights(network, path) for network in networks]
    assert reports[1].taken == reports[0].taken
    assert all(name.startswith("head_inception_") for name in reports[1].missing)
    values = {p.name: p.value for p in networks[1].parameters()}
    assert all(np.array_equal(p.value, values[p.name]) for p in networks[0].parameters())


@pytest.mark.parametrize("wrong", ["a map whose rows come first", "red first"])
def test_the_agreement_notices_a_wrong_order(wrong, tmp_path):
    path = zoo.save(zoo.vgg(10, 1 / 16, size=96, depth=11), tmp_path / "model.onnx")  # a map of 3 x 3
    network = build("vgg11", (96, 96, 3), 10, width=1 / 16)
    load_weights(network, path, channels="rgb" if wrong == "red first" else None)
    if wrong != "red first":
        (fc6,) = (node.layer for node in network.nodes if node.name == "fc6")
        channels_first = fc6.weight.value.reshape(3, 3, -1, fc6.weight.shape[1]).transpose(2, 0, 1, 3)
        fc6.weight.value = channels_first.reshape(fc6.weight.shape)
    assert difference(network, path, images(96)) > 0.01


def small(classes=4):
    """A convolution, a map of 3 x 2, two fully connected layers."""
    layers = [("conv", Conv2d(3, 5, 3, padding=1)), ("relu", ReLU()), ("pool", MaxPool2d(2, 2))]
    layers += [("map", Flatten()), ("hidden", Linear(30, 6)), ("hidden_relu", ReLU()), ("top", Linear(6, classes))]
    return Network(chain("x", layers), ["top"], (6, 4, 3))


def weights(seed=0):
    random = np.random.default_rng(seed)
    shapes = {"conv": (5, 3, 3, 3), "hidden": (6, 30), "top": (4, 6)}
    return {
        name: tuple(random.normal(0, 1, part).astype(np.float16).astype(np.float32) for part in (shape, shape[:1]))
        for name, shape in shapes.items()
    }


def graph(form="Gemm", write=numpy_helper.from_array, edit=None, producer="pytorch"):
    """An ONNX model of that network, in one of several forms."""
    tensors = []
    for name, (w, b) in weights().items():
        w = w if form in ("Gemm", "constants") or name == "conv" else w.T
        tensors += [write(np.ascontiguousarray(w), f"{name}.w"), write(b, f"{name}.b")]
    nodes = [
        helper.make_node("Conv", ["image", "conv.w", "conv.b"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
    ]
    for below, name, above in (("f", "hidden", "h"), ("hr", "top", "logits")):
        if form == "MatMul":
            nodes.append(helper.make_node("MatMul", [below, f"{name}.w"], [f"{name}.product"]))
            nodes.append(helper.make_node("Add", [f"{name}.b", f"{name}.product"], [above]))
        else:
            transposed = int(form != "Gemm, not transposed")
            nodes.append(helper.make_node("Gemm", [below, f"{name}.w", f"{name}.b"], [above], transB=transposed))
        if name == "hidden":
            nodes.append(helper.make_node("Relu", ["h"], ["hr"]))
    if form == "constants":
        nodes = [helper.make_node("Constant", [], [t.name], value=t) for t in tensors] + nodes
        tensors = []
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 6, 4])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 4])
    made = helper.make_graph(nodes, "small", [image], [logits], tensors)
    if edit:
        edit(made)
    opset = [helper.make_opsetid("", 13)]
    return helper.make_model(made, producer_name=producer, ir_version=7, opset_imports=opset)


@pytest.mark.parametrize("form", ["Gemm", "Gemm, not transposed", "MatMul", "constants"])
def test_fully_connected_layers_are_read_in_every_form(form, tmp_path):
    path, network = zoo.save(graph(form), tmp_path / "model.onnx"), small()
    report = load_weights(network, path)
    assert (report.kind, report.bgr, report.preprocessing, report.drawn) == ("ONNX", False, None, ())
    assert ("top.weight", "top.w") in report.taken
    assert_holds(network, weights())


def as_list(dtype):
    def write(array, name):
        bits = array.astype(np.float16) if dtype == TensorProto.FLOAT16 else array
        return helper.make_tensor(name, dtype, array.shape, bits.ravel())

    return write


def as_bytes(dtype):
    return lambda array, name: numpy_helper.from_array(array.astype(dtype), name)


@pytest.mark.parametrize(
    "write",
    [
        *(as_list(kind) for kind in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)),
        as_bytes(np.float16),
        as_bytes(np.float64),
    ],
    ids=["floats", "doubles", "halves", "bytes of halves", "bytes of doubles"],
)
def test_numbers_are_read_in_every_form(write, tmp_path):
    network = small()
    load_weights(network, zoo.save(graph(write=write), tmp_path / "model.onnx"))
    assert_holds(network, weights())


def test_layers_are_told_by_the_graph_and_not_by_the_order_of_its_nodes(tmp_path):
    def other_order(made):
        """Branches of an inception computed in another order; its concatenation is as it was."""
        nodes = sorted(made.node, key=lambda node: ("/" in node.name, node.name))
        known, ordered = {"data_0", *(t.name for t in made.initializer)}, []
        while nodes:
            ready = next(node for node in reversed(nodes) if set(node.input) <= known)
            nodes.remove(ready), ordered.append(ready), known.update(ready.output)
        del made.node[:]
        made.node.extend(ordered)

    model = zoo.googlenet(10, 1 / 16)
    networks = [build("googlenet", (224, 224, 3), 10, width=1 / 16) for _ in range(2)]
    load_weights(networks[0], zoo.save(model, tmp_path / "model.onnx"))
    before = [node.output[0] for node in model.graph.node]
    other_order(model.graph)
    assert before != [node.output[0] for node in model.graph.node]
    load_weights(networks[1], zoo.save(model, tmp_path / "other.onnx"))
    for a, b in zip(*(network.parameters() for network in networks), strict=True):
        np.testing.assert_array_equal(a.value, b.value)


@pytest.mark.parametrize("epsilon", [{}, {"epsilon": 0.1}], ids=["the usual epsilon", "another epsilon"])
def test_batch_normalisation_is_folded_into_its_convolution(epsilon, tmp_path):
    random = np.random.default_rng(3)
    arrays = {"w": random.normal(0, 1, (5, 3, 3, 3)), "b": random.normal(0, 1, 5), "top": random.normal(0, 1, (4, 5))}
    arrays |= {name: random.uniform(0.5, 2, 5) for name in ("gamma", "beta", "mean")}
    arrays["var"] = random.uniform(1e-5, 1e-4, 5)
    nodes = [
        helper.make_node("Conv", ["image", "w", "b"], ["c"], pads=[1] * 4),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["n"], **epsilon),
        helper.make_node("GlobalAveragePool", ["n"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "top"], ["logits"], transB=1),
    ]
    tensors = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 6, 4])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 4])
    made = helper.make_graph(nodes, "normalised", [image], [logits], tensors)
    path = zoo.save(
        helper.make_model(made, ir_version=7, opset_imports=[helper.make_opsetid("", 13)]), tmp_path / "m.onnx"
    )
    layers = [("conv", Conv2d(3, 5, 3, padding=1)), ("mean", GlobalAvgPool()), ("top", Linear(5, 4))]
    network = Network(chain("x", layers), ["top"], (6, 4, 3))
    assert load_weights(network, path).left == ()
    x = random.normal(0, 1, (2, 6, 4, 3)).astype(np.float32)
    (z,), _ = network.forward(x, Context())
    np.testing.assert_allclose(z, answers(path, x), rtol=1e-5, atol=1e-4)


def test_branches_that_are_added_are_walked_in_their_order(tmp_path):
    random = np.random.default_rng(5)
    arrays = {
        name: tuple(random.normal(0, 1, s).astype(np.float32) for s in ((2, 3, 1, 1), (2,))) for name in ("a", "b")
    }
    named = {f"{name}{i}": array for name, pair in arrays.items() for i, array in enumerate(pair)}
    nodes = [
        helper.make_node("Conv", ["image", "b0", "b1"], ["b"]),
        helper.make_node("Conv", ["image", "a0", "a1"], ["a"]),
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("GlobalAveragePool", ["sum"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["logits"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 6, 4])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("b", "logits")]
    tensors = [numpy_helper.from_array(array, name) for name, array in named.items()]
    made = helper.make_graph(
        nodes, "sum", [image], outputs, tensors
    )  # the output that is computed from most layers counts
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(made).SerializeToString())
    branches = [Node(name, Conv2d(3, 2, 1)) for name in ("a", "b")]
    top = [Node("sum", Add(2), ("a", "b")), Node("mean", GlobalAvgPool(), ("sum",))]
    network = Network([*branches, *top], ["mean"], (6, 4, 3))
    load_weights(network, path)
    assert_holds(network, arrays)


def test_a_dag_cnn_takes_the_chain_and_leaves_its_classifier(tmp_path):
    path = zoo.save(zoo.alexnet(10, 1 / 16), tmp_path / "model.onnx")
    network, whole = (build(name, (227, 227, 3), 7, width=1 / 16) for name in ("dag_alexnet", "alexnet"))
    report = load_weights(network, path)
    assert report.left == ("fc8_w_0", "fc8_b_0")
    assert all(name.startswith("head_") for name in report.missing)
    load_weights(whole, path)
    values = {p.name: p.value for p in network.parameters()}
    assert all(np.array_equal(values[p.name], p.value) for p in whole.parameters() if not p.name.startswith("head_"))


def test_the_channels_can_be_named(tmp_path):
    path, network = zoo.save(graph(), tmp_path / "model.onnx"), small()
    assert load_weights(network, path, channels="bgr").bgr
    assert_holds(network, weights(), bgr=True)
    with pytest.raises(UserError, match="channels is 'grb'; choose one of rgb, bgr, or leave it out"):
        load_weights(network, path, channels="grb")


def external(tmp_path, location, offset=8, length=None, write=True):
    """A model that keeps its largest array in another file."""
    array = weights()["hidden"][0]
    if write:
        (tmp_path / location).write_bytes(b"8 bytes." + array.tobytes())

    def edit(made):
        (tensor,) = (t for t in made.initializer if t.name == "hidden.w")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entries = {"location": location, "offset": offset, "length": length or array.nbytes}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=str(value))

    path = tmp_path / "model.onnx"
    path.write_bytes(graph(edit=edit).SerializeToString())
    return path


def test_numbers_in_a_file_beside_it_are_read_and_are_part_of_the_digest(tmp_path):
    path, network = external(tmp_path, "model.bin"), small()
    report = load_weights(network, path)
    assert_holds(network, weights())
    (tmp_path / "model.bin").write_bytes((tmp_path / "model.bin").read_bytes().replace(b"8 bytes.", b"8 others"))
    assert load_weights(network, path).sha256 != report.sha256


def test_numbers_that_fill_a_file_need_no_place_in_it(tmp_path):
    def edit(made):
        (tensor,) = (t for t in made.initializer if t.name == "hidden.w")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="model.bin")

    (tmp_path / "model.bin").write_bytes(weights()["hidden"][0].tobytes())
    (tmp_path / "model.onnx").write_bytes(graph(edit=edit).SerializeToString())
    network = small()
    load_weights(network, tmp_path / "model.onnx")
    assert_holds(network, weights())


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "sub/file", "..", "", "link", "none", "a\0b"])
def test_numbers_in_a_file_elsewhere_are_refused(location, tmp_path):
    folder = tmp_path / "models"
    (folder / "sub").mkdir(parents=True)
    data = b"8 bytes." + weights()["hidden"][0].tobytes()
    for file in (tmp_path / "secret", folder / "sub" / "file"):
        file.write_bytes(data)
    (folder / "link").symlink_to(tmp_path / "secret")
    sentence = rf"keeps 'hidden.w' in {re.escape(repr(location))}, which is no file in its folder: get an intact copy"
    with pytest.raises(UserError, match=sentence):
        load_weights(small(), external(folder, location, write=False))


@pytest.mark.parametrize(("offset", "length"), [(9, None), (-1, None), (8, 4), (10**30, None), ("x", None)])
def test_numbers_beyond_the_end_of_a_file_are_refused(offset, length, tmp_path):
    with pytest.raises(UserError, match=r"keeps 'hidden.w' (of shape \(6, 30\) in 720 bytes of model.bin|at a place)"):
        load_weights(small(), external(tmp_path, "model.bin", offset, length))


def replaced(kind, inputs, output, **attributes):
    """An edit that computes an output in another way."""

    def edit(made):
        (i,) = (i for i, node in enumerate(made.node) if output in node.output)
        made.node[i].CopyFrom(helper.make_node(kind, inputs, [output], **attributes))

    return edit


def adding(array, to, output):
    """An edit that adds a constant to what is computed."""

    def edit(made):
        made.initializer.append(numpy_helper.from_array(array, "added"))
        replaced("Add", [to, "added"], output, name="sum")(made)

    return edit


def columns(made):
    """Five numbers are added to a map of five channels, but ONNX adds them along its rows."""
    replaced("Conv", ["image", "conv.w"], "c", pads=[1] * 4)(made)
    adding(np.ones(5, np.float32), "c", "r")(made)


def normalising(below, channels):
    """An edit that normalises, so many channels, what is computed."""

    def edit(made):
        made.initializer.append(numpy_helper.from_array(np.ones(channels, np.float32), "ones"))
        made.node[0].name = "stem"
        replaced("BatchNormalization", [below, *["ones"] * 4], "r", name="norm")(made)

    return edit


def cut(name, field):
    """An edit that takes the last of an array's numbers away."""

    def edit(made):
        (tensor,) = (t for t in made.initializer if t.name == name)
        if field == "float_data":
            tensor.float_data.extend(numpy_helper.to_array(tensor).ravel()[:-1])
            tensor.ClearField("raw_data")
        elif field == "dims":
            tensor.dims[0] = 0
        else:
            tensor.raw_data = tensor.raw_data[:-4]

    return edit


NO_BIAS = "has an Add 'sum' of a constant that is the bias of no layer"
FACTOR = "has a Gemm 'fc' with transA, alpha or beta, which the networks here do not have"
FLOATS = "has a Conv 'stem' whose weights are not floats in the file: choose the network"
FEWER = "it has 2 convolutions and fully connected layers with weights, and"
NONE = "has no convolution and no fully connected layer with weights of its own: choose"
REFUSED = {
    "cut short": (
        cut("top.w", "raw_data"),
        r"has 92 bytes for 'top.w' of shape \(4, 6\), expected 96: get an intact copy",
    ),
    "a number short": (
        cut("top.w", "float_data"),
        r"has 23 numbers for 'top.w' of shape \(4, 6\), expected 24: get an",
    ),
    "of no size": (cut("top.w", "dims"), r"has 'top.w' of shape \[0, 6\], which no array of weights has"),
    "transposed": (replaced("Transpose", ["r"], "p", perm=[0, 2, 3, 1]), "has a 'Transpose', which the networks here"),
    "quantised": (replaced("QLinearConv", ["image"], "c"), "has a 'QLinearConv', which the networks here do not have"),
    "with unknown weights": (replaced("Conv", ["image", "nothing"], "c", name="stem"), FLOATS),
    "without weights": (replaced("Conv", ["image"], "c", name="stem"), FLOATS),
    "in a circle": (replaced("Relu", ["logits"], "r"), "has a node that is computed from itself: get an intact copy"),
    "dilated": (
        replaced("Conv", ["image", "conv.w"], "c", dilations=[2, 2], name="stem"),
        "has a dilated Conv 'stem', wh",
    ),
    "with alpha": (replaced("Gemm", ["f", "hidden.w"], "h", transB=1, alpha=2.0, name="fc"), FACTOR),
    "with beta": (replaced("Gemm", ["f", "hidden.w"], "h", transB=1, beta=2.0, name="fc"), FACTOR),
    "with transA": (replaced("Gemm", ["f", "hidden.w"], "h", transB=1, transA=1, name="fc"), FACTOR),
    "a constant for each column": (columns, NO_BIAS),
    "an integer": (adding(np.ones(6, np.int64), "h", "hr"), NO_BIAS),
    "a second bias": (adding(np.ones(6, np.float32), "h", "hr"), NO_BIAS),
    "a constant on the image": (adding(np.ones(4, np.float32), "image", "r"), NO_BIAS),
    "normalised first": (normalising("image", 3), "has a BatchNormalization 'norm' that follows no convolution"),
    "other channels": (
        normalising("c", 3),
        r"has 'ones' of shape \(3,\) behind 5 outputs of 'stem': get an intact copy",
    ),
    "shorter": (replaced("Identity", ["hr"], "logits"), FEWER),
    "cut off": (replaced("Relu", [], "r"), FEWER),
    "of another rank": (
        replaced("Conv", ["image", "top.w"], "c"),
        r"has 'top.w' of shape \(4, 6\) as the weight of a Conv",
    ),
    "without layers": (replaced("Relu", ["image"], "logits"), NONE),
    "without an output": (lambda made: made.output.pop(), NONE),
}


@pytest.mark.parametrize(("edit", "sentence"), REFUSED.values(), ids=list(REFUSED))
def test_another_graph_is_refused(edit, sentence, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(graph(edit=edit).SerializeToString())
    with pytest.raises(UserError, match=sentence):
        load_weights(small(), path)
