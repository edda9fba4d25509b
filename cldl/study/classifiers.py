"""The poster's second figure: NIN on CIFAR-100, the error against the number of classifiers, plain and augmented.

The runs are two tables of the training study, so they can be stopped at any time and continue where they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cldl.reporting import poster
from cldl.study import training
from cldl.study.variants import COUNTS
from engine.io.files import atomic_write, make_folder

SERIES = {  # table of the training study: what it is called, its colour (Okabe and Ito, 2008), its marker
    "classifiers": ("without augmentation", "#0072B2", "o"),
    "classifiers_augmented": ("with augmentation", "#D55E00", "s"),
}
NUMBERS = {variant: M for M, variant in enumerate(COUNTS, 1)}
Points = dict[str, dict[int, list[float]]]  # table: M: the error in % of each seed, all classifiers together


def classifiers(out: Path, results: Path | None, seeds: Sequence[int], options: Sequence[str]) -> int:
    """Train what has no result yet, each run with the options of `cldl.train`, and draw the figure; the exit status.

    out     -- the folder of the runs, and of the figure
    results -- the folder of the files of results, one a table; None: `out`

    Raises:    UserError where a result is of other settings.
    """
    folder, status = results or out, 0
    files = {table: folder / f"{table}.jsonl" for table in SERIES}
    for table, path in files.items():
        status = status or training.compare(table, out / table, path, seeds, [], options)
    found = {table: points(path) for table, path in files.items()}
    if any(found.values()):
        figure = make_folder(out) / "classifiers.png"
        with atomic_write(figure) as file:
            draw(found).savefig(file, format="png", dpi=150)
        print(f"figure: {figure}")
    return status


def points(path: Path) -> dict[int, list[float]]:
    """The errors in a file of results by number of classifiers."""
    errors: dict[int, list[float]] = {}
    for line in training.read(path):
        errors.setdefault(NUMBERS[line["variant"]], []).append(line["errors"]["fused"])
    return dict(sorted(errors.items()))


def draw(points: Points) -> Figure:
    """The error against the number of classifiers, as measured; beside it what the poster's table says of M = 1 and 3."""
    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    ours, theirs = figure.subplots(1, 2, width_ratios=(5, 3))
    for table, errors in points.items():
        name, colour, marker = SERIES[table]
        means = {M: training.mean_and_error(values) for M, values in errors.items()}
        ours.errorbar(
            list(means), [mean for mean, _ in means.values()], [np.nan_to_num(error) for _, error in means.values()],
            color=colour, marker=marker, capsize=3, label=name,
        )  # fmt: skip
        for M, (mean, _) in means.items():
            ours.annotate(f"{mean:.2f}", (M, mean), (0, 9), textcoords="offset points", ha="center", fontsize=8)
        published = poster.errors("CIFAR-100", table.endswith("augmented"))
        numbers, values = (1, poster.CLASSIFIERS), (published["NIN"], published["CLDL"])
        theirs.plot(numbers, values, color=colour, marker=marker, markerfacecolor="none", linestyle=":")
        for M, value in zip(numbers, values, strict=True):
            theirs.annotate(f"{value:.2f}", (M, value), (0, 9), textcoords="offset points", ha="center", fontsize=8)
    _label(ours, "measured: half the width, 16 epochs", max(NUMBERS.values()))
    _label(theirs, "the poster's table", poster.CLASSIFIERS)
    ours.set_ylabel("error in %, all classifiers together")
    figure.legend(*ours.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure


def _label(axes: Axes, title: str, largest: int) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("number of classifiers")
    axes.set_xlim(0.6, largest + 0.4)
    axes.margins(y=0.15)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
