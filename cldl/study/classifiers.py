"""The poster's second figure: NIN on CIFAR-100, the error against the number of classifiers, plain and augmented.

Each point is a run in a folder of its own, so the study can be stopped at any time and continues where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cldl import train
from cldl.reporting import poster
from cldl.training.run import Run
from engine.errors import UserError
from engine.io.files import atomic_write, make_folder

COUNTS = (1, 2, 3, 4, 5)  # M
SERIES = {  # recipe: what it is called, its colour (Okabe and Ito, 2008), its marker
    "cifar100_nin": ("without augmentation", "#0072B2", "o"),
    "cifar100_nin_augmented": ("with augmentation", "#D55E00", "s"),
}
SAME = (
    "seed",
    "limit_train",
    "limit_test",
    "held_out",
)  # what must be as in the run's configuration, beside its recipe
Points = dict[str, dict[int, float]]  # recipe: M: the test error in %


def classifiers(out: Path, options: Sequence[str]) -> int:
    """Train what is not trained yet, each with the options of `cldl.train`; the figure is drawn anew after every run.

    Returns the exit status: that of the first run which did not come to its end.
    Raises:    UserError where a folder holds a run with other settings.
    """
    points: Points = {recipe: {} for recipe in SERIES}
    for recipe in SERIES:
        for M in COUNTS:
            folder = out / f"{recipe}-{M}"
            arguments = [recipe, "--classifiers", str(M), *options]
            if not _finished(folder, arguments) and (status := train_or_resume(arguments, folder)):
                return status
            points[recipe][M] = Run.open(folder).metrics()[-1]["test_error"]["fused"]
            figure = make_folder(out) / "classifiers.png"
            with atomic_write(figure) as file:
                draw(points).savefig(file, format="png", dpi=150)
    print("\n".join(table(points)))
    print(f"figure: {figure}")
    return 0


def train_or_resume(arguments: Sequence[str], folder: Path) -> int:
    """Train the run in a folder, from its beginning or from where it was stopped; the exit status of `cldl.train`."""
    resume = ["--resume"] if (folder / "config.json").exists() else []
    return train.main([*arguments, "--run", str(folder), *resume])


def _finished(folder: Path, arguments: Sequence[str]) -> bool:
    """Whether the folder holds the finished run that these arguments ask for."""
    if not (folder / "config.json").exists():
        return False
    args, run = train.parse(arguments), Run.open(folder)
    recipe = train.choose_recipe(args)
    asked = {name: getattr(args, name) for name in SAME} | {"seed": args.seed or 0}
    if run.recipe != recipe or any(run.config.get(name) != value for name, value in asked.items()):
        raise UserError(f"{folder} holds a run with other settings: give the same options, or another --out.")
    return len(run.metrics()) == recipe.schedule.epochs


def table(points: Points) -> list[str]:
    """The errors as lines of text, a number of classifiers a line."""
    names = [SERIES[recipe][0] for recipe in points]
    lines = ["classifiers  " + "  ".join(names)]
    for M in COUNTS:
        cells = [f"{errors[M]:.2f} %" if M in errors else "" for errors in points.values()]
        shown = "  ".join(f"{cell:>{len(name)}}" for cell, name in zip(cells, names, strict=True))
        lines.append(f"{M:>11}  {shown}".rstrip())
    return lines


def draw(points: Points) -> Figure:
    """The poster's axes: the test error against the number of classifiers; what the poster's table says of M = 1 and 3."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    for recipe, errors in points.items():
        name, colour, marker = SERIES[recipe]
        theirs = poster.errors("CIFAR-100", recipe.endswith("augmented"))
        hollow: dict[str, Any] = {"marker": marker, "markerfacecolor": "none", "linestyle": "none", "color": colour}
        axes.plot(
            [1, poster.CLASSIFIERS], [theirs["NIN"], theirs["CLDL"]], label=f"{name}, the poster's table", **hollow
        )
        if errors:
            axes.plot(list(errors), list(errors.values()), color=colour, marker=marker, label=name)
        for M, error in errors.items():
            axes.annotate(f"{error:.2f}", (M, error), (0, 7), textcoords="offset points", ha="center", fontsize=8)
    axes.set_xlabel("number of classifiers")
    axes.set_ylabel("test error in %")
    axes.set_xlim(COUNTS[0] - 0.4, COUNTS[-1] + 0.4)
    axes.margins(y=0.15)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure
