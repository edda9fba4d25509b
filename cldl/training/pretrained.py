"""A run that begins with the weights in a file: `python -m cldl.train RECIPE --weights FILE`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cldl.interop import WeightsReport, load_weights
from cldl.interop.files import check_kind
from cldl.recipes.recipe import Recipe
from cldl.training.trainer import Trainer
from data.fetch.download import Say
from engine.errors import UserError


def check_file(path: Path) -> None:
    """Raise UserError where this is no file of weights, before anything is done that takes long."""
    if re.fullmatch(r"[\d.,e-]+", str(path)) and not path.exists():
        raise UserError(
            f"--weights is a file of trained weights, and there is none called {path}: the weights of the classifiers' losses "
            "are --loss.weights."
        )
    check_kind(path)


def begin_with(path: Path, trainer: Trainer, recipe: Recipe, say: Say, *, partly: bool = False) -> dict[str, Any]:
    """Give the network of a new run the weights in a file, and say what was taken; what config.json keeps of it.

    partly -- whether layers that do not fit are drawn anew; otherwise they are refused
    """
    report = load_weights(trainer.network, path, strict=not partly)
    say(f"weights: {report.summary()}")
    for line in (report.note, preprocessing_to_set(report, recipe)):
        if line:
            say(f"weights: {line}")
    file = str(path) if str(path).isprintable() else ascii(str(path))
    return {"weights": {"file": file, "sha256": report.sha256, "drawn_anew": list(report.drawn)}}


def preprocessing_to_set(report: WeightsReport, recipe: Recipe) -> str:
    """A sentence where the weights go with another preprocessing than the recipe's, or nothing."""
    theirs, own = report.preprocessing, recipe.data.preprocessing
    if theirs is None or theirs == own or recipe.data.kind != "photos":
        return ""
    return f"they were trained on images that were preprocessed by {theirs}, not by {own}: --preprocessing {theirs}"
