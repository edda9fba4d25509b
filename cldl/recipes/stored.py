"""A recipe in JSON, as a run's config.json holds it, and back.

    {"name": ..., "summary": ..., "data": {"type": "images", "dataset": ...}, "model": {"type": "nin", ...}, "loss": ..., ...}

It is read strictly: every name must be known, every value there and in its range.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cldl.recipes.recipe import SECTIONS, Recipe
from cldl.recipes.spec import Spec, cited, find_kind, leaf_types
from engine.errors import UserError


def to_json(recipe: Recipe) -> dict[str, Any]:
    """The recipe's name, summary and values, section by section."""
    sections = {section: {"type": spec.kind, **spec.values} for section, spec in recipe.specs.items()}
    return {"name": recipe.name, "summary": recipe.summary, **sections}


def from_json(stored: Any, sources: Any) -> Recipe:
    """The recipe that `to_json` and `Recipe.sources` were made of; raises UserError where they are no recipe's."""
    _check_names("the recipe", stored, {"name", "summary", *SECTIONS})
    if not (isinstance(sources, dict) and all(isinstance(text, str) for pair in sources.items() for text in pair)):
        raise UserError("the recipe's sources are not texts by name: restore them.")
    for name in ("name", "summary"):
        if not isinstance(stored[name], str):
            raise UserError(f"the recipe's {name} is {stored[name]!r}; give a text.")
    specs: dict[str, Any] = {s: cited(_spec(s, stored[s], sources), sources.get(s, "")) for s in SECTIONS}
    return Recipe(name=stored["name"], summary=stored["summary"], **specs)


def _spec(section: str, stored: Any, sources: Mapping[str, str]) -> Spec:
    kind = stored.get("type") if isinstance(stored, dict) else None
    spec = find_kind(section, str(kind))
    _check_names(f"the recipe's {section}", stored, {"type", *leaf_types(spec)})
    return spec(**{name: cited(stored[name], sources.get(f"{section}.{name}", "")) for name in leaf_types(spec)})


def _check_names(what: str, stored: Any, names: set[str]) -> None:
    """Raise UserError unless it is an object with exactly these names."""
    found = set(stored) if isinstance(stored, dict) else set()
    if missing := sorted(names - found):
        raise UserError(f"{what} has no {' and no '.join(missing)}: restore it.")
    if unknown := sorted(found - names):
        raise UserError(f"{what} has an unknown {' and '.join(unknown)}: take it out.")
