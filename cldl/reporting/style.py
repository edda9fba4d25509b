"""What the figures of a report share: styles, and the parts that several of them have.

Styles are tables, so that the functions say what is drawn. A classifier has one colour and one marker wherever it appears
(the colours of Okabe and Ito, which colour-blind readers can tell apart); the joint prediction is black. No function keeps
or changes any global state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from cldl.reporting.poster import classifier_names
from cldl.reporting.svg import hover
from engine.typing import Array

WIDTH = 5.6  # inches of every figure: on a telephone its letters can still be read
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")  # Okabe and Ito, 2008
MARKERS = "os^Dv<>"
MANY_EPOCHS = 50  # with more of them, markers are invisible and only answer to the pointer
ONE_COLOUR = 98.0  # % of every bar that one classifier has
MANY_BARS = 120  # with more of them, there are no gaps between them
FLOOR = 0.01  # where 0 is drawn on a logarithmic axis
HEADROOM = 1.2  # of a logarithmic axis, above the largest value

LAYOUT: dict[str, Any] = {"layout": "constrained"}
MARKED: dict[str, Any] = {"markersize": 4, "linewidth": 1.6}
UNMARKED: dict[str, Any] = {
    **{"markersize": 4, "markerfacecolor": "none", "markeredgecolor": "none"},
    "linewidth": 1.2,
}
FUSED: dict[str, Any] = {"color": "black", "marker": "X", "linewidth": 2.2, "label": "all together (fused)"}
BAR: dict[str, Any] = {"linewidth": 0, "antialiased": False}
GRID: dict[str, Any] = {"color": "0.9"}
LEGEND: dict[str, Any] = {"loc": "outside upper center", "ncols": 2, "frameon": False}
ONE_TWO_FIVE = (1, 2, 5)


def new_figure(size: tuple[float, float]) -> Figure:
    """An empty figure of so many inches, whose parts leave space for one another."""
    return Figure(figsize=size, **LAYOUT)


def colour(m: int) -> str:
    """Of classifier m, from 0."""
    return COLOURS[m % len(COLOURS)]


def curves(axes: Axes, metrics: Sequence[dict], key: str, fused: bool) -> None:
    """A line for each classifier over the epochs, and one for the joint prediction if `fused`."""
    epochs = [line["epoch"] for line in metrics]
    marks = MARKED if len(epochs) <= MANY_EPOCHS else UNMARKED
    names = [name for name in metrics[0][key] if name != "fused"]
    labels = classifier_names(len(names))
    styles = {
        name: marks | {"color": colour(m), "marker": MARKERS[m % len(MARKERS)], "label": labels[m]}
        for m, name in enumerate(names)
    }
    if fused and len(names) > 1:
        styles["fused"] = marks | FUSED
    for name, style in styles.items():
        values = [line[key][name] for line in metrics]
        (line,) = axes.plot(epochs, np.maximum(values, FLOOR), **style)
        hover(line, [f"{style['label']}, epoch {e}: {value:.4g}" for e, value in zip(epochs, values, strict=True)])
    axes.grid(**GRID)
    axes.set_axisbelow(True)
    over_epochs(axes, epochs)


def stack(
    bars: Callable, base: str, positions: Sequence[int], parts: Array, labels: Sequence[str], what: Sequence[str]
) -> None:
    """Bars on top of one another, parts (M, positions) in %, in the colours of the classifiers.

    base -- what `bars` calls the beginning of a bar; what -- names the positions
    """
    begin = np.cumsum(parts, axis=0) - parts
    width = 0.8 if len(positions) <= MANY_BARS else 1.0
    for m, part in enumerate(parts):
        drawn = bars(positions, part, width, **{base: begin[m]}, color=colour(m), label=labels[m], **BAR)
        for bar, name, value in zip(drawn, what, part, strict=True):
            hover(bar, [f"{name}: {labels[m]}, {value:.1f} %"])


def is_one_colour(parts: Array) -> bool:
    """Whether stacked bars, parts (M, positions) in %, would be of one colour: there is nothing to see."""
    return bool((parts > ONE_COLOUR).any(axis=0).all() and len(set(parts.argmax(axis=0).tolist())) == 1)


def over_epochs(axes: Axes, epochs: Sequence[int]) -> None:
    """Whole epochs on the x axis, with a margin of half of one."""
    axes.set_xlabel("epoch")
    axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def logarithmic(axes: Axes, most: float) -> None:
    """A logarithmic y axis with plain numbers, for values up to `most`; a tenth of that is always on it."""
    axes.set_yscale("log")
    axes.set_ylim(min(0.85 * axes.get_ylim()[0], 0.09 * most), HEADROOM * most)
    axes.yaxis.set_major_locator(LogLocator(subs=ONE_TWO_FIVE))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def legend(figure: Figure, axes: Axes, **style: Any) -> None:
    """What the colours in `axes` mean, above the figure."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, **LEGEND, **style)
