"""The figures of a run's report.

Each function takes what was measured and gives a matplotlib figure; none keeps or changes any global state. A classifier
has one colour and one marker wherever it appears (the colours of Okabe and Ito, which colour-blind readers can tell
apart); the joint prediction is black.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from cldl.reporting.poster import classifier_names
from cldl.training.evaluation import Evaluation
from data.dataset import Split, read_images
from engine.typing import Array

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")  # Okabe and Ito, 2008
MARKERS = "os^Dv<>"
FLOOR = 0.01  # where 0 is drawn on a logarithmic axis
MANY = 20  # classes; with more of them, labels are small and cells have no numbers
MANY_BARS = 120  # with more of them, there are no gaps between them
ROWS, COLUMNS = 4, 5  # of images in each half of figure 1


def learning_curves(metrics: Sequence[dict], poster: dict[str, float], fused: bool = True) -> Figure:
    """The error of every classifier, and of the joint prediction if `fused`, after each epoch, on test and training images."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    test, train = figure.subplots(1, 2, sharey=True)
    for axes, key, title in ((test, "test_error", "test images"), (train, "train_error", "training images")):
        _curves(axes, metrics, key, fused)
        axes.set_title(title)
    test.set_ylabel("error in %")
    for system, side in (("CLDL", "top"), ("NIN", "bottom")):
        if system in poster:
            test.axhline(poster[system], color="grey", linewidth=0.8, linestyle=":")
            style = {"color": "0.35", "fontsize": 8, "va": side, "transform": test.get_yaxis_transform()}
            test.text(0.02, poster[system], f"{system} on the poster: {poster[system]:g}", **style)
    _logarithmic(test, 100)
    _legend(figure, test)
    return figure


def companions(metrics: Sequence[dict]) -> Figure:
    """The mean of T^(m) over the test images after each epoch."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    _curves(axes, metrics, "test_companions")
    axes.set_ylabel("mean T (1: the companions are all wrong)")
    _logarithmic(axes, 1)
    _legend(figure, axes)
    return figure


def shares(metrics: Sequence[dict]) -> Figure:
    """The share of the test images that each classifier decides, after each epoch."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    epochs = [line["epoch"] for line in metrics]
    parts = np.array([list(line["test_share"].values()) for line in metrics]).T  # (M, epochs)
    _stack(axes.bar, "bottom", epochs, parts)
    axes.set_ylim(0, 100)
    axes.set_ylabel("share of the test images in %")
    _epochs(axes, epochs)
    _legend(figure, axes)
    return figure


def shares_by_class(evaluation: Evaluation, class_names: Sequence[str]) -> Figure:
    """The share of each class's test images that each classifier decides."""
    K, M = len(class_names), len(evaluation.logits)
    decided = [evaluation.labels[evaluation.deciding_exits == m] for m in range(M)]
    counts = np.array([np.bincount(labels, minlength=K) for labels in decided])  # (M, K)
    parts = 100 * counts / np.maximum(counts.sum(axis=0), 1)
    figure = Figure(figsize=(7, 1.2 + (0.28 if K <= MANY else 0.16) * K), layout="constrained")
    axes = figure.subplots()
    _stack(axes.barh, "left", range(K), parts)
    axes.set_yticks(range(K), class_names, fontsize=10 if K <= MANY else 7)
    axes.set_xlim(0, 100)
    axes.set_ylim(K - 0.4, -0.6)
    axes.set_xlabel("share of the class's test images in %")
    axes.set_ylabel("class")
    _legend(figure, axes)
    return figure


def confusion(evaluation: Evaluation, class_names: Sequence[str]) -> Figure:
    """How often each class was predicted for each class; the diagonal grey, mistakes the darker the more frequent."""
    K = len(class_names)
    counts = confusions(evaluation, K)
    few = K <= MANY
    figure = Figure(figsize=(6.4, 6) if few else (13, 12), layout="constrained")
    axes = figure.subplots()
    mistakes = np.ma.masked_where(np.eye(K, dtype=bool), counts)
    image = axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(mistakes.max(), 1) if K > 1 else 1)
    axes.set_facecolor("0.88")  # seen where the cells are masked
    if few:
        for row, column in np.argwhere(counts):
            dark = row != column and counts[row, column] > 0.6 * mistakes.max()
            style: dict[str, Any] = {
                "ha": "center",
                "va": "center",
                "color": "white" if dark else "black",
                "fontsize": 9,
            }
            axes.text(column, row, f"{counts[row, column]}", **style)
    else:
        figure.colorbar(image, ax=axes, shrink=0.6, label="mistakes", ticks=MaxNLocator(integer=True))
    upright = max(map(len, class_names)) <= 2
    size = 10 if few else 6
    axes.set_xticks(range(K), class_names, rotation=0 if upright else 90, fontsize=size)
    axes.set_yticks(range(K), class_names, fontsize=size)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    return figure


def easy_and_hard(evaluation: Evaluation, split: Split, class_names: Sequence[str]) -> Figure:
    """The poster's figure 1: images that the bottom classifier gets right, beside those that only the top one gets right.

    The most confident ones, from as many classes as possible. With one classifier: those it gets right, and those it gets wrong.
    """
    M, labels = len(evaluation.logits), evaluation.labels
    right = np.array([z.argmax(axis=1) == labels for z in evaluation.logits])  # (M, N)
    bottom, top = evaluation.probabilities[0], evaluation.probabilities[-1]  # (N, K)
    predictions = bottom.argmax(axis=1)

    def on_target(P: Array, i: int) -> str:
        return f"{class_names[labels[i]]}\n{100 * P[i, labels[i]]:.0f} %"

    def mistaken(i: int) -> str:
        name = class_names[predictions[i]]
        return f"{class_names[labels[i]]}\nnot{' ' if len(name) <= 6 else chr(10)}{name}"

    easy = _most_confident(right[0], bottom.max(axis=1), labels)
    if M == 1:
        hard = _most_confident(~right[0], bottom.max(axis=1), labels)
        titles = ("right, and most confident", "wrong, and most confident")
    else:
        hard = _most_confident(right[-1] & ~right[:-1].any(axis=0), top.max(axis=1), labels)
        titles = ("the bottom classifier is right", "only the top classifier is right")
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    halves = figure.add_gridspec(1, 3, width_ratios=(1, 0.05, 1))
    _gallery(figure.add_subfigure(halves[0]), titles[0], split, easy, lambda i: on_target(bottom, i))
    _gallery(figure.add_subfigure(halves[2]), titles[1], split, hard, mistaken)
    return figure


def confusions(evaluation: Evaluation, K: int) -> Array:
    """How often class j was predicted for class i, (K, K)."""
    return np.bincount(evaluation.labels * K + evaluation.predictions, minlength=K * K).reshape(K, K)


def _most_confident(chosen: Array, confidence: Array, labels: Array) -> Array:
    """The indices of the most confident of the chosen images, taken from the classes in turn; sorted by class."""
    order = np.flatnonzero(chosen)
    order = order[np.argsort(-confidence[order], kind="stable")]
    turn = np.zeros(len(order), int)  # an image is the turn-th of its class
    for k in np.unique(labels[order]):
        mine = labels[order] == k
        turn[mine] = np.arange(mine.sum())
    order = order[np.argsort(turn, kind="stable")][: ROWS * COLUMNS]
    return order[np.argsort(labels[order], kind="stable")]


def _gallery(figure: SubFigure, title: str, split: Split, chosen: Array, caption: Callable[[int], str]) -> None:
    figure.suptitle(title)
    grid = np.ravel(figure.subplots(ROWS, COLUMNS))
    for axes, i, image in zip(grid, chosen, read_images(split, chosen), strict=False):
        axes.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[])
        axes.set_xlabel(caption(i), fontsize=8, labelpad=2)
    for axes in grid[len(chosen) :]:
        axes.set_axis_off()
    if len(chosen) == 0:
        figure.text(0.5, 0.5, "none of the test images", ha="center", color="0.35")


def _curves(axes: Axes, metrics: Sequence[dict], key: str, fused: bool = True) -> None:
    """A line for each classifier, and a black one for the joint prediction if `fused` and the metrics have it."""
    epochs = [line["epoch"] for line in metrics]
    singles = [name for name in metrics[0][key] if name != "fused"]
    M = len(singles)
    marked: dict[str, Any] = (
        {"markersize": 4, "linewidth": 1.6} if len(epochs) <= 50 else {"markersize": 0, "linewidth": 1.2}
    )
    for m, (name, label) in enumerate(zip(singles, classifier_names(M), strict=True)):
        values = np.maximum([line[key][name] for line in metrics], FLOOR)
        axes.plot(epochs, values, color=_colour(m), marker=MARKERS[m % len(MARKERS)], label=label, **marked)
    if M > 1 and fused and "fused" in metrics[0][key]:
        values = np.maximum([line[key]["fused"] for line in metrics], FLOOR)
        style: dict[str, Any] = {
            "color": "black",
            "marker": "X",
            "label": "all together (fused)",
            **marked,
            "linewidth": 2.2,
        }
        axes.plot(epochs, values, **style)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    _epochs(axes, epochs)


def _stack(bars: Callable, base: str, positions: Sequence[int] | range, parts: Array) -> None:
    """Bars on top of one another; parts (M, positions)."""
    heights = np.cumsum(parts, axis=0) - parts
    for m, name in enumerate(classifier_names(len(parts))):
        style = {"color": _colour(m), "linewidth": 0, "antialiased": False}
        bars(positions, parts[m], 0.8 if len(positions) <= MANY_BARS else 1, **{base: heights[m]}, label=name, **style)


def _colour(m: int) -> str:
    return COLOURS[m % len(COLOURS)]


def _epochs(axes: Axes, epochs: Sequence[int]) -> None:
    axes.set_xlabel("epoch")
    axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _logarithmic(axes: Axes, most: float) -> None:
    """A logarithmic y axis with plain numbers, for values up to `most`; a tenth of that is always on it."""
    axes.set_yscale("log")
    axes.set_ylim(min(0.85 * axes.get_ylim()[0], 0.09 * most), 1.2 * most)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _legend(figure: Figure, axes: Axes) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
