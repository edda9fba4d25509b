"""Who answers what, by difficulty, and what T leaves of each loss: where the division of labour shows that CLDL is meant for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from cldl.reporting.figures import COLOURS, MARKERS
from cldl.reporting.poster import classifier_names
from cldl.training.evaluation import Evaluation
from engine.typing import Array

GROUPS = 10  # of images, of equal size


def difficulty(evaluation: Evaluation) -> Array:
    """How hard each image is, (N,): 1 less the probability of the right class, the mean over the classifiers."""
    images = np.arange(len(evaluation.labels))
    return 1 - np.mean([P[images, evaluation.labels] for P in evaluation.probabilities], axis=0)


def answers_by_difficulty(evaluation: Evaluation) -> tuple[Array, Array]:
    """In % of each of GROUPS groups from the easiest images to the hardest: right answers by who decided, and wrong ones.

    right (M, GROUPS), wrong (GROUPS,). Where there are fewer images than groups, some groups are empty, and 0.
    """
    is_right = evaluation.predictions == evaluation.labels
    M = len(evaluation.logits)
    right, wrong = np.zeros((M, GROUPS)), np.zeros(GROUPS)
    for i, group in _groups(evaluation):
        deciding = evaluation.deciding_exits[group]
        right[:, i] = [100 * np.mean(is_right[group] & (deciding == m)) for m in range(M)]
        wrong[i] = 100 * np.mean(~is_right[group])
    return right, wrong


def companions_by_difficulty(evaluation: Evaluation) -> Array:
    """The mean of T^(m) in each of the same groups, (M, GROUPS): what is left of each classifier's loss; NaN for an empty one."""
    T = evaluation.loss.companions  # (M, N)
    left = np.full((len(T), GROUPS), np.nan)
    for i, group in _groups(evaluation):
        left[:, i] = T[:, group].mean(axis=1)
    return left


def shares_by_difficulty(evaluation: Evaluation) -> Figure:
    """`answers_by_difficulty` as bars, a colour for each classifier, and below it `companions_by_difficulty` as lines."""
    right, wrong = answers_by_difficulty(evaluation)
    figure = Figure(figsize=(7, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    base = np.zeros(GROUPS)
    names = classifier_names(len(right))
    for m, (name, part, T) in enumerate(zip(names, right, companions_by_difficulty(evaluation), strict=True)):
        colour = COLOURS[m % len(COLOURS)]
        above.bar(range(GROUPS), part, bottom=base, color=colour, label=f"{name}, right")
        below.plot(range(GROUPS), T, color=colour, marker=MARKERS[m % len(MARKERS)], markersize=4)
        base = base + part
    above.bar(range(GROUPS), wrong, bottom=base, color="black", label="wrong")
    above.set_ylim(0, 100)
    above.set_ylabel("share of the images in %")
    below.set_ylim(0, 1.02)
    below.set_ylabel("mean T")
    below.grid(axis="y", color="0.9")
    below.set_xticks(range(GROUPS), ["easiest tenth", *[""] * (GROUPS - 2), "hardest tenth"])
    figure.legend(*above.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def _groups(evaluation: Evaluation) -> Iterator[tuple[int, Array]]:
    """The number of each group that has images, from the easiest to the hardest, and their indices."""
    order = np.argsort(difficulty(evaluation), kind="stable")
    for i, group in enumerate(np.array_split(order, GROUPS)):
        if len(group):
            yield i, group
