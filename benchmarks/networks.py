"""What is timed: the recipes of the rows, each with the batch that the networks' authors used, at a constant rate."""

from __future__ import annotations

from dataclasses import replace

from cldl.recipes import find
from cldl.recipes.recipe import Recipe

BATCH = 128  # cuda-convnet's
RECIPES = {name: find(name) for name in ("mnist_nin", "cifar100_nin")}


def recipe(name: str, batch: int = BATCH, **values) -> Recipe:
    """The recipe of this name, with what would make one step unlike the next left out; pixels are only scaled, on both sides."""
    timed = replace(RECIPES[name], preprocessing="scale", augment=False, warmup=0.0, schedule="constant")
    return replace(timed, batch_size=batch, **values)
