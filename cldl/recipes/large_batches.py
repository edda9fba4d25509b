"""A larger batch than the published one: how the learning rate follows it.

Linear scaling: where the batch is k times as large, there are k times fewer updates, and each takes k times the learning rate. At
first the weights change too fast for that, so the rate is reached in a warm-up of some epochs.

Source: Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, sections 2.1 and 2.2, for batches up to
8,192 images; there the warm-up begins at the published rate, here at 0.
"""

from __future__ import annotations

from collections.abc import Collection

from cldl.recipes.recipe import Recipe
from cldl.recipes.spec import cited
from engine.errors import UserError

RULES = ("linear",)
WARMUP = 5.0  # epochs
SOURCE = "Goyal et al., 2017"


def scale_linearly(recipe: Recipe, published: Recipe, given: Collection[str]) -> Recipe:
    """The recipe with a learning rate that is in proportion to its batch, as the published one's is to its own.

    given -- the leaves that were given, by dotted name: a rate among them is not changed, nor is a warm-up

    Raises:    UserError where the rule does not hold: for another optimiser than sgd, a rate that was given, an equal batch.
    """
    new, old = recipe.schedule, published.schedule
    if recipe.optimiser.kind != "sgd":
        raise UserError(
            f"linear scaling is published for sgd, not for {recipe.optimiser.kind}: give --learning-rate itself."
        )
    if "schedule.learning_rate" in given:
        raise UserError("--learning-rate and --batch-scaling both say what the rate is: give one of them.")
    if new.batch_size == old.batch_size:
        raise UserError(
            f"the batch of {new.batch_size} images is the published one: --batch-scaling needs another --batch-size."
        )
    source = f"linear scaling of {old.learning_rate:g} at a batch of {old.batch_size} ({SOURCE})"
    values = {"learning_rate": cited(old.learning_rate * new.batch_size / old.batch_size, source)}
    warmup = min(WARMUP, float(new.epochs))
    if "schedule.warmup" not in given and new.batch_size > old.batch_size and new.warmup < warmup:
        values["warmup"] = cited(warmup, f"linear scaling ({SOURCE})")
    return recipe.changed(**values)


def scaling_line(recipe: Recipe, published: Recipe) -> str:
    """What the rule has done, in a sentence."""
    new, old = recipe.schedule, published.schedule
    return (
        f"linear scaling: the batch is {new.batch_size / old.batch_size:g} times the published {old.batch_size} images, so the "
        f"learning rate is {new.learning_rate:g}, not {old.learning_rate:g}, after a warm-up of {new.warmup:g} epochs"
    )
