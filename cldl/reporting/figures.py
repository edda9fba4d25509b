"""The figures of a run's report that go over its epochs: errors, losses, the companions' weight, and who decides.

Each function takes what was measured and gives a matplotlib figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cldl.reporting.poster import classifier_names
from cldl.reporting.style import GRID, MARKED, WIDTH, curves, legend, logarithmic, new_figure, over_epochs, stack
from cldl.reporting.svg import hover
from engine.optim.schedules import Schedule
from engine.typing import Array

ERRORS, LOSSES, COMPANIONS, SHARES = (WIDTH, 6.4), (WIDTH, 4.6), (WIDTH, 3.6), (WIDTH, 3.2)  # sizes in inches
PERCENT = (0, 100)  # the ends of an axis
SYSTEMS = {"CLDL": "top", "NIN": "bottom"}  # the poster's, and which side of their names is at their lines
LINES: dict[str, dict[str, Any]] = {  # of the losses
    "train_loss": {"label": "training images", "color": "#0072B2", "marker": "o", "linestyle": "--"},
    "test_loss": {"label": "test images", "color": "#D55E00", "marker": "s"},
}
MARGIN = 0.2  # epochs behind the last one
POINTS = 400  # of the learning rate's curve
DOTTED: dict[str, Any] = {"color": "grey", "linewidth": 0.8, "linestyle": ":"}
SMALL: dict[str, Any] = {"color": "0.35", "fontsize": 8}


def learning_curves(metrics: Sequence[dict], poster: dict[str, float], fused: bool) -> Figure:
    """The error of every classifier, and of the joint prediction if `fused`, after each epoch, on test and training images."""
    figure = new_figure(ERRORS)
    test, train = figure.subplots(2, 1, sharex=True, sharey=True)
    for axes, key, title in ((test, "test_error", "test images"), (train, "train_error", "training images")):
        curves(axes, metrics, key, fused)
        axes.set_title(title)
        axes.set_ylabel("error in %")
    test.set_xlabel("")
    for system, side in SYSTEMS.items():
        if system in poster:
            error = poster[system]
            test.axhline(error, **DOTTED)
            name = f"{system} on the poster: {error:g}"
            test.text(0.02, error, name, va=side, transform=test.get_yaxis_transform(), **SMALL)
    logarithmic(test, 100)
    legend(figure, test)
    return figure


def losses(metrics: Sequence[dict], schedule: Schedule) -> Figure:
    """The loss after each epoch, on training and test images, and below it the learning rate of every step of the way."""
    figure = new_figure(LOSSES)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    epochs = [line["epoch"] for line in metrics]
    for key, style in LINES.items():
        (line,) = above.plot(epochs, [metric[key] for metric in metrics], **MARKED | style)
        hover(line, [f"{style['label']}, epoch {metric['epoch']}: {metric[key]:.4g}" for metric in metrics])
    above.set_ylabel("loss")
    above.set_ylim(bottom=0)
    when = np.linspace(0, schedule.epochs, POINTS, endpoint=False)
    below.plot(when, [schedule.learning_rate_at(float(t)) for t in when], color="black", linewidth=1.2)
    below.set_ylabel("learning rate")
    below.set_ylim(bottom=0)
    for axes in (above, below):
        axes.grid(**GRID)
    over_epochs(below, [0, schedule.epochs])
    below.set_xlim(0, schedule.epochs + MARGIN)
    legend(figure, above)
    return figure


def companions(metrics: Sequence[dict]) -> Figure:
    """The mean of T^(m) over the test images after each epoch."""
    figure = new_figure(COMPANIONS)
    axes = figure.subplots()
    curves(axes, metrics, "test_companions", fused=False)
    axes.set_ylabel("mean T (1: all others are wrong)")
    logarithmic(axes, 1)
    legend(figure, axes)
    return figure


def shares(metrics: Sequence[dict]) -> Figure:
    """The share of the test images that each classifier decides, after each epoch."""
    figure = new_figure(SHARES)
    axes = figure.subplots()
    epochs = [line["epoch"] for line in metrics]
    parts = shares_by_epoch(metrics)
    stack(axes.bar, "bottom", epochs, parts, classifier_names(len(parts)), [f"epoch {epoch}" for epoch in epochs])
    axes.set(ylim=PERCENT, ylabel="share of the test images in %")
    over_epochs(axes, epochs)
    legend(figure, axes)
    return figure


def shares_by_epoch(metrics: Sequence[dict]) -> Array:
    """The same as numbers in %, (M, epochs)."""
    return np.array([list(line["test_share"].values()) for line in metrics]).T
