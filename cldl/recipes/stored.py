"""A recipe in JSON, as a run's config.json holds it, and back.

    {"name": ..., "summary": ..., "data": {"type": "images", "dataset": ...}, "model": {"type": "nin", ...}, "loss": ..., ...}

It is read strictly: every name must be known, every value there and in its range. A value that has a default may be missing, so
that runs of versions that did not know it yet can be resumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cldl.recipes.recipe import SECTIONS, Recipe
from cldl.recipes.spec import Spec, cited, defaults, find_kind, leaf_types
from engine.errors import UserError
from engine.io.fields import Check, anything, by_name, fields, text


def to_json(recipe: Recipe) -> dict[str, Any]:
    """The recipe's name, summary and values, section by section."""
    sections = {section: {"type": spec.kind, **spec.values} for section, spec in recipe.specs.items()}
    return {"name": recipe.name, "summary": recipe.summary, **sections}


def from_json(stored: Any, sources: Any) -> Recipe:
    """The recipe that `to_json` and `Recipe.sources` were made of; raises UserError where they are no recipe's."""
    _check(fields({"name": text, "summary": text, **dict.fromkeys(SECTIONS, anything)}), stored, "")
    _check(by_name(text), sources, "sources")
    specs: dict[str, Any] = {s: cited(_spec(s, stored[s], sources), sources.get(s, "")) for s in SECTIONS}
    return Recipe(name=stored["name"], summary=stored["summary"], **specs)


def _spec(section: str, stored: Any, sources: Mapping[str, str]) -> Spec:
    kind = stored.get("type") if isinstance(stored, dict) else None
    spec = find_kind(section, str(kind))
    names, optional = leaf_types(spec), defaults(spec)
    required = dict.fromkeys((name for name in ("type", *names) if name not in optional), anything)
    _check(fields(required, dict.fromkeys(optional, anything)), stored, section)
    values = {name: cited(stored[name], sources.get(f"{section}.{name}", "")) for name in names if name in stored}
    return spec(**values)


def _check(check: Check, value: Any, name: str) -> None:
    """Raise UserError, a whole sentence, where the check does not take the value."""
    try:
        check(value, name)
    except UserError as error:
        raise UserError(f"the recipe {error}: restore it, or use the version that wrote it.") from None
