"""What is timed: the recipes of the rows, each with the batch that the networks' authors used, at a constant rate."""

from __future__ import annotations

from cldl.recipes import find
from cldl.recipes.recipe import Recipe

BATCH = 128  # cuda-convnet's
RECIPES = {name: find(name) for name in ("mnist_nin", "cifar100_nin")}


def recipe(name: str, batch: int = BATCH, **values) -> Recipe:
    """The recipe of this name at a constant rate, its pixels only scaled, so that all steps of both engines cost the same."""
    timed = RECIPES[name].changed(preprocessing="scale", augment=False, schedule="constant", warmup=0.0)
    return timed.changed(batch_size=batch, **values)
