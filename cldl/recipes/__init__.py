"""The recipes that there are; every value names its source: a paper, a published definition, or that it is inferred."""

from __future__ import annotations

from cldl.recipes import dsn, maxout, nin
from cldl.recipes.recipe import Recipe
from engine.errors import UserError

RECIPES = {recipe.name: recipe for family in (nin, dsn, maxout) for recipe in family.RECIPES}


def find(name: str) -> Recipe:
    """The recipe of this name; raises UserError with the names that there are."""
    if name not in RECIPES:
        raise UserError(
            f"there is no recipe {name!r}; the recipes are {', '.join(RECIPES)}: choose one (--list tells more)."
        )
    return RECIPES[name]
