"""The figures and the page of early exit: error against cost, the exits that images take, and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure, SubFigure

from cldl import exits
from cldl.exits import reliability, sureness
from cldl.reporting.html import table
from cldl.reporting.page import Section
from cldl.reporting.page import write_page as write_page_of
from cldl.reporting.poster import classifier_names
from cldl.reporting.style import GRID, WIDTH, colour, legend, new_figure, stack
from cldl.reporting.svg import hover
from cldl.training.early_exit import ExitStudy
from data.dataset import Dataset, Split, read_images

COST, HISTOGRAM = (WIDTH, 4.4), (WIDTH, 3.8)  # inches
CALIBRATION, IMAGES = (WIDTH / 3, 2.9), (WIDTH, 1.5)  # inches for each classifier
COLUMNS = 8  # of images
GREY: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255}  # of images with one channel
CAPTION: dict[str, Any] = {"fontsize": 8, "labelpad": 2}
NONE: dict[str, Any] = {"s": "none of the test images", "ha": "center", "color": "0.35"}
FEW = 10  # images; a share of fewer says nothing
LINES = {"confidence": "-", "margin": "--", "entropy": ":"}
KEPT: dict[str, Any] = {
    "marker": "o",
    "linestyle": "",
    "color": "black",
    "markersize": 5,
    "label": "thresholds that are kept",
}
WHOLE: dict[str, Any] = {"color": "0.5", "linewidth": 0.8}


def error_against_cost(study: ExitStudy) -> Figure:
    """A line for each measure; the error that all classifiers together have is the grey line."""
    figure = new_figure(COST)
    axes = figure.subplots()
    for number, (measure, points) in enumerate(study.curves.items()):
        cost, error = zip(*((100 * point.cost, point.error) for point in points), strict=True)
        axes.plot(cost, error, LINES[measure], color=colour(number), label=measure)
    (kept,) = axes.plot([100 * point.cost for point in study.kept], [point.error for point in study.kept], **KEPT)
    hover(
        kept,
        [
            f"threshold {point.threshold:.4f}: {point.error:.2f} % wrong, {100 * point.cost:.1f} %"
            for point in study.kept
        ],
    )
    axes.axhline(study.error, **WHOLE)
    top = 1.25 * max([study.error, *(point.error for point in study.kept)])
    axes.set(xlabel="multiply-adds in % of the whole network's", ylabel="error in %", xlim=(0, 102), ylim=(0, top or 1))
    axes.grid(**GRID)
    legend(figure, axes)
    return figure


def who_leaves(study: ExitStudy) -> Figure:
    """The share of the images that leave at each exit, for every threshold that is kept."""
    figure = new_figure(HISTOGRAM)
    axes, M = figure.subplots(), len(study.logits)
    shares = np.array([point.shares for point in study.kept]).T  # (M, thresholds)
    allowed = [f"+{point.above:g} points allowed" for point in study.kept]
    stack(axes.bar, "bottom", range(len(allowed)), shares, classifier_names(M), allowed)
    axes.set_xticks(range(len(allowed)), [f"+{point.above:g}\n{point.threshold:.4f}" for point in study.kept])
    axes.set(ylim=(0, 100), ylabel="leave, in % of the images", xlabel="points of error allowed, and the threshold")
    legend(figure, axes)
    return figure


def calibration(study: ExitStudy) -> Figure:
    """For each classifier, the share that is right against the confidence: as it is, and at its temperature."""
    M = len(study.logits)
    figure = new_figure((CALIBRATION[0] * M, CALIBRATION[1]))
    for m, axes in enumerate(np.ravel(figure.subplots(1, M, sharey=True, squeeze=False))):
        z, tau = study.logits[m], study.temperatures[m]
        axes.plot([0, 1], [0, 1], **WHOLE)
        for temperature, style, name in ((1.0, ":", "as it is"), (tau, "-", "at its temperature")):
            count, confidence, right = reliability(z, study.labels, temperature)
            axes.plot(
                confidence[count >= FEW],
                right[count >= FEW],
                style,
                marker=".",
                color=colour(m),
                label=name if m == 0 else None,
            )
        before, after = (exits.calibration_error(z, study.labels, t) for t in (1.0, tau))
        axes.set_title(f"{classifier_names(M)[m]}\nECE {before:.2f} %,\n{after:.2f} % at {tau:.2f}", fontsize=8)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", aspect="equal")
        axes.grid(**GRID)
        if m == 0:
            axes.set_ylabel("share that is right")
            handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def surest_and_least_sure(study: ExitStudy, dataset: Dataset, exit_of: np.ndarray) -> Figure:
    """For each exit the images that leave there: above those of which it is surest, below those of which it was least sure."""
    M, names = len(study.logits), dataset.class_names
    figure = new_figure((IMAGES[0], IMAGES[1] * M))
    for m, part in enumerate(np.ravel(figure.subfigures(M, 1, squeeze=False))):
        own = np.flatnonzero(exit_of == m)
        order = own[np.argsort(-sureness(study.measure, study.logits[m][own], study.temperatures[m]), kind="stable")]
        n = min(COLUMNS, len(order) // 2)
        part.suptitle(f"{classifier_names(M)[m]}: {len(own):,} images leave", fontsize=10)
        shown = [*order[:n], *order[len(order) - n :]]
        captions = [names[study.labels[i]] for i in shown]
        show_images(part, study.split, shown, captions, rows=2, columns=COLUMNS)
    return figure


def show_images(
    figure: SubFigure, split: Split, shown: Sequence[int], captions: Sequence[str], rows: int, columns: int
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


def write_page(folder: Path, study: ExitStudy, dataset: Dataset, exit_of: np.ndarray) -> Path:
    """Write report/exits.html of a run, self-contained, and its figures beside it; the path of the page.

    exit_of -- (N,), where the images leave at the threshold that is allowed 0.05 points
    """
    M, count = len(study.logits), len(study.labels)
    head = (
        *("points above", "threshold", "error in %", "multiply-adds", "time"),
        *(f"classifier {m + 1}" for m in range(M)),
    )
    sections = [
        Section(
            "Early exit",
            f"""<p>The first classifier whose {study.measure} reaches the threshold answers, and the layers above it are not
computed. Temperatures, the measure and the thresholds were chosen on {study.fitted_on}; every number below is of the
{study.tried_on}, of which all classifiers together get <strong>{study.error:.2f} %</strong> wrong.</p>
{table(head, rows(study), numbers=range(len(head)))}""",
        ),
        Section(
            "Error against cost", "<p>Each point of a line is a threshold.</p>", error_against_cost(study), "exit_cost"
        ),
        Section("Who answers", f"<p>Of the {count:,} images, by the threshold.</p>", who_leaves(study), "exit_shares"),
        Section(
            "How far each can be believed",
            f"""<p>On the grey line a classifier is right as often as its confidence says; drawn where there are {FEW} images or
more. ECE is the mean distance from it, over all images.</p>""",
            calibration(study),
            "exit_calibration",
        ),
        Section(
            "Images that leave at each exit",
            "<p>Above, those of which the exit is surest; below, those of which it was least sure and answered all the same.</p>",
            surest_and_least_sure(study, dataset, exit_of),
            "exit_images",
        ),
    ]
    return write_page_of(folder / "report" / "exits.html", "Early exit", sections)


def rows(study: ExitStudy) -> list[tuple[str, ...]]:
    """The kept thresholds, as texts: points allowed, threshold, error, multiply-adds, time, and the share of each classifier.

    Where more points allow no lower threshold, they share a row.
    """
    texts = []
    for _, equal in groupby(study.kept, key=lambda point: point.threshold):
        point, *others = equal
        texts.append(
            (
                f"+{point.above:g}" + (f" to +{others[-1].above:g}" if others else ""),
                f"{point.threshold:.6f}",
                f"{point.error:.2f}",
                f"{100 * point.cost:.1f} %",
                f"{100 * point.time:.1f} %",
                *(f"{share:.1f} %" for share in point.shares),
            )
        )
    return texts
