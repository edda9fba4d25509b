"""A picture of the method: three blocks, a classifier on each, and what each one's loss takes from the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from cldl.study.terms import EXAMPLE, terms

COLOURS = ("#0072B2", "#E69F00", "#009E73")  # Okabe and Ito, 2008: of classifiers 1, 2 and 3
PLACES = ("bottom", "", "top")
BLOCK, CLASSIFIER, LOSS = 0.09, 0.36, 0.82  # where their middles stand
HIGH = 0.16  # of a box
ARROW: dict[str, Any] = {"arrowstyle": "-|>", "color": "0.3", "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}


def method() -> Figure:
    """The network from the bottom to the top, with the numbers of the sample that docs/derivation.md works on."""
    example = terms(np.log(EXAMPLE))
    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(-0.1, 1.1))
    axes.set_axis_off()
    heights = (0.12, 0.48, 0.84)
    _arrow(axes, (BLOCK, -0.08), (BLOCK, heights[0] - HIGH / 2))
    axes.text(BLOCK + 0.015, -0.055, "image", va="center", fontsize=11)
    for m, (y, colour) in enumerate(zip(heights, COLOURS, strict=True)):
        place = f" ({PLACES[m]})" if PLACES[m] else ""
        _box(axes, BLOCK, y, 0.15, f"block {m + 1}", "0.35")
        _box(axes, CLASSIFIER, y, 0.25, f"classifier {m + 1}{place}\n$p_{m + 1} = {example.p[m]:.2f}$", colour)
        others = " ".join(f"q_{t + 1}" for t in range(3) if t != m)
        text = (
            f"$C^{{({m + 1})}} = -\\log p_{m + 1} = {example.C[m]:.2f}$\n"
            f"$T^{{({m + 1})}} = \\sqrt{{{others}}} = {example.T[m]:.2f}$\n"
            f"$l^{{({m + 1})}} = C^{{({m + 1})}} T^{{({m + 1})}} = {example.losses[m]:.3f}$"
        )
        _box(axes, LOSS, y, 0.34, text, colour, HIGH * 1.5)
        _arrow(axes, (BLOCK + 0.075, y), (CLASSIFIER - 0.125, y))
        _arrow(axes, (CLASSIFIER + 0.125, y), (LOSS - 0.17, y))
        if m:
            _arrow(axes, (BLOCK, heights[m - 1] + HIGH / 2), (BLOCK, y - HIGH / 2))
        for t, other in enumerate(heights):  # T^(t) takes q_m
            if t != m:
                _arrow(axes, (CLASSIFIER + 0.125, y), (LOSS - 0.17, other), colour=colour, linestyle=":")
    axes.text(LOSS, 1.07, "dotted: $q_m = 1 - p_m$ goes into the others' $T$", ha="center", fontsize=10)
    axes.text(LOSS, -0.085, f"$L = l^{{(1)}} + l^{{(2)}} + l^{{(3)}} = {example.value:.3f}$", ha="center", fontsize=12)
    return figure


def _box(axes: Axes, x: float, y: float, width: float, text: str, colour: str, height: float = HIGH) -> None:
    style: dict[str, Any] = {
        "boxstyle": "round,pad=0,rounding_size=0.02",
        "facecolor": "white",
        "edgecolor": colour,
        "linewidth": 2,
    }
    axes.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, zorder=2, **style))
    axes.text(x, y, text, ha="center", va="center", fontsize=11, linespacing=1.5, zorder=3)


def _arrow(
    axes: Axes, begin: tuple[float, float], end: tuple[float, float], colour: str = "0.3", linestyle: str = "-"
) -> None:
    axes.annotate("", end, begin, arrowprops=ARROW | {"color": colour, "linestyle": linestyle}, zorder=1)
