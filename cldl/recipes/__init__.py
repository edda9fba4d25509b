"""The recipes that there are; a family of networks, its spec and its recipes, is one file, and its name in FAMILIES."""

from __future__ import annotations

from cldl.recipes import dsn, maxout, nin
from cldl.recipes.recipe import Recipe, nearest
from engine.errors import UserError

FAMILIES = (nin, dsn, maxout)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for family in FAMILIES for recipe in family.RECIPES}


def find(name: str) -> Recipe:
    """The recipe of this name; raises UserError with the names that there are."""
    if name not in RECIPES:
        others = f"; choose one of {', '.join(RECIPES)}."
        raise UserError(f"there is no recipe {name!r}{nearest(name, RECIPES) or others}")
    return RECIPES[name]
