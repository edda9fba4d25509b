"""An exported module gives in PyTorch what the model gives here; it imports nothing of this project."""

import ast
import runpy
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from cldl.exporting.to_torch import module_source, save_torch
from cldl.exporting.unfold import unfold
from cldl.inference import predict, softmax
from cldl.interop import load_weights
from cldl.models import build
from cldl.objective import Objective
from data.floats import FloatSplit, Standardise
from data.transforms.preprocessing import Scale
from engine.errors import UserError
from layers import Flatten, Linear, Network, Node, chain
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

pytest.importorskip("safetensors")
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")


def module(model, folder):
    """The names that the exported file defines."""
    save_torch(model, folder)
    return runpy.run_path(str(folder / "model.py"))


def check(model, images, folder):
    import torch

    probabilities, labels = module(model, folder)["load"]().predict(torch.from_numpy(images))
    for P, z in zip(probabilities, model.logits(images), strict=True):
        np.testing.assert_allclose(P.numpy(), softmax(z.astype(np.float64)), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(labels.numpy(), model.predict(images))


@needs_torch
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_the_same(name, tmp_path):
    check(of_layers(name), pixels((10, 8, 4)), tmp_path)


@needs_torch
def test_layers_with_several_inputs_are_the_same(tmp_path):
    check(of_merged(), pixels((5, 4, 2)), tmp_path)


@needs_torch
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_the_same(name, tmp_path):
    model = of_family(name)
    check(model, pixels(model.network.input_shape, 3), tmp_path)


@needs_torch
@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_images_are_preprocessed_in_the_module(name, tmp_path):
    check(linear_model(SHAPE, PREPROCESSINGS[name]), flat_images(), tmp_path)


@needs_torch
def test_floats_are_standardised_in_the_module(tmp_path):
    import torch

    samples = RNG.normal(50, 3, (7, 9))
    model = trained(Network(chain("x", [("top", Linear(9, 4))]), ["top"], (9,)), Standardise.fit(samples))
    (P,), _ = module(model, tmp_path)["load"]().predict(torch.from_numpy(samples))
    expected = softmax(model.split_logits(FloatSplit(samples, np.zeros(7, int)))[0])
    np.testing.assert_allclose(P.numpy(), expected, rtol=1e-5, atol=1e-5)


@needs_torch
@pytest.mark.parametrize("scale", [0.01, 1, 30, 1e4])
@pytest.mark.parametrize(("weights", "exponent"), [((1.0,), None), ((0.2, 3.0, 1.0), None), ((1.0, 0.0, 2.0), 0.0)])
def test_the_joint_prediction_follows_the_formula(weights, exponent, scale, tmp_path):
    import torch

    nodes = [Node("flat", Flatten(), ("x",)), *(Node(f"z{m}", Linear(90, 6), ("flat",)) for m in range(len(weights)))]
    network = Network(nodes, [node.name for node in nodes[1:]], SHAPE)
    names = module(trained(network, objective=Objective(weights, exponent)), tmp_path)
    logits = [(scale * RNG.normal(size=(500, 6))).astype(np.float32) for _ in weights]
    labels = names["joint_labels"]([torch.from_numpy(z) for z in logits])
    np.testing.assert_array_equal(labels.numpy(), predict(logits, weights, exponent))


@needs_torch
def test_it_runs_without_this_project(tmp_path):
    save_torch(linear_model(SHAPE, Scale()), tmp_path)
    code = """
import sys
sys.modules.update(dict.fromkeys(["cldl", "engine", "layers", "data"]))
import torch
from model import CLASSES, load
probabilities, labels = load().predict(torch.zeros(2, 6, 5, 3, dtype=torch.uint8))
assert probabilities[0].shape == (2, 4) and CLASSES[labels[0]] in "0123"
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60).returncode == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_the_module_is_code_that_imports_pytorch_alone(name):
    model = of_family(name)
    tree = ast.parse(module_source(model, unfold(model.network)))
    imported = {
        part.name.partition(".")[0] if isinstance(node, ast.Import) else node.module.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for part in node.names
    }
    assert imported == {"pathlib", "torch", "safetensors"}


@pytest.mark.parametrize("name", ["nin_mnist", "googlenet", "alexnet"])
def test_the_weights_are_in_pytorchs_layout_from_which_load_weights_has_them_again(name, tmp_path):
    model = of_family(name)
    save_torch(model, tmp_path)
    again = build(name, model.network.input_shape, 5, 3, **NETWORKS[name][2])
    load_weights(again, tmp_path / "weights.safetensors")
    for own, other in zip(model.network.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(own.value, other.value)


def test_what_has_no_form_in_pytorch_is_refused(tmp_path):
    with pytest.raises(UserError, match="the preprocessing function cannot be exported"):
        save_torch(linear_model(SHAPE, lambda images, ctx: images), tmp_path)
    nodes = chain("x", [("flat", Flatten()), ("1st", Linear(90, 2))])
    with pytest.raises(UserError, match="the node '1st' cannot be an attribute in Python"):
        save_torch(trained(Network(nodes, ["1st"], SHAPE)), tmp_path)
    assert not list(tmp_path.iterdir())
