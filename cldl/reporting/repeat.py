"""The command that repeats a run, optionally with other values."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from cldl.recipes import RECIPES, leaves
from cldl.recipes.recipe import COMMAND_LINE, Recipe
from cldl.recipes.spec import PRESETS
from cldl.training.run import Run
from engine.device import PRECISIONS

LIMITS = ("limit_train", "limit_test", "held_out")
TAKEN = ("weights",)  # leaves whose short name is another option of `cldl.train`


def changes(recipe: Recipe) -> dict[str, str]:
    """What the command line changed of the recipe, as it takes it: values by the shortest name of their option."""
    values: dict[str, Any] = {section: spec.kind for section, spec in recipe.specs.items()} | recipe.leaves
    counts = Counter([*TAKEN, *(name.rpartition(".")[2] for name in recipe.leaves)])
    given = [name for name, source in recipe.sources.items() if source == COMMAND_LINE]
    if "model" in given and recipe.model.definition in PRESETS["model"]:  # --model takes a definition's name, too
        values["model"] = recipe.model.definition
        given = [name for name in given if name != "model.definition"]
    short = {name: leaf if counts[leaf := name.rpartition(".")[2]] < 2 else name for name in given}
    return {short[name].replace("_", "-"): leaves.show(values[name]) for name in given}


def arguments(run: Run, name: str = "", **options: Any) -> list[str]:
    """The arguments of `cldl.train` that make the run again; none where its recipe is not one of the project's.

    name    -- of another recipe, which has values of its own
    options -- in the place of the run's own: epochs=24; None leaves one out
    """
    config = run.config
    if (name or run.recipe.name) not in RECIPES:
        return []
    words: dict[str, Any] = {} if name else dict(changes(run.recipe))
    words |= {limit.replace("_", "-"): config[limit] for limit in LIMITS if config.get(limit) is not None}
    words |= {"seed": config["seed"], "threads": config.get("threads")}
    if config.get("device", "cpu") != "cpu":
        words["device"] = config["device"]
    if config.get("precision", PRECISIONS[0]) != PRECISIONS[0]:
        words["precision"] = config["precision"]
    if "weights" in config:
        words["weights"] = config["weights"]["file"]
    if run.recipe.data.kind == "photos":
        words["data"] = config.get("data", "PATH")
    words |= {key.replace("_", "-"): value for key, value in options.items()}
    pairs = [(f"--{key}", str(value)) for key, value in words.items() if value is not None]
    return [name or run.recipe.name, *(word for pair in pairs for word in pair)]


def line(words: Sequence[str]) -> str:
    """Arguments of `cldl.train` as a line of a terminal."""
    return shlex.join(["python", "-m", "cldl.train", *words])
