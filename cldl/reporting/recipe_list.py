"""The recipes as `python -m cldl.train --list` shows them: under the poster's tables, a line each."""

from __future__ import annotations

from collections.abc import Iterator

from cldl.recipes import RECIPES
from cldl.recipes.recipe import Recipe
from cldl.reporting import poster

GROUPS = {  # a heading, and the data sets below it
    "MNIST: the poster's error in %": ("MNIST",),
    "CIFAR-100: error in %": ("CIFAR-100", "CIFAR-100, augmented"),
    "ImageNet: error in %, of the five best classes": ("ImageNet",),
    "Scenes: accuracy in %, on Places205 of the five best classes": ("MIT67", "SUN397", "Places205"),
    "Your own images": ("a folder of your own",),
}


def list_recipes() -> Iterator[str]:
    """The lines: name, the poster's number where it has one, and what it is."""
    by_data: dict[str, list[Recipe]] = {}
    for recipe in RECIPES.values():
        by_data.setdefault(poster.dataset(recipe), []).append(recipe)
    known = [data for group in GROUPS.values() for data in group]
    groups = GROUPS | {data: (data,) for data in by_data if data not in known}
    for heading, names in groups.items():
        recipes = [recipe for data in names for recipe in by_data.get(data, [])]
        if recipes:
            yield heading
        width = max((len(recipe.name) for recipe in recipes), default=0)
        published = [poster.number(recipe) for recipe in recipes]
        numbers = ["" if number is None else f"{number:.2f}" for number in published]
        space = max(map(len, numbers), default=0)
        for recipe, number in zip(recipes, numbers, strict=True):
            yield "  ".join(["", f"{recipe.name:{width}}", *([f"{number:>{space}}"] if space else []), recipe.summary])
