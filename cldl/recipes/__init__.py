"""The recipes that there are: those of every module of `cldl.recipes.families`, by name."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from cldl.recipes import families
from cldl.recipes.recipe import Recipe, nearest
from engine.errors import UserError

FAMILIES: dict[str, tuple[Recipe, ...]] = {
    module.name: import_module(f"{families.__name__}.{module.name}").RECIPES
    for module in pkgutil.iter_modules(families.__path__)
}
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipes in FAMILIES.values() for recipe in recipes}


def find(name: str) -> Recipe:
    """The recipe of this name; raises UserError with the names that there are."""
    if name not in RECIPES:
        others = f"; choose one of {', '.join(RECIPES)}."
        raise UserError(f"there is no recipe {name!r}{nearest(name, RECIPES) or others}")
    return RECIPES[name]
