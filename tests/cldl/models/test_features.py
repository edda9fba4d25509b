"""A linear classifier on a layer of a deep network."""

import numpy as np
import pytest

from cldl.models import build
from cldl.models.features import linear_on_features
from cldl.recipes import find
from engine.context import Context
from engine.errors import UserError
from engine.gradcheck import grid
from engine.random import Key
from layers import Linear


def narrow(name="vgg11", side=32):
    network = build(name, (side, side, 3), 4, width=1 / 16, initialisation="he")
    network.initialise(Key(1))
    return network


def outputs(network, x):
    """What every node gives for x."""
    return {node.name: y for node, _, y in network.trace(x, Context())}


@pytest.mark.parametrize(
    ("name", "layer", "side"), [("vgg11", "fc6_relu", 32), ("googlenet", "head_top.mean", 32), ("vgg11", "pool3", 32)]
)
def test_the_classifier_sees_what_the_layer_gives_divided_by_its_length(name, layer, side):
    body, x = narrow(name, side), grid((2, side, side, 3), Key(2), 1.0).astype(np.float32)
    network = linear_on_features(body, layer, 7, initialisation="he")
    network.nodes[-1].layer.weight.value[...] = grid(network.nodes[-1].layer.weight.shape, Key(3), 1.0)
    features = outputs(body, x)[layer].reshape(2, -1)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    (logits,), _ = network.forward(x, Context())
    np.testing.assert_allclose(logits, unit @ network.nodes[-1].layer.weight.value, rtol=2e-4, atol=1e-5)
    assert (network.classes, network.exits) == (7, ("head_top.fc",))


def test_the_body_has_the_names_and_the_parameters_of_the_network_and_nothing_above_the_layer():
    body = narrow("googlenet")
    network = linear_on_features(body, "inception_4a", 3)
    kept = [p for p in network.parameters() if not p.name.startswith("head_top")]
    assert [p.name for p in kept] == [p.name for p in body.parameters()][: len(kept)]
    assert all(a is b for a, b in zip(kept, body.parameters(), strict=False))
    assert [n.name for n in network.nodes if n.name.startswith("head_top")] == [
        *("head_top.map", "head_top.unit", "head_top.fc"),
    ]
    assert "inception_4b.1x1" not in network.node_shapes()


def test_the_classifier_begins_at_0_or_as_he_draws_it():
    for initialisation, spread in (("published", 0), ("he", (2 / 256) ** 0.5)):
        network = linear_on_features(narrow(), "fc6_relu", 50, initialisation=initialisation)
        network.initialise(Key(4))
        (linear,) = [node.layer for node in network.nodes if node.name == "head_top.fc"]
        assert isinstance(linear, Linear)
        assert linear.weight.value.std() == pytest.approx(spread, rel=0.05)


def test_a_layer_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(
        UserError, match=r"there is no layer 'fc9' to take features from; choose from conv1_1, conv1_1_relu"
    ):
        linear_on_features(narrow(), "fc9", 7)


def test_in_a_recipe_the_body_learns_at_a_rate_of_its_own_or_not_at_all():
    for rate in (0.0, 0.1):
        network = find("mit67_vgg11_features").changed(width=1 / 16, body_lr_mult=rate).build_network()
        rates = {p.name: p.lr_mult for p in network.parameters()}
        assert {r for name, r in rates.items() if not name.startswith("head_")} == {rate}
        assert rates["head_top.fc.weight"] == rates["head_top.fc.bias"] == 1


@pytest.mark.parametrize(("name", "heads"), [("mit67_vgg11", 3), ("mit67_dag_cnn", 16 + 2), ("places205_cnds8", 2)])
def test_every_deep_recipe_can_slow_its_body_down_and_its_classifiers_learn_as_before(name, heads):
    old, new = (find(name).changed(width=1 / 16, body_lr_mult=rate).build_network() for rate in (1.0, 0.25))
    for a, b in zip(old.parameters(), new.parameters(), strict=True):
        assert b.lr_mult == a.lr_mult * (1 if a.name.startswith("head_") else 0.25)
    assert len({p.name.split(".")[0] for p in new.parameters() if p.name.startswith("head_")}) == heads
