"""A larger batch than the published one: two published rules by which a recipe follows it.

"linear"  Where the batch is k times as large, there are k times fewer updates, and each takes k times the learning rate. At first
          the weights change too fast for that, so the rate is reached in a warm-up of some epochs.

          Source: Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, sections 2.1 and 2.2, for
          batches up to 8,192 images; there the warm-up begins at the published rate, here at 0.

"lars"    Each weight has a rate that follows its length (see `engine.optim.lars`), and the rate of all falls as a square. It is
          published for AlexNet, at three sizes of the batch.

          Source: You, Gitman and Ginsburg, "Large batch training of convolutional networks", 2017; the values are those of the
          authors' solvers.
"""

from __future__ import annotations

from collections.abc import Collection

from cldl.recipes.recipe import Recipe
from cldl.recipes.spec import cited
from engine.errors import UserError

RULES = ("linear", "lars")
WARMUP = 5.0  # epochs
GOYAL = "Goyal et al., 2017"
LARS_RATES = {1024: 2.0, 8192: 10.0, 16384: 16.0}  # of AlexNet, by the size of the batch
SOLVER = "borisgin/nvcaffe, models/bvlc_alexnet/solver_8K.prototxt and solver_16K.prototxt"


def follow_batch(rule: str, recipe: Recipe, published: Recipe, given: Collection[str]) -> Recipe:
    """The recipe as the rule would have it at its batch, where the published one is at another.

    given -- the leaves that were given, by dotted name: what is among them is not changed

    Raises:    UserError where the rule does not hold: for another optimiser than sgd, a rate that was given, an equal batch; lars
               for another network than AlexNet, or a batch for which no rate is published.
    """
    if recipe.optimiser.kind != "sgd":
        raise UserError(
            f"{rule} scaling is published for sgd, not for {recipe.optimiser.kind}: give --learning-rate itself."
        )
    if "schedule.learning_rate" in given:
        raise UserError("--learning-rate and --batch-scaling both say what the rate is: give one of them.")
    if recipe.schedule.batch_size == published.schedule.batch_size:
        raise UserError(
            f"the batch of {recipe.schedule.batch_size} images is the published one: --batch-scaling needs another --batch-size."
        )
    return _use_lars(recipe, given) if rule == "lars" else _scale_linearly(recipe, published, given)


def _scale_linearly(recipe: Recipe, published: Recipe, given: Collection[str]) -> Recipe:
    new, old = recipe.schedule, published.schedule
    source = f"linear scaling of {old.learning_rate:g} at a batch of {old.batch_size} ({GOYAL})"
    values = {"learning_rate": cited(old.learning_rate * new.batch_size / old.batch_size, source)}
    warmup = min(WARMUP, float(new.epochs))
    if "schedule.warmup" not in given and new.batch_size > old.batch_size and new.warmup < warmup:
        values["warmup"] = cited(warmup, f"linear scaling ({GOYAL})")
    return recipe.changed(**values)


def _use_lars(recipe: Recipe, given: Collection[str]) -> Recipe:
    batch = recipe.schedule.batch_size
    if recipe.model.kind != "alexnet" or batch not in LARS_RATES:
        sizes = ", ".join(f"{size:,}" for size in LARS_RATES)
        raise UserError(
            f"LARS is published for AlexNet with batches of {sizes} images, not for {recipe.model.kind} with {batch:,}: give "
            "--optimiser lars and a --learning-rate of your own."
        )
    lars = {
        "optimiser.momentum": 0.9,
        "optimiser.trust": 0.001,
        "optimiser.weight_decay": 5e-4,
        "schedule.power": 2.0,
        "schedule.learning_rate": LARS_RATES[batch],
    }
    values = {leaf: cited(value, SOLVER) for leaf, value in lars.items() if leaf not in given}
    return recipe.changed(optimiser=cited("lars", SOLVER), schedule=cited("polynomial", SOLVER), **values)


def scaling_line(rule: str, recipe: Recipe, published: Recipe) -> str:
    """What the rule has done, in a sentence."""
    new, old = recipe.schedule, published.schedule
    k = new.batch_size / old.batch_size
    change = f"the batch is {k:g} times the published {old.batch_size} images, so the learning rate is"
    if rule == "lars":
        return f"LARS: {change} {new.learning_rate:g} times each weight's own, which follows its length, and falls as a square"
    return f"linear scaling: {change} {new.learning_rate:g}, not {old.learning_rate:g}, after a warm-up of {new.warmup:g} epochs"
