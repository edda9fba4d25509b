"""The learning curves of several runs in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cldl.reporting import poster
from cldl.reporting.rows import Row, common_changes
from cldl.reporting.style import (
    FLOOR,
    GRID,
    MANY_EPOCHS,
    MARKED,
    MARKERS,
    UNMARKED,
    WIDTH,
    colour,
    logarithmic,
    new_figure,
    over_epochs,
)
from cldl.reporting.svg import hover

LETTERS = 62  # of a line of the legend
LOGARITHMIC = 20.0  # %: where no error is below, the axis is linear
HEIGHT, LINE = 3.8, 0.22  # inches: of the figure, and of a line of its legend
LEGEND: dict[str, Any] = {"loc": "outside upper left", "ncols": 1, "frameon": False, "fontsize": 9}


def curves(rows: Sequence[Row]) -> Figure:
    """The test error of each run's prediction after each epoch; runs that differ in their seeds alone have one colour."""
    figure = new_figure((WIDTH, HEIGHT + LINE * len(rows)))
    axes = figure.subplots()
    common = common_changes(rows)
    most = max(len(run.metrics()) for row in rows for run in row.runs)
    style = MARKED if most <= MANY_EPOCHS else UNMARKED
    for n, row in enumerate(rows):
        for i, run in enumerate(row.runs):
            errors = [line["test_error"]["fused"] for line in run.metrics()]
            epochs = range(1, len(errors) + 1)
            look = style | {
                "color": colour(n),
                "marker": MARKERS[n % len(MARKERS)],
                "label": None if i else fill(title(row, common), LETTERS),
            }
            (line,) = axes.plot(epochs, np.maximum(errors, FLOOR), **look)
            hover(line, [f"{run.folder}, epoch {e}: {error:.4g} %" for e, error in zip(epochs, errors, strict=True)])
    axes.set_ylabel("test error in %")
    axes.grid(**GRID)
    over_epochs(axes, range(1, most + 1))
    least = min(line["test_error"]["fused"] for row in rows for run in row.runs for line in run.metrics())
    if least < LOGARITHMIC:
        logarithmic(axes, 100)
    else:
        axes.set_ylim(0.9 * least, 100)
    figure.legend(*axes.get_legend_handles_labels(), **LEGEND)
    return figure


def title(row: Row, common: Sequence[str]) -> str:
    """What a reader calls a row: its data set, method, recipe, and what was changed, but for what is `common` to all."""
    seeds = f", {len(row.runs)} seeds" if len(row.runs) > 1 else ""
    recipe = ", ".join([row.recipe.name, *row.own_changes(common)])
    return f"{row.data}{row.limits}: {poster.method(row.recipe)} ({recipe}{seeds})"
