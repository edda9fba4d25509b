"""The figures of the study: each function gives a matplotlib figure and changes no global state.

p_1 and p_2 are the probabilities that two classifiers give the target. The maps show -∂L/∂d, of a
classifier's margin d: how strongly gradient descent increases that margin.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from cldl.study import forms, oracles
from cldl.study.picture import method
from cldl.study.terms import EXAMPLE, TARGET, terms, two_class_logits
from engine.typing import Array

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "0.45"  # Okabe and Ito, 2008
GRID = np.linspace(0.01, 0.99, 99)  # of p_1 and of p_2


def write(folder: Path) -> list[Path]:
    """Write all figures as PNG files into a folder, which is created; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for make in (method, surfaces, companions, naive_form, v_curve, leader):
        path = folder / f"{make.__name__}.png"
        make().savefig(path, dpi=110)
        paths.append(path)
    return paths


def surfaces(weights: tuple[float, float] = (1.0, 1.0), exponent: float = 1.0) -> Figure:
    """The loss of two classifiers over p_1 and p_2, -∂L/∂d of classifier 1 with the companion term and without."""
    shape = (len(GRID), len(GRID))
    loss, own, pull = np.empty(shape), np.empty(shape), np.empty(shape)
    for i, p2 in enumerate(GRID):
        for j, p1 in enumerate(GRID):
            t = terms(two_class_logits([p1, p2]), weights=weights, exponent=exponent)
            loss[i, j], own[i, j], pull[i, j] = t.value, t.own[0], -t.dd[0]
    figure = Figure(figsize=(11, 9.4), layout="constrained")
    (a, b), (c, d) = figure.subplots(2, 2)
    levels = [0.05, 0.1, 0.2, 0.5, 1, 2, 5]
    tenths = [n / 10 for n in range(1, 10)]
    images = (
        _surface(a, loss, "the loss L", levels),
        _surface(b, own, r"$-\partial L / \partial d_1$, companions held constant", levels),
        _surface(c, pull, r"$-\partial L / \partial d_1$, companion term included", levels),
        _surface(d, (pull - own) / pull, "the companion term's share of it", tenths, Normalize(0, 1)),
    )
    for axes, image in zip((a, b, c, d), images, strict=True):
        figure.colorbar(image, ax=axes)
        axes.set(xlabel="$p_1$, classifier 1 on the target", ylabel="$p_2$, its companion on the target")
    return figure


def companions() -> Figure:
    """T^(1) of three classifiers over p_2 and p_3, for three exponents."""
    q2, q3 = np.meshgrid(1 - GRID, 1 - GRID)
    figure = Figure(figsize=(12.4, 4.2), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    kinds = ((0.5, "g = 1/2: the geometric mean"), (1.0, "g = 1: the plain product"), (2.0, "g = 2: as printed, M - 1"))
    levels, norm = [0.01, 0.03, 0.1, 0.3, 0.6], LogNorm(1e-3, 1)
    images = [
        _surface(axes, (q2 * q3) ** g, title, levels, norm) for axes, (g, title) in zip(panels, kinds, strict=True)
    ]
    for axes in panels:
        axes.set_xlabel("$p_2$, one companion on the target")
    panels[0].set_ylabel("$p_3$, the other one")
    figure.colorbar(images[-1], ax=panels, extend="min", label="$T^{(1)}$: what the companions leave to classifier 1")
    return figure


def naive_form(points: int = 121) -> Figure:
    """The relative error of both ways to write the gradient, against the target's logit, in both precisions."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    weights, g = np.ones(3), 0.5
    for axes, dtype, reach in zip(figure.subplots(1, 2), ("float32", "float64"), (130, 800), strict=True):
        x = np.union1d(np.linspace(-reach, reach, points), np.linspace(0, 40, 41))
        errors = {forms.naive: np.empty(len(x)), forms.stable: np.empty(len(x))}
        for i, logit in enumerate(x):
            z = moved_example(logit).astype(dtype)
            truth = forms.exact(z, TARGET, weights, g, 40)
            for form, found in errors.items():
                found[i] = forms.worst_error(form(z, TARGET, weights, g), truth)
        for (form, found), colour, marker in zip(errors.items(), (ORANGE, BLUE), "x.", strict=True):
            lost = ~np.isfinite(found)
            axes.plot(
                x[~lost], found[~lost].clip(1e-18), marker, color=colour, markersize=5, label=f"{form.__name__} form"
            )
            axes.plot(x[lost], np.full(lost.sum(), 1e3), "|", color=colour, markersize=11)
        eps = float(np.finfo(np.dtype(dtype)).eps)
        axes.axhline(eps, color=GREY, linewidth=0.8)
        axes.text(-reach, eps * 0.6, f"machine epsilon, {eps:.1g}", color=GREY, va="top", fontsize=9)
        axes.text(0, 2e4, "bars: not a number, or infinite", color=ORANGE, ha="center", fontsize=9)
        axes.set(title=dtype, yscale="log", ylim=(eps / 100, 3e5))
        axes.set(xlabel="the target's logit in classifier 3 (its other logits near 0)", ylabel="largest relative error")
        axes.legend(loc="center", bbox_to_anchor=(0.33, 0.55))
    return figure


def moved_example(logit: float) -> Array:
    """The logits of the worked example (M, K), with the top classifier's target at `logit` and its other logits near 0."""
    z = np.log(EXAMPLE)
    z[-1] = [logit, 0.3, -0.2]
    return z


def v_curve() -> Figure:
    """The error of a numeric gradient against its step: differences in both precisions, and the complex step."""
    z = np.log(EXAMPLE)
    t = terms(z)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    steps = np.logspace(-14, 0, 85)
    for dtype, colour in ((np.float32, ORANGE), (np.float64, BLUE)):
        shown = steps[steps > 8 * np.finfo(dtype).eps]
        with np.errstate(all="ignore"):
            found = [
                _distance(oracles.by_differences(z.astype(dtype), TARGET, t.weights, t.g, h), t.gradients)
                for h in shown
            ]
        axes.loglog(shown, found, ".-", color=colour, label=f"central differences in {np.dtype(dtype).name}")
        best = float(np.finfo(dtype).eps) ** (1 / 3)
        axes.axvline(best, color=colour, linewidth=0.8, linestyle="--")
    exact = [_distance(oracles.by_complex_step(z, TARGET, t.weights, t.g, h), t.gradients) for h in steps]
    axes.loglog(steps, np.maximum(exact, 1e-17), ".-", color=GREEN, label="complex step in float64")
    axes.text(3e-10, 1e-3, "rounding:\nerror ~ eps / step", color=GREY)
    axes.text(1e-2, 1e-8, "truncation:\nerror ~ step$^2$", color=GREY)
    axes.text(8e-6, 3e-16, "dashed: step = $\\sqrt[3]{eps}$", color=GREY, fontsize=8)
    axes.set(xlabel="step", ylabel="largest error, as a share of the largest gradient")
    axes.set_title("the gradient of the worked example by numeric methods, against the formula")
    axes.legend(loc=(0.03, 0.18))
    return figure


def leader() -> Figure:
    """Where two classifiers go under gradient descent on their margins, with the companion term and without."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    starts = [(0.1, 0.2), (0.1, 0.5), (0.1, 0.8), (0.3, 0.4), (0.4, 0.3), (0.2, 0.1), (0.5, 0.1), (0.8, 0.1)]
    for axes, through in zip(figure.subplots(1, 2), (False, True), strict=True):
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        for start in starts:
            path = follow(start, through)
            colour = BLUE if start[1] > start[0] else ORANGE
            axes.plot(path[:, 0], path[:, 1], color=colour, linewidth=1.2)
            axes.plot(*start, "o", color=colour, markersize=5)
            axes.plot(path[::100, 0], path[::100, 1], ".", color=colour, markersize=6)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="$p_1$", ylabel="$p_2$")
        axes.set_title("companion term included" if through else "companions held constant")
    figure.suptitle(
        "a sample's two probabilities, under gradient descent on their margins (small dots: every 10 units of time)"
    )
    return figure


def follow(p: tuple[float, ...], through_companions: bool, time: float = 60.0, step: float = 0.1) -> Array:
    """The probabilities (1 + time / step, M) along ∂d/∂t = -∂L/∂d (explicit Euler), from p (M,)."""
    d = np.log(p) - np.log1p(-np.asarray(p))
    path = [np.asarray(p, np.float64)]
    for _ in range(round(time / step)):
        now = terms(np.stack([d, np.zeros_like(d)], axis=1), through_companions=through_companions)
        d = d - step * now.dd
        path.append(1 / (1 + np.exp(-d)))
    return np.array(path)


def _surface(axes: Axes, values: Array, title: str, levels: list[float], norm: Normalize = LogNorm(0.003, 6)):  # noqa: B008 - never changed
    """A map of values over GRID x GRID with labelled contour lines; returns the image, for a colour bar."""
    image = axes.pcolormesh(GRID, GRID, values, cmap="viridis", norm=norm, shading="nearest", rasterized=True)
    lines = axes.contour(GRID, GRID, values, levels=levels, colors="white", linewidths=0.9)
    axes.clabel(lines, fmt="%g", fontsize=8)
    axes.set(title=title, aspect="equal")
    return image


def _distance(got: Array, expected: Array) -> float:
    return float(np.abs(got - expected).max() / np.abs(expected).max())
