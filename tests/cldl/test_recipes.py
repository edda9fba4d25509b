from dataclasses import fields

import pytest

from cldl.recipe import Recipe, settings
from cldl.recipes import RECIPES, find
from engine.errors import UserError


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_every_value_of_a_recipe_names_its_source(recipe):
    assert set(recipe.sources) == set(settings(recipe)) - {"name", "summary"}
    assert all(recipe.sources.values())


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_every_recipe_is_in_range_and_builds(recipe):
    recipe.check()
    network = recipe.build()
    assert len(network.classifiers) == recipe.classifiers


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
    "classifiers": 4,
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
