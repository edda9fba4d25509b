"""What a recipe builds has the recipe's values, whatever they are."""

import numpy as np
import pytest

from cldl.models.maxout import MAXOUT_CIFAR, maxout
from cldl.recipes import find
from data.dataset import Dataset
from data.transforms.augmentation import CropFlip
from data.transforms.preprocessing import Contrast, Scale, fitted
from engine.random import Key
from layers.dropout import Dropout
from layers.relu import ReLU


def network(recipe, **values):
    return find(recipe).changed(**values).build_network()


def multipliers(built):
    return {p.name: p.lr_mult for p in built.parameters()}


def dropouts(built):
    return [node.layer.rate for node in built.nodes if isinstance(node.layer, Dropout)]


def deviation(built, name):
    """The standard deviation of a weight as it is drawn."""
    built.initialise(Key(3))
    return {p.name: p.value.std() for p in built.parameters()}[name]


def test_nin_has_the_values_of_its_recipe():
    built = network(
        "mnist_nin",
        dropout=0.25,
        top_lr_mult=0.5,
        lower_lr_mult=0.125,
        lower_dropout=0.375,
        bias_lr_mult=3.0,
        lower_head="mean",
        relu_on_logits=True,
        initialisation="published",
    )
    rates = multipliers(built)
    assert {node.name: node.layer.rate for node in built.nodes if isinstance(node.layer, Dropout)} == {
        "dropout1": 0.25,
        "dropout2": 0.25,
        "head_pool1.dropout": 0.375,
        "head_pool2.dropout": 0.375,
    }
    assert [rates[f"cccp6.{kind}"] for kind in ("weight", "bias")] == [0.5, 1.5]
    assert [rates[f"head_pool1.linear.{kind}"] for kind in ("weight", "bias")] == [0.125, 0.375]
    assert [p.shape for p in built.parameters() if p.name == "head_pool1.linear.weight"] == [(48, 10)]
    assert isinstance(built.nodes[-2].layer, ReLU)
    assert not isinstance(network("mnist_nin").nodes[-2].layer, ReLU)
    assert deviation(built, "conv1.weight") == pytest.approx(0.05, rel=0.05)
    assert deviation(network("mnist_nin"), "conv1.weight") == pytest.approx((2 / 25) ** 0.5, rel=0.05)


def test_dsn_has_the_values_of_its_recipe():
    built = network(
        "mnist_dsn",
        dropout=0.25,
        top_lr_mult=0.5,
        companion_lr_mult=0.125,
        companion_gamma=0.5,
        companion_power=2.0,
        initialisation="he",
    )
    companion = next(p for p in built.parameters() if p.name == "head_conv1.linear.weight")
    assert dropouts(built) == [0.25, 0.25]
    assert multipliers(built)["cccp6.weight"] == 0.5
    assert companion.lr_mult == 0.125
    assert companion.lr_policy(2) == 0.25  # (1 + 0.5 * 2)^-2
    assert deviation(built, "conv1.weight") == pytest.approx((2 / 25) ** 0.5, rel=0.05)


def test_maxout_has_the_values_of_its_recipe():
    built = network("mnist_maxout", dropout=0.25, input_dropout=0.125, conv_lr_mult=0.5, initialisation="he")
    assert dropouts(built) == [0.125, 0.25, 0.25, 0.25]
    assert multipliers(built)["conv1.weight"] == 0.5
    assert built.nodes[0].layer.scale == 1  # pixels that stay keep their size
    published = network("mnist_maxout")
    for name, inputs in (("conv1.weight", 64), ("head_top.linear.weight", 216)):
        assert deviation(built, name) == pytest.approx((2 / inputs) ** 0.5, rel=0.1)
        assert deviation(published, name) == pytest.approx(0.005 / 3**0.5, rel=0.1)


def test_maxout_for_cifar_has_a_hidden_linear_layer_and_learns_at_one_rate():
    built = maxout(MAXOUT_CIFAR, (32, 32, 3), 10, initialisation="he")
    blocks = [f"{layer}{i}" for i in (1, 2, 3) for layer in ("conv", "maxout", "pool", "dropout")]
    hidden = ["linear4", "maxout4", "dropout4"]
    assert [node.name for node in built.nodes] == ["dropout0", *blocks, "map", *hidden, "head_top.linear"]
    assert set(multipliers(built).values()) == {1}
    assert deviation(built, "linear4.weight") == pytest.approx((2 / 4800) ** 0.5, rel=0.05)


def test_optimisers_have_the_values_of_their_recipe():
    built = network("mnist_nin")
    adamw = find("mnist_nin").changed(beta1=0.8, beta2=0.9, weight_decay=0.25, penalty="norm").build_optimiser(built)
    assert (adamw.momentum, adamw.beta2, adamw.weight_decay, adamw.penalty) == (0.8, 0.9, 0.25, "norm")
    recipe = find("mnist_nin_published").changed(momentum=0.75, nesterov=True, weight_decay=0.25, penalty="norm")
    sgd = recipe.build_optimiser(built)
    assert (sgd.momentum, sgd.nesterov, sgd.weight_decay, sgd.penalty) == (0.75, True, 0.25, "norm")


def test_objectives_have_the_values_of_their_recipe():
    cldl = find("mnist_nin").changed(weights=(1.0, 2.0, 3.0), exponent=0.5, through_companions=False)
    found = cldl.build_objective()
    assert (found.loss, found.weights, found.g, found.through_companions) == ("cldl", (1, 2, 3), 0.5, False)
    for kind in ("softmax", "hinge"):
        deep = find("mnist_nin").changed(loss=kind, companion_epochs=7.0).build_objective()
        assert (deep.loss, deep.companion_epochs) == (kind, 7)


def test_augmentation_is_there_where_the_recipe_asks_for_it():
    assert find("cifar100_nin").build_augmentation() is None
    assert find("cifar100_nin_augmented").build_augmentation() == CropFlip(4)


def test_preprocessing_is_fixed_or_fitted_on_the_data_and_kept(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1), np.uint8)
    data = Dataset.from_arrays("noise", images, np.arange(20) % 2, images, np.arange(20) % 2)
    said = []
    for kind, expected in (("scale", Scale), ("gcn", Contrast)):
        recipe = find("mnist_nin").changed(preprocessing=kind)
        assert type(recipe.fixed_preprocessing()) is type(recipe.build_preprocessing(data)) is expected
    for kind in ("standard", "gcn_zca"):
        recipe = find("mnist_nin").changed(preprocessing=kind)
        assert recipe.fixed_preprocessing() is None
        made = recipe.build_preprocessing(data, tmp_path, said.append)
        assert made.sha256 == fitted(kind, data).sha256
    assert len(said) == len(list(tmp_path.iterdir())) == 2
