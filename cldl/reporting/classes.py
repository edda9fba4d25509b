"""The figures of a run's report that have a row for each class: which classifier decides it, and what it is taken for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cldl.reporting.poster import classifier_names
from cldl.reporting.style import legend, new_figure, stack
from cldl.training.evaluation import Evaluation
from engine.typing import Array


@dataclass(frozen=True)
class Size:
    """How large things are drawn."""

    matrix: tuple[float, float]  # inches
    label: float  # of the matrix, in points
    bar: float  # inches
    bar_label: float  # points


FEW, MANY = Size((6.4, 6), 10, 0.28, 10), Size((13, 12), 6, 0.16, 7)  # many: cells have no numbers either
MOST = 20  # classes that are few
WIDTH, MARGIN = 7, 1.2  # of the bars: inches
PERCENT = (0, 100)  # the ends of an axis
NUMBER: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9}
DARK = 0.6  # of the most frequent mistake: numbers on darker cells are white
DIAGONAL = "0.88"
SHADES: dict[str, Any] = {"cmap": "Oranges", "vmin": 0}
SCALE: dict[str, Any] = {"shrink": 0.6, "label": "mistakes"}


def size(K: int) -> Size:
    """For K classes."""
    return FEW if K <= MOST else MANY


def shares_by_class(evaluation: Evaluation, class_names: Sequence[str]) -> Figure:
    """The share of each class's test images that each classifier decides."""
    K, M = len(class_names), evaluation.classifiers
    decided = [evaluation.labels[evaluation.deciding_exits == m] for m in range(M)]
    counts = np.array([np.bincount(labels, minlength=K) for labels in decided])  # (M, K)
    parts = 100 * counts / np.maximum(counts.sum(axis=0), 1)
    figure = new_figure((WIDTH, MARGIN + size(K).bar * K))
    axes = figure.subplots()
    stack(axes.barh, "left", range(K), parts, classifier_names(M))
    axes.set_yticks(range(K), class_names, fontsize=size(K).bar_label)
    axes.set(xlim=PERCENT, ylim=(K - 0.4, -0.6), xlabel="share of the class's test images in %", ylabel="class")
    legend(figure, axes)
    return figure


def confusion(evaluation: Evaluation, class_names: Sequence[str]) -> Figure:
    """How often each class was predicted for each class; the diagonal grey, mistakes the darker the more frequent."""
    K = len(class_names)
    counts, right = confusions(evaluation, K), np.eye(K, dtype=bool)
    mistakes = np.where(right, 0, counts)
    most = max(mistakes.max(), 1)
    figure = new_figure(size(K).matrix)
    axes = figure.subplots()
    image = axes.imshow(np.ma.masked_where(right, mistakes), vmax=most, **SHADES)
    axes.set_facecolor(DIAGONAL)  # seen where the cells are masked
    if K <= MOST:
        for row, column in np.argwhere(counts):
            color = "white" if mistakes[row, column] > DARK * most else "black"
            axes.text(column, row, f"{counts[row, column]}", color=color, **NUMBER)
    else:
        figure.colorbar(image, ax=axes, ticks=MaxNLocator(integer=True), **SCALE)
    upright = max(map(len, class_names)) <= 2
    axes.set_xticks(range(K), class_names, rotation=0 if upright else 90, fontsize=size(K).label)
    axes.set_yticks(range(K), class_names, fontsize=size(K).label)
    axes.set(xlabel="predicted class", ylabel="true class")
    return figure


def confusions(evaluation: Evaluation, K: int) -> Array:
    """How often class j was predicted for class i, (K, K)."""
    return np.bincount(evaluation.labels * K + evaluation.predictions, minlength=K * K).reshape(K, K)
