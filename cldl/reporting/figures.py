"""The figures of a run's report that go over its epochs: errors, the companions' weight, and who decides.

Each function takes what was measured and gives a matplotlib figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cldl.reporting.poster import classifier_names
from cldl.reporting.style import curves, legend, logarithmic, new_figure, over_epochs, stack

ERRORS, COMPANIONS, SHARES = (9, 4.2), (7, 4), (7, 3.6)  # sizes in inches
PERCENT = (0, 100)  # the ends of an axis
SYSTEMS = {"CLDL": "top", "NIN": "bottom"}  # the poster's, and which side of their names is at their lines
DOTTED: dict[str, Any] = {"color": "grey", "linewidth": 0.8, "linestyle": ":"}
SMALL: dict[str, Any] = {"color": "0.35", "fontsize": 8}


def learning_curves(metrics: Sequence[dict], poster: dict[str, float], fused: bool) -> Figure:
    """The error of every classifier, and of the joint prediction if `fused`, after each epoch, on test and training images."""
    figure = new_figure(ERRORS)
    test, train = figure.subplots(1, 2, sharey=True)
    for axes, key, title in ((test, "test_error", "test images"), (train, "train_error", "training images")):
        curves(axes, metrics, key, fused)
        axes.set_title(title)
    test.set_ylabel("error in %")
    for system, side in SYSTEMS.items():
        if system in poster:
            error = poster[system]
            test.axhline(error, **DOTTED)
            name = f"{system} on the poster: {error:g}"
            test.text(0.02, error, name, va=side, transform=test.get_yaxis_transform(), **SMALL)
    logarithmic(test, 100)
    legend(figure, test)
    return figure


def companions(metrics: Sequence[dict]) -> Figure:
    """The mean of T^(m) over the test images after each epoch."""
    figure = new_figure(COMPANIONS)
    axes = figure.subplots()
    curves(axes, metrics, "test_companions", fused=False)
    axes.set_ylabel("mean T (1: the companions are all wrong)")
    logarithmic(axes, 1)
    legend(figure, axes)
    return figure


def shares(metrics: Sequence[dict]) -> Figure:
    """The share of the test images that each classifier decides, after each epoch."""
    figure = new_figure(SHARES)
    axes = figure.subplots()
    epochs = [line["epoch"] for line in metrics]
    parts = np.array([list(line["test_share"].values()) for line in metrics]).T  # (M, epochs)
    stack(axes.bar, "bottom", epochs, parts, classifier_names(len(parts)))
    axes.set(ylim=PERCENT, ylabel="share of the test images in %")
    over_epochs(axes, epochs)
    legend(figure, axes)
    return figure
