"""The figures of a run's report with a row for each class: which classifiers decide it, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cldl.reporting.poster import classifier_names
from cldl.reporting.style import WIDTH, legend, new_figure, stack
from cldl.reporting.svg import FIXED_BLACK, FIXED_WHITE, hover
from cldl.training.evaluation import Evaluation
from engine.typing import Array


@dataclass(frozen=True)
class Size:
    """How large things are drawn."""

    matrix: tuple[float, float]  # inches
    label: float  # of the matrix, in points
    bar: float  # inches
    bar_label: float  # points


FEW, MANY = Size((WIDTH, 5.4), 10, 0.28, 10), Size((WIDTH, 5.2), 3, 0.16, 7)  # many: cells have no numbers either
MOST = 20  # the most classes for which FEW is the size
MARGIN = 1.2  # of the bars: inches
PERCENT = (0, 100)  # the ends of an axis
NUMBER: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9}
DARK = 0.6  # of the most frequent mistake: numbers on darker cells are white
DIAGONAL = "0.88"
SHADES: dict[str, Any] = {"cmap": "Oranges"}
SCALE: dict[str, Any] = {"shrink": 0.6, "label": "mistakes"}


def size(K: int) -> Size:
    """For K classes."""
    return FEW if K <= MOST else MANY


def shares_by_class(evaluation: Evaluation, class_names: Sequence[str]) -> Figure:
    """The share of each class's test images that each classifier decides."""
    K, M = len(class_names), evaluation.classifiers
    figure = new_figure((WIDTH, MARGIN + size(K).bar * K))
    axes = figure.subplots()
    stack(axes.barh, "left", range(K), decided(evaluation, K), classifier_names(M), class_names)
    axes.set_yticks(range(K), class_names, fontsize=size(K).bar_label)
    axes.set(xlim=PERCENT, ylim=(K - 0.4, -0.6), xlabel="share of the class's test images in %", ylabel="class")
    legend(figure, axes)
    return figure


def decided(evaluation: Evaluation, K: int) -> Array:
    """The share in % of each class's images that each classifier decides, (M, K); 0 where a class has no images."""
    labels = [evaluation.labels[evaluation.deciding_exits == m] for m in range(evaluation.classifiers)]
    counts = np.array([np.bincount(own, minlength=K) for own in labels])
    return 100 * counts / np.maximum(counts.sum(axis=0), 1)


def confusion(evaluation: Evaluation, class_names: Sequence[str]) -> Figure:
    """The confusion matrix: the diagonal grey, the more frequent a mistake the darker."""
    K = len(class_names)
    counts = confusions(evaluation, K)
    mistakes = counts - np.diag(np.diag(counts))
    most = max(mistakes.max(), 1)
    figure = new_figure(size(K).matrix)
    axes = figure.subplots()
    axes.add_collection(PolyCollection(_squares([(k, k) for k in range(K)]), facecolor=DIAGONAL, linewidth=0))
    wrong = np.argwhere(mistakes)
    cells = PolyCollection(_squares(wrong), array=mistakes[tuple(wrong.T)], clim=(0, most), linewidth=0, **SHADES)
    hover(cells, [_taken(class_names, i, j, int(mistakes[i, j])) for i, j in wrong])
    axes.add_collection(cells)
    if K <= MOST:
        for row, column in np.argwhere(counts):
            dark = mistakes[row, column] > DARK * most
            on_mistake = FIXED_WHITE if dark else FIXED_BLACK
            color = "black" if row == column else on_mistake
            axes.text(column, row, f"{counts[row, column]}", color=color, **NUMBER)
    else:
        figure.colorbar(cells, ax=axes, ticks=MaxNLocator(integer=True), **SCALE)
    upright = max(map(len, class_names)) <= 2
    axes.set_xticks(range(K), class_names, rotation=0 if upright else 90, fontsize=size(K).label)
    axes.set_yticks(range(K), class_names, fontsize=size(K).label)
    axes.set(xlabel="predicted class", ylabel="true class", xlim=(-0.5, K - 0.5), ylim=(K - 0.5, -0.5), aspect="equal")
    return figure


def confusions(evaluation: Evaluation, K: int) -> Array:
    """The confusion matrix (K, K): how often class j was predicted for an image of class i."""
    return np.bincount(evaluation.labels * K + evaluation.predictions, minlength=K * K).reshape(K, K)


def _squares(cells: Sequence[tuple[int, int]] | Array) -> list[list[tuple[float, float]]]:
    """The corners of cells (row, column)."""
    half = 0.5
    return [[(j - half, i - half), (j + half, i - half), (j + half, i + half), (j - half, i + half)] for i, j in cells]


def _taken(names: Sequence[str], i: int, j: int, count: int) -> str:
    return f"{names[i]} taken for {names[j]}: {count:,} time{'' if count == 1 else 's'}"
