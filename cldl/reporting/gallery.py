"""The poster's figure 1: easy images beside hard ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure, SubFigure

from cldl.reporting.style import new_figure
from cldl.training.evaluation import Evaluation
from data.dataset import Split, read_images
from engine.typing import Array

ROWS, COLUMNS = 4, 5  # of images in each half
SIZE = (9, 5.4)  # inches
HALVES: dict[str, Any] = {"nrows": 1, "ncols": 3, "width_ratios": (1, 0.05, 1)}  # with a gap between them
GREY: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255}  # of images with one channel
CAPTION: dict[str, Any] = {"fontsize": 8, "labelpad": 2}
NONE: dict[str, Any] = {"s": "none of the test images", "ha": "center", "color": "0.35"}
SHORT = 6  # letters of a name that fits beside another word
ALONE = ("right, and most confident", "wrong, and most confident")
TOGETHER = ("the bottom classifier is right", "only the top classifier is right")


def easy_and_hard(evaluation: Evaluation, split: Split, class_names: Sequence[str]) -> Figure:
    """Images that the bottom classifier gets right, beside those that only the top one gets right.

    The most confident ones, from as many classes as possible. With one classifier: those it gets right, and those it gets wrong.
    """
    labels, predictions = evaluation.labels, evaluation.answers[0]  # of the bottom one

    def on_target(i: int) -> str:
        return f"{class_names[labels[i]]}\n{100 * evaluation.on_target[0, i]:.0f} %"

    def mistaken(i: int) -> str:
        name = class_names[predictions[i]]
        return f"{class_names[labels[i]]}\nnot{' ' if len(name) <= SHORT else chr(10)}{name}"

    easy, hard = chosen(evaluation)
    titles = TOGETHER if evaluation.classifiers > 1 else ALONE
    figure = new_figure(SIZE)
    parts = figure.add_gridspec(**HALVES)
    shown = _most_confident(easy, evaluation.confidences[0], labels)
    _gallery(figure.add_subfigure(parts[0]), titles[0], split, shown, on_target)
    shown = _most_confident(hard, evaluation.confidences[-1], labels)
    _gallery(figure.add_subfigure(parts[2]), titles[1], split, shown, mistaken)
    return figure


def chosen(evaluation: Evaluation) -> tuple[Array, Array]:
    """Which images are easy, (N,): the bottom one is right; and which are hard: only the top one is, or the only one is wrong."""
    right = evaluation.answers == evaluation.labels  # (M, N)
    return right[0], right[-1] & ~right[:-1].any(axis=0) if len(right) > 1 else ~right[0]


def _most_confident(chosen: Array, confidence: Array, labels: Array) -> Array:
    """The indices of the most confident of the chosen images, taken from the classes in turn; sorted by class."""
    order = np.flatnonzero(chosen)
    order = order[np.argsort(-confidence[order], kind="stable")]
    turn = np.zeros(len(order))  # an image is the turn-th of its class
    for k in np.unique(labels[order]):
        mine = labels[order] == k
        turn[mine] = np.arange(mine.sum())
    order = order[np.argsort(turn, kind="stable")][: ROWS * COLUMNS]
    return order[np.argsort(labels[order], kind="stable")]


def _gallery(figure: SubFigure, title: str, split: Split, shown: Array, caption: Callable[[int], str]) -> None:
    figure.suptitle(title)
    show_images(figure, split, shown, [caption(i) for i in shown], ROWS, COLUMNS)


def show_images(
    figure: SubFigure, split: Split, shown: Sequence[int] | Array, captions: Sequence[str], rows: int, columns: int
) -> None:
    """The images of these indices in rows and columns, each with its caption; what is left of the places stays empty."""
    grid = np.ravel(figure.subplots(rows, columns))
    for n, image in enumerate(read_images(split, shown)):
        grid[n].imshow(image, **GREY)
        grid[n].set(xticks=[], yticks=[])
        grid[n].set_xlabel(captions[n], **CAPTION)
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    if len(shown) == 0:
        figure.text(0.5, 0.5, **NONE)
