from dataclasses import fields

import pytest

from cldl.recipes import RECIPES, find
from cldl.recipes.recipe import Recipe, settings
from engine.errors import UserError


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_every_value_of_a_recipe_names_its_source(recipe):
    assert set(recipe.sources) == set(settings(recipe)) - {"name", "summary"}
    assert all(recipe.sources.values())


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_every_recipe_is_in_range_and_builds(recipe):
    recipe.check()
    network = recipe.build()
    assert len(network.exits) == recipe.classifiers


def test_cldl_and_softmax_differ_in_the_classifiers_only():
    a, b = settings(find("mnist_nin")), settings(find("mnist_nin_softmax"))
    assert {k for k in a if a[k] != b[k]} == {"name", "summary", "classifiers", "weights"}


def test_a_changed_value_comes_from_the_command_line():
    recipe = find("mnist_nin").changed(epochs=3, dropout=0.5)
    assert recipe.sources["epochs"] == "command line"
    assert recipe.sources["dropout"] == find("mnist_nin").sources["dropout"]


WRONG = {
    "epochs": 0,
    "batch_size": 0,
    "learning_rate": -1.0,
    "dropout": 1.0,
    "momentum": 1.0,
    "weights": (1.0, 1.0),
    "exponent": -1.0,
    "schedule": "zigzag",
    "optimiser": "sgdd",
    "penalty": "cube",
    "initialisation": "luck",
    "lower": "half",
    "dataset": "mnost",
    "preprocessing": "zca",
    "classifiers": 6,
    "network": "alexnet",
    "loss": "hinges",
    "lower_epochs": 2.0,
    "final_momentum": 0.9,
    "decay_epochs": -1.0,
    "warmup": 1e9,
    "deviation": 0.0,
}


@pytest.mark.parametrize(("name", "value"), WRONG.items(), ids=list(WRONG))
def test_a_value_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(UserError, match=name):
        find("mnist_nin").changed(**{name: value})


def test_nothing_that_is_not_a_number_passes_for_one():
    for f in fields(Recipe):
        if f.type == "float":
            with pytest.raises(UserError, match=f.name):
                find("mnist_nin").changed(**{f.name: float("nan")})


def test_an_unknown_recipe_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match="mnist_nin_softmax"):
        find("mnist_nim")


def test_the_rate_warms_up_and_decays():
    recipe = find("mnist_nin").changed(epochs=10, warmup=1.0, learning_rate=0.1, schedule="cosine", floor=0.0)
    rates = [recipe.rate(e) for e in (0, 0.5, 1, 5, 10)]
    assert rates[0] == 0
    assert rates[1] < rates[2] > rates[3] > rates[4]
    assert rates[4] == pytest.approx(0)


def test_the_published_schedule_divides_by_ten_at_200_and_230_epochs():
    recipe = find("mnist_nin_published")
    assert [recipe.rate(e) for e in (0, 199.9, 200.1, 230.1)] == pytest.approx([0.1, 0.1, 0.01, 0.001])


def test_dsn_drops_its_companions_when_its_authors_do():
    recipe = find("cifar100_dsn_published")
    assert recipe.objective(99).weights == (1, 1, 1, 1)
    assert recipe.objective(100).weights == (0, 0, 0, 1)
    steps = 50_000 // recipe.batch_size
    assert recipe.lower_epochs * steps == 50_000
    assert [recipe.rate(e) for e in (0, 239.9, 240.1, 300)] == pytest.approx([0.025, 0.025, 1e-4, 1e-4])
    assert recipe.epochs * steps == 150_000


def test_maxout_raises_its_momentum_and_lowers_its_rate_as_published():
    mnist, cifar = find("mnist_maxout_published"), find("cifar100_maxout_published")
    assert [mnist.momentum_after(e) for e in (0, 125, 250, 300)] == pytest.approx([0.5, 0.6, 0.7, 0.7])
    assert [cifar.momentum_after(e) for e in (0, 125, 785)] == pytest.approx([0.5, 0.55, 0.6])
    assert [mnist.rate(e) for e in (0, 2)] == pytest.approx([0.05, 0.05 / 1.00004 ** (2 * 469)])
    assert mnist.rate(10_000) == pytest.approx(1e-6)
    assert [cifar.rate(e) for e in (0, 250, 500, 785)] == pytest.approx([0.17, 0.17 * 0.505, 0.0017, 0.0017])


def test_the_number_of_classifiers_alone_can_be_changed():
    for M in (1, 2, 4, 5):
        recipe = find("cifar100_nin").changed(classifiers=M)
        assert recipe.weights == (1.0,) * M
        assert len(recipe.build().exits) == M
    with pytest.raises(UserError, match="weights"):
        find("mnist_nin").changed(weights=(1.0, 2.0, 3.0)).changed(classifiers=2)


@pytest.mark.parametrize(("name", "classifiers"), [("mnist_dsn", 3), ("mnist_maxout", 2)])
def test_a_network_has_the_classifiers_of_its_definition(name, classifiers):
    with pytest.raises(UserError, match="classifiers is"):
        find(name).changed(classifiers=classifiers)


def test_published_recipes_let_biases_learn_twice_as_fast_where_their_authors_do():
    for name in ("mnist_nin_published", "cifar100_dsn_published"):
        weight, bias = find(name).build().parameters()[:2]
        assert (weight.lr_mult, bias.lr_mult) == (1, 2)


def test_nothing_inferred_claims_a_trial():
    for recipe in RECIPES.values():
        for source in recipe.sources.values():
            assert not ("untried" in source and "by trial" in source)
