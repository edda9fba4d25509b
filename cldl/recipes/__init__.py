"""The recipes that there are, and the models that each can be given, by name: those of the modules of `cldl.recipes.families`."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from cldl.nearest import nearest
from cldl.recipes import families
from cldl.recipes.recipe import Recipe
from cldl.recipes.spec import PRESETS
from engine.errors import UserError

_MODULES = [import_module(f"{families.__name__}.{module.name}") for module in pkgutil.iter_modules(families.__path__)]
FAMILIES: dict[str, tuple[Recipe, ...]] = {module.__name__.rpartition(".")[2]: module.RECIPES for module in _MODULES}
PRESETS["model"] = {name: spec for module in _MODULES for name, spec in module.MODELS.items()}
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipes in FAMILIES.values() for recipe in recipes}


def find(name: str) -> Recipe:
    """The recipe of this name; raises UserError with the names that there are."""
    if name not in RECIPES:
        others = f"; choose one of {', '.join(RECIPES)}."
        raise UserError(f"there is no recipe {name!r}{nearest(name, RECIPES) or others}")
    return RECIPES[name]
