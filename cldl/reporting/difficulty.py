"""Who answers what, by difficulty: the figure in which the division of labour that CLDL is meant for shows, or does not."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from cldl.reporting.figures import COLOURS
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
    order = np.argsort(difficulty(evaluation), kind="stable")
    is_right = evaluation.predictions == evaluation.labels
    M = len(evaluation.logits)
    right, wrong = np.zeros((M, GROUPS)), np.zeros(GROUPS)
    for i, group in enumerate(np.array_split(order, GROUPS)):
        if len(group):
            deciding = evaluation.deciding_exits[group]
            right[:, i] = [100 * np.mean(is_right[group] & (deciding == m)) for m in range(M)]
            wrong[i] = 100 * np.mean(~is_right[group])
    return right, wrong


def shares_by_difficulty(evaluation: Evaluation) -> Figure:
    """`answers_by_difficulty` as bars: a colour for each classifier's right answers, black for wrong ones."""
    right, wrong = answers_by_difficulty(evaluation)
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    base = np.zeros(GROUPS)
    names = [f"{name}, right" for name in classifier_names(len(right))]
    for m, (name, part) in enumerate(zip(names, right, strict=True)):
        axes.bar(range(GROUPS), part, bottom=base, color=COLOURS[m % len(COLOURS)], label=name)
        base = base + part
    axes.bar(range(GROUPS), wrong, bottom=base, color="black", label="wrong")
    axes.set_xticks(range(GROUPS), ["easiest tenth", *[""] * (GROUPS - 2), "hardest tenth"])
    axes.set_ylim(0, 100)
    axes.set_ylabel("share of the images in %")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure
