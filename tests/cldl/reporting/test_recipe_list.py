"""python -m cldl.train --list: the recipes under the poster's tables."""

from cldl.recipes import RECIPES
from cldl.reporting.recipe_list import list_recipes


def groups():
    """{heading: {recipe: the rest of its line}}."""
    found, heading = {}, ""
    for line in list_recipes():
        if line.startswith("  "):
            name, _, rest = line.strip().partition(" ")
            found[heading][name] = rest.strip()
        else:
            heading = line
            found[heading] = {}
    return found


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


def test_a_line_tells_the_posters_number_and_what_the_recipe_is():
    lines = list(list_recipes())
    assert f"  {'mnist_nin':22}  0.28  CLDL on MNIST: NIN with three classifiers" in lines
    assert (
        f"  {'mnist_nin_shared':22}        CLDL on MNIST, half of each loss unweighted: not the poster's loss" in lines
    )
    assert "  folder  CLDL on class folders, --data PATH: NIN with three classifiers" in lines


def test_a_line_fits_a_terminal_of_100_columns():
    assert max(map(len, list_recipes())) <= 100
