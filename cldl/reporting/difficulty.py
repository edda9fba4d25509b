"""Which classifier decides which images, by difficulty, and what T leaves of each loss: CLDL's intended division of labour."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from cldl import joint
from cldl.reporting.figures import PERCENT
from cldl.reporting.poster import classifier_names
from cldl.reporting.style import BAR, GRID, MARKERS, WIDTH, colour, legend, new_figure, stack
from cldl.reporting.svg import hover
from cldl.training.evaluation import Evaluation
from engine.typing import Array

GROUPS = 10  # of images, of equal size
SIZE = (WIDTH, 5.6)  # in inches
TENTHS = [f"tenth {i + 1} from the easiest" for i in range(GROUPS)]
RATIO = (3, 2)  # of the bars above to the lines below
SMALL = {"fontsize": 9}
MARK = {"markersize": 4}


def difficulty(evaluation: Evaluation) -> Array:
    """How hard each image is, (N,): 1 less the probability of the right class, the mean over the classifiers."""
    return 1 - evaluation.on_target.mean(axis=0)


def answers_by_difficulty(evaluation: Evaluation) -> tuple[Array, Array]:
    """For GROUPS groups of images, easiest to hardest, in %: right answers by deciding classifier, and wrong answers.

    right (M, GROUPS), wrong (GROUPS,). Where there are fewer images than groups, some groups are empty, and 0.
    """
    is_right = evaluation.predictions == evaluation.labels
    M = evaluation.classifiers
    right, wrong = np.zeros((M, GROUPS)), np.zeros(GROUPS)
    for i, group in _groups(evaluation):
        deciding = evaluation.deciding_exits[group]
        right[:, i] = [100 * np.mean(is_right[group] & (deciding == m)) for m in range(M)]
        wrong[i] = 100 * np.mean(~is_right[group])
    return right, wrong


def companions_by_difficulty(evaluation: Evaluation) -> Array:
    """The mean of T^(m) in each of the same groups, (M, GROUPS): what is left of each classifier's loss; NaN for an empty one."""
    T = evaluation.T  # (M, N)
    left = np.full((len(T), GROUPS), np.nan)
    for i, group in _groups(evaluation):
        left[:, i] = T[:, group].mean(axis=1)
    return left


def shares_by_difficulty(evaluation: Evaluation) -> Figure:
    """`answers_by_difficulty` as bars, a colour for each classifier, and below it `companions_by_difficulty` as lines."""
    right, wrong = answers_by_difficulty(evaluation)
    figure = new_figure(SIZE)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=RATIO)
    names = classifier_names(len(right))
    stack(above.bar, "bottom", range(GROUPS), right, [f"{name}, right" for name in names], TENTHS)
    bars = above.bar(range(GROUPS), wrong, bottom=right.sum(axis=0), color="black", label="wrong", **BAR)
    for bar, tenth, share in zip(bars, TENTHS, wrong, strict=True):
        hover(bar, [f"{tenth}: wrong, {share:.1f} %"])
    above.set(ylim=PERCENT, ylabel="share of the images in %")
    for m, T in enumerate(companions_by_difficulty(evaluation)):
        (line,) = below.plot(range(GROUPS), T, color=colour(m), marker=MARKERS[m % len(MARKERS)], **MARK)
        hover(line, [f"{tenth}: T of {names[m]}, {t:.3f}" for tenth, t in zip(TENTHS, T, strict=True)])
    below.set(ylim=(0, 1.02), ylabel="mean T")
    below.grid(axis="y", **GRID)
    below.set_xticks(range(GROUPS), ["easiest tenth", *[""] * (GROUPS - 2), "hardest tenth"])
    legend(figure, above, **SMALL)
    return figure


def in_turn(evaluation: Evaluation) -> str:
    """A sentence: what each classifier would answer if they ran in turn (`cldl.joint.in_turn`), and how well."""
    answering = joint.first_sure(evaluation.confidences)
    is_wrong = evaluation.answers[answering, np.arange(len(answering))] != evaluation.labels
    parts = []
    for m in range(evaluation.classifiers):
        own = answering == m
        parts.append(f"classifier {m + 1} {100 * own.mean():.1f} % ({(is_wrong & own).sum():,} wrong)")
    return (
        f"Asked in turn from the bottom, each answering if it gives a class {100 * joint.SURE:g} % or more, they would answer: "
        f"{', '.join(parts)}; {100 * is_wrong.mean():.2f} % wrong in all."
    )


def decided_at_the_ends(evaluation: Evaluation) -> tuple[dict[str, float], dict[str, float]]:
    """The share in % of the easiest and of the hardest tenth of the images that each classifier decides, by "1" to "M"."""
    groups = [group for _, group in _groups(evaluation)]
    M = evaluation.classifiers
    easiest, hardest = (
        {str(m + 1): float(100 * np.mean(evaluation.deciding_exits[group] == m)) for m in range(M)}
        for group in (groups[0], groups[-1])
    )
    return easiest, hardest


def _groups(evaluation: Evaluation) -> Iterator[tuple[int, Array]]:
    """The number of each group that has images, from the easiest to the hardest, and their indices."""
    order = np.argsort(difficulty(evaluation), kind="stable")
    for i, group in enumerate(np.array_split(order, GROUPS)):
        if len(group):
            yield i, group
