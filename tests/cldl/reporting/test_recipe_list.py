"""python -m cldl.train --list: the recipes under the poster's tables, in 80 columns, and how long each takes."""

import re

import pytest

from cldl.recipes import RECIPES, find
from cldl.reporting import estimate
from cldl.reporting.recipe_list import list_recipes


def groups():
    """{heading: {recipe: the rest of its lines}}."""
    found, heading, name = {}, "", ""
    for line in list_recipes():
        if re.match("  \\w", line):
            name, _, rest = line.strip().partition(" ")
            found[heading][name] = " ".join(rest.split())
        elif line.startswith("  "):
            found[heading][name] += f" {line.strip()}"
        else:
            heading = line
            found[heading] = {}
    return {heading: group for heading, group in found.items() if group}


def test_the_recipes_stand_under_the_posters_tables_each_once():
    found = groups()
    assert [heading.partition(":")[0] for heading in found] == [
        "MNIST",
        "CIFAR-100",
        "ImageNet",
        "Scenes",
        "Your own images",
    ]
    assert sorted(name for group in found.values() for name in group) == sorted(RECIPES)
    for heading, group in found.items():
        data = {name.partition("_")[0] for name in group}
        assert (
            data
            == {
                "MNIST": {"mnist"},
                "CIFAR-100": {"cifar100"},
                "ImageNet": {"imagenet"},
                "Scenes": {"mit67", "sun397", "places205"},
                "Your own images": {"folder"},
            }[heading.partition(":")[0]]
        )


def test_a_line_tells_the_posters_number_how_long_it_takes_and_what_the_recipe_is():
    lines = {name: rest for group in groups().values() for name, rest in group.items()}
    assert lines["mnist_nin"] == "0.28 21 min CLDL: NIN with three classifiers"
    assert lines["mnist_nin_shared"] == "21 min CLDL, half of each loss unweighted: not the poster's loss"
    assert lines["folder"] == "CLDL on class folders, --data PATH; half of each loss unweighted"
    assert lines["mit67_vgg16_features"].endswith("min Features of Places205-VGG16 with a linear classifier")


def test_it_says_where_to_begin_and_that_recipe_is_the_first():
    assert next(list_recipes()).startswith("Begin with mnist_nin: python -m cldl.train mnist_nin, or ")
    assert next(iter(next(iter(groups().values())))) == "mnist_nin"


def test_it_fits_a_terminal_of_80_columns():
    assert max(map(len, list_recipes())) <= 80


@pytest.mark.parametrize("name", ["mnist_nin", "mnist_nin_softmax", "mnist_dsn", "mnist_maxout"])
def test_the_estimates_are_within_a_factor_of_two_of_what_was_measured(name):
    one_thread = {"mnist_nin": 50.7, "mnist_nin_softmax": 83, "mnist_dsn": 65, "mnist_maxout": 35.5}  # docs/lab-notes
    assert 0.5 < estimate.seconds(find(name)) / 60 / (one_thread[name] / 2) < 2


def test_an_estimate_grows_with_the_epochs_and_features_are_computed_once():
    short, long = (estimate.seconds(find("mnist_nin").changed(epochs=epochs)) for epochs in (1, 12))
    assert long == pytest.approx(12 * short)
    features = find("mit67_vgg16_features")
    assert estimate.seconds(features) == estimate.seconds(features.changed(epochs=1))
    assert estimate.seconds(find("folder")) is None
