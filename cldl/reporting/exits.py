"""The figures and the page of early exit: error against cost, who leaves where, and how far each classifier can be believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cldl import exits
from cldl.exits import reliability, sureness
from cldl.reporting import page
from cldl.reporting.gallery import show_images
from cldl.reporting.html import table
from cldl.reporting.poster import classifier_names
from cldl.reporting.style import BAR, GRID, colour, legend, new_figure
from cldl.training.early_exit import ExitStudy
from data.dataset import Dataset

COST, HISTOGRAM, CALIBRATION, IMAGES = (7, 4.4), (7, 3.8), (3.1, 3.4), (9, 2.1)  # inches; the last two a classifier
COLUMNS = 8  # of images
FEW = 10  # images, of which a share says nothing
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
    axes.plot([100 * point.cost for point in study.kept], [point.error for point in study.kept], **KEPT)
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
    bottom = np.zeros(shares.shape[1])
    for m, (name, share) in enumerate(zip(classifier_names(M), shares, strict=True)):
        axes.bar(range(len(share)), share, 0.8, bottom=bottom, color=colour(m), label=name, **BAR)
        bottom += share
    axes.set_xticks(range(len(bottom)), [f"+{point.above:g}\n{point.threshold:.4f}" for point in study.kept])
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
        axes.set_title(f"{classifier_names(M)[m]}\nECE {before:.2f} %, {after:.2f} % at {tau:.2f}", fontsize=9)
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


def write_page(folder: Path, study: ExitStudy, dataset: Dataset, exit_of: np.ndarray) -> Path:
    """Write report/exits.html of a run, self-contained, and its figures beside it; the path of the page.

    exit_of -- (N,), where the images leave at the threshold that is allowed 0.05 points
    """
    M, count = len(study.logits), len(study.labels)
    sections = (
        ("exit_cost", "Error against cost", error_against_cost(study), "Each point of a line is a threshold."),
        ("exit_shares", "Who answers", who_leaves(study), f"Of the {count:,} images, by the threshold."),
        (
            "exit_calibration",
            "How far each can be believed",
            calibration(study),
            "On the grey line a classifier is right as often as its confidence says; drawn where there are "
            f"{FEW} images or more. ECE is the mean distance from it, over all images.",
        ),
        (
            "exit_images",
            "Images that leave at each exit",
            surest_and_least_sure(study, dataset, exit_of),
            "Above, those of which the exit is surest; below, those of which it was least sure and answered all the same.",
        ),
    )
    head = (
        "points above",
        "threshold",
        "error in %",
        "multiply-adds",
        "time",
        *(f"classifier {m + 1}" for m in range(M)),
    )
    body = [
        f"""<h1>Early exit</h1>
<p>The first classifier whose {study.measure} reaches the threshold answers, and the layers above it are not computed.
Temperatures, the measure and the thresholds were chosen on {study.fitted_on}; every number below is of the {study.tried_on},
of which all classifiers together get <strong>{study.error:.2f} %</strong> wrong.</p>
{table(head, rows(study), numbers=range(len(head)))}"""
    ]
    return page.write_page(folder / "report" / "exits.html", "Early exit", body, sections)


def rows(study: ExitStudy) -> list[tuple[str, ...]]:
    """The kept thresholds, as texts: points allowed, threshold, error, multiply-adds, time, and the share of each classifier."""
    return [
        (
            f"+{point.above:g}",
            f"{point.threshold:.6f}",
            f"{point.error:.2f}",
            f"{100 * point.cost:.1f} %",
            f"{100 * point.time:.1f} %",
            *(f"{share:.1f} %" for share in point.shares),
        )
        for point in study.kept
    ]
