"""The recipes as `python -m cldl.train --list` shows them: under the poster's tables, in 80 columns, and where to begin."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from cldl.recipes import RECIPES
from cldl.recipes.recipe import Recipe
from cldl.reporting import poster
from cldl.reporting.estimate import about, seconds

WIDTH = 80
BEGIN = "mnist_nin"
FIRST = f"""Begin with {BEGIN}: python -m cldl.train {BEGIN}, or a trial of it in a minute or two: --epochs 1
--limit-train 6000. Behind each name: the poster's number, and about how long it takes on two cores, from its multiply-adds
and the speed of {BEGIN}; a GPU has not been timed."""
GROUPS = {  # a heading, and the data sets below it
    "MNIST: the poster's error in %": ("MNIST",),
    "CIFAR-100: error in %": ("CIFAR-100", "CIFAR-100, augmented"),
    "ImageNet: error in %, of the five best classes": ("ImageNet",),
    "Scenes: accuracy in %, on Places205 of the five best classes": ("MIT67", "SUN397", "Places205"),
    "Your own images": ("a folder of your own",),
}


def list_recipes() -> Iterator[str]:
    """The lines: name, the poster's number if there is one, the estimated time, and a description."""
    yield from wrap(FIRST, WIDTH, break_on_hyphens=False)
    by_data: dict[str, list[Recipe]] = {}
    for recipe in RECIPES.values():
        by_data.setdefault(poster.dataset(recipe), []).append(recipe)
    known = [data for group in GROUPS.values() for data in group]
    groups = GROUPS | {data: (data,) for data in by_data if data not in known}
    for heading, names in groups.items():
        recipes = [recipe for data in names for recipe in by_data.get(data, [])]
        if recipes:
            yield ""
            yield heading
            yield from _rows(sorted(recipes, key=lambda recipe: recipe.name != BEGIN))


def _rows(recipes: list[Recipe]) -> Iterator[str]:
    """A line a recipe, and more where what it is does not fit into one."""
    published = [poster.number(recipe) for recipe in recipes]
    columns = (
        [recipe.name for recipe in recipes],
        ["" if number is None else f"{number:.2f}" for number in published],
        [_time(recipe) for recipe in recipes],
    )
    name, number, time = (max(map(len, column)) for column in columns)
    for recipe, *cells in zip(recipes, *columns, strict=True):
        numbers = [f"{cell:>{width}}" for cell, width in zip(cells[1:], (number, time), strict=True) if width]
        begin = "  ".join(["", f"{cells[0]:{name}}", *numbers, ""])
        yield from wrap(_summary(recipe), WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin))


def _time(recipe: Recipe) -> str:
    """About how long it takes; empty where that depends on the images."""
    taken = seconds(recipe)
    return "" if taken is None else about(taken)


def _summary(recipe: Recipe) -> str:
    """What the recipe is, without the data set that its heading names."""
    data = poster.NAMES.get(recipe.data.dataset, recipe.data.dataset)
    return recipe.summary.replace(f", on {data}", "").replace(f" on {data}", "")
