"""An exported model gives in onnxruntime what it gives here."""

import json

import numpy as np
import pytest

from cldl import inference
from cldl.exporting.graph import Graph
from cldl.exporting.onnx_joint import add_label
from cldl.exporting.to_onnx import save_onnx, to_onnx
from cldl.inference import softmax
from cldl.objective import Objective
from cldl.recipes import RECIPES
from data.floats import Standardise
from data.transforms.preprocessing import Scale
from engine.errors import UserError
from layers import Flatten, Layer, Linear, Network, Node, ReLU, chain
from tests.cldl.exporting.models import (
    LAYERS,
    NETWORKS,
    PREPROCESSINGS,
    RNG,
    SHAPE,
    flat_images,
    linear_model,
    of_family,
    of_layers,
    of_merged,
    pixels,
    trained,
)

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def run_onnx(exported, images):
    """What onnxruntime gives: the probabilities, one array a classifier, and the labels."""
    onnx.checker.check_model(exported, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(exported.SerializeToString(), options)
    *probabilities, labels = session.run(None, {session.get_inputs()[0].name: images})
    return probabilities, labels


def check(model, images):
    probabilities, labels = run_onnx(to_onnx(model), images)
    logits = model.logits(images)
    assert len(probabilities) == len(logits)
    for P, z in zip(probabilities, logits, strict=True):
        np.testing.assert_allclose(P, softmax(z.astype(np.float64)), **TOLERANCE)
    np.testing.assert_array_equal(labels, model.predict(images))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_the_same(name):
    check(of_layers(name), pixels((10, 8, 4)))


def test_layers_with_several_inputs_are_the_same():
    check(of_merged(), pixels((5, 4, 2)))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_the_same(name):
    model = of_family(name)
    check(model, pixels(model.network.input_shape, 3))


def test_every_layer_of_every_recipe_is_known():
    from cldl.exporting.onnx_layers import LAYERS as KNOWN
    from cldl.exporting.unfold import unfold

    used = {type(node.layer) for recipe in RECIPES.values() for node in unfold(recipe.build_network()).nodes}
    assert used <= set(KNOWN)


@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_images_are_preprocessed_in_the_graph(name):
    check(linear_model(SHAPE, PREPROCESSINGS[name]), flat_images())


@pytest.mark.parametrize("shape", [(9,), (4, 3, 2)])
def test_floats_are_standardised_in_the_graph(shape):
    samples = RNG.normal(50, 3, (7, *shape)).astype(np.float32)
    nodes = chain("x", [("flat", Flatten()), ("top", Linear(int(np.prod(shape)), 4))])
    model = trained(Network(nodes, ["top"], shape), Standardise.fit(samples))
    from data.floats import FloatSplit

    expected = model.split_logits(FloatSplit(samples, np.zeros(7, int)))
    (P,), labels = run_onnx(to_onnx(model), samples)
    np.testing.assert_allclose(P, softmax(expected[0]), **TOLERANCE)
    np.testing.assert_array_equal(labels, model.objective.predictions(expected))


def onnx_labels(objective, logits):
    """The labels that the graph of the joint prediction gives for these logits."""
    M, (_, K) = len(logits), logits[0].shape
    graph, names = Graph(), [f"z{m}" for m in range(M)]
    graph.reserve("label", *names)
    graph.output(add_label(graph, objective, names, K), "label")
    model = graph.model(dict.fromkeys(names, (np.float32, ("N", K))), {"label": (np.int64, ("N",))})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, dict(zip(names, logits, strict=True)))[0]


@pytest.mark.parametrize("scale", [0.01, 1, 30, 1e4])
@pytest.mark.parametrize(
    ("weights", "exponent"), [((1.0,), None), ((1.0, 1.0), 2.5), ((0.2, 3.0, 1.0), None), ((1.0, 0.0, 2.0), 0.0)]
)
def test_the_joint_prediction_follows_the_formula_with_its_weights_and_its_exponent(weights, exponent, scale):
    logits = [(scale * RNG.normal(size=(500, 6))).astype(np.float32) for _ in weights]
    expected = inference.predict(logits, weights, exponent)
    np.testing.assert_array_equal(onnx_labels(Objective(weights, exponent), logits), expected)
    if len(weights) > 1 and scale > 0.01:
        assert (expected != logits[-1].argmax(axis=1)).any()


def test_equal_losses_are_told_apart_by_the_margins_and_equal_margins_by_the_order():
    z = np.array([[2000.0, 0, 0], [0, 0, 0], [5, 5, 0], [-3000, 0, 0]], np.float32)
    other = np.array([[0, 2000.0, 1000], [0, 0, 0], [5, 5, 0], [0, 0, -3000]], np.float32)
    expected = inference.predict([z, other])
    assert onnx_labels(Objective((1.0, 1.0)), [z, other]).tolist() == expected.tolist()


@pytest.mark.parametrize("loss", ["softmax", "hinge"])
def test_under_deep_supervision_the_top_classifier_is_the_label(loss):
    logits = [RNG.normal(size=(20, 4)).astype(np.float32) for _ in range(2)]
    np.testing.assert_array_equal(onnx_labels(Objective((1.0, 1.0), loss=loss), logits), logits[1].argmax(axis=1))


def test_the_file_names_its_input_its_outputs_and_the_classes(tmp_path):
    save_onnx(linear_model(SHAPE, Scale()), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    image = model.graph.input[0]
    dims = [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim]
    assert (image.name, image.type.tensor_type.elem_type, dims) == ("image", onnx.TensorProto.UINT8, ["N", *SHAPE])
    assert [output.name for output in model.graph.output] == ["probabilities_1", "label"]
    assert json.loads(next(p.value for p in model.metadata_props if p.key == "classes")) == ["0", "1", "2", "3"]
    assert {opset.domain: opset.version for opset in model.opset_import} == {"": 17}


def test_the_names_of_nodes_do_not_collide_with_those_of_the_graph():
    nodes = [
        Node("image", Flatten(), ("x",)),
        Node("label", Linear(90, 3), ("image",)),
        Node("softmax", ReLU(), ("label",)),
    ]
    check(trained(Network(nodes, ["label", "softmax"], SHAPE)), pixels(SHAPE))


class Own(Layer):
    """A layer of the user's."""

    def forward(self, x, ctx):
        return x, None


def test_what_has_no_form_in_onnx_is_refused(tmp_path):
    nodes = chain("x", [("flat", Flatten()), ("own", Own()), ("top", Linear(90, 2))])
    with pytest.raises(UserError, match="the layer own, Own\\(\\), cannot be exported"):
        to_onnx(trained(Network(nodes, ["top"], SHAPE)))
    with pytest.raises(UserError, match="the preprocessing function cannot be exported"):
        to_onnx(linear_model(SHAPE, lambda images, ctx: images))
    with pytest.raises(UserError, match=r"the model is written as \.onnx, not as model\.pb"):
        save_onnx(linear_model(SHAPE, Scale()), tmp_path / "model.pb")
