"""About how long a recipe takes on two cores, from what it computes and a speed that was measured.

    seconds = multiply-adds of an image's forward pass * training images * epochs / SPEED

SPEED is that of `make mnist`: 50,817,312 * 60,000 * 12 in 21 minutes, its tests included, on two cores of a shared AMD EPYC
(docs/results.md). A step of CIFAR-100's network has the same speed within a few percent (docs/speed.md); of deep networks, whose
convolutions are others, the estimate is the coarser.
"""

from __future__ import annotations

from cldl.recipes.recipe import Recipe

SPEED = 2.9e10  # multiply-adds of the forward pass a second, in training
IMAGES = {  # to train on
    "mnist": 60_000,
    "cifar100": 50_000,
    "imagenet": 1_281_167,
    "mit67": 67 * 80,
    "sun397": 397 * 50,
    "places205": 2_448_873,
}
FORWARD = 1 / 3  # of the time of a training step: there is no backward pass
UNITS = (("years", 365 * 86400), ("weeks", 7 * 86400), ("days", 86400), ("h", 3600), ("min", 60))
FEW = 1.5  # of a unit: shorter times are given in the next smaller one


def seconds(recipe: Recipe) -> float | None:
    """Of the whole recipe; None where the number of images is not known."""
    images = IMAGES.get(recipe.data.dataset)
    if images is None:
        return None
    once = images * recipe.build_network().multiply_adds() / SPEED
    if recipe.model.values.get("body_lr_mult") == 0 and not recipe.data.augment:  # features are computed once
        return FORWARD * once
    return once * recipe.schedule.epochs


def about(seconds: float) -> str:
    """An estimated time, rounded, in one unit.

    >>> about(1262), about(23000), about(90000), about(400000), about(9e6), about(4e8)
    ('21 min', '6 h', '25 h', '5 days', '15 weeks', '13 years')
    """
    unit, length = next(((u, n) for u, n in UNITS if seconds >= FEW * n), UNITS[-1])
    return f"{max(1, round(seconds / length))} {unit}"
