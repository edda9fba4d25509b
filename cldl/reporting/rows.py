"""Finished runs as rows of a table: those that differ in their seeds alone are one."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cldl.recipes import leaves
from cldl.recipes.recipe import COMMAND_LINE, Recipe
from cldl.reporting import poster
from cldl.training.run import Run
from cldl.training.throughput import duration
from engine.errors import UserError

HEAD = ("data set", "method", "error in %", "the poster", "difference", "seeds", "epochs", "hardware", "time")
NUMBERS = (2, 3, 4, 6, 8)  # the columns that are aligned to the right
NONE = "-"


@dataclass(frozen=True)
class Row:
    """Finished runs that differ in their seeds alone."""

    runs: tuple[Run, ...]

    @property
    def recipe(self) -> Recipe:
        """That of the runs."""
        return self.runs[0].recipe

    @property
    def data(self) -> str:
        """What a reader calls their data: a folder of one's own by its name."""
        is_folder = self.recipe.data.dataset == "folder"
        return (is_folder and self.runs[0].config.get("dataset_name")) or poster.dataset(self.recipe)

    @property
    def is_top5(self) -> bool:
        """Whether the errors are top-5 errors: the poster reports these for the data set, and the runs have them."""
        return poster.dataset(self.recipe) in poster.TOP5 and bool(self.last("test_top5_error"))

    @property
    def errors(self) -> list[float]:
        """Of each run after its last epoch, in %."""
        return self.last("test_top5_error" if self.is_top5 else "test_error")

    def last(self, name: str) -> list[float]:
        """An error of the prediction in the last line of each run's metrics; empty if a run lacks it."""
        lines = [run.metrics()[-1] for run in self.runs]
        return [line[name]["fused"] for line in lines] if all(name in line for line in lines) else []

    def cells(self, common: Sequence[str]) -> tuple[str, ...]:
        """The texts under HEAD, without the changes that are `common`."""
        config, recipe = self.runs[0].config, self.recipe
        error, theirs = statistics.mean(self.errors), self.poster
        seconds = statistics.mean(sum(line["seconds"] for line in run.metrics()) for run in self.runs)
        return (
            self.data + (", top-5" if self.is_top5 else "") + self.limits,
            f"{poster.method(recipe)} ({', '.join([recipe.name, *self.own_changes(common)])})",
            with_spread(self.errors),
            NONE if theirs is None else f"{theirs:.2f}",
            NONE if theirs is None else f"{error - theirs:+.2f}",
            ", ".join(str(run.config["seed"]) for run in self.runs),
            self.epochs,
            f"{config['machine']}, {config['threads']} thread{'' if config['threads'] == 1 else 's'}",
            duration(seconds),
        )

    @property
    def poster(self) -> float | None:
        """The poster's error of this method on these data, where it has one."""
        data = poster.dataset(self.recipe)
        published = poster.top5_errors(data) if self.is_top5 else poster.errors(data)
        return None if self.limits else published.get(poster.method(self.recipe))

    @property
    def epochs(self) -> str:
        """Their number, and those that it was before a run was continued with more or fewer."""
        changed = [str(note["epochs"]) for note in self.runs[0].config.get("changed_epochs", [])]
        return " → ".join([*changed, str(self.recipe.schedule.epochs)])

    @property
    def limits(self) -> str:
        """How the data differ from the whole data set."""
        names = [("train", "training"), ("test", "test")]
        limits = [
            f"first {n:,} {name}" for key, name in names if (n := self.runs[0].config[f"limit_{key}"]) is not None
        ]
        held_out = self.runs[0].config.get("held_out")
        parts = [f"{', '.join(limits)} images"] if limits else []
        parts += [f"tested on {held_out:,} training images"] if held_out else []
        return f" ({', '.join(parts)})" if parts else ""

    @property
    def changes(self) -> list[str]:
        """The values that were given on the command line, but for the epochs, which have a column."""
        values = {section: spec.kind for section, spec in self.recipe.specs.items()} | self.recipe.leaves
        given = [n for n, source in self.recipe.sources.items() if source == COMMAND_LINE and n != "schedule.epochs"]
        return [f"{name.rpartition('.')[2]} {leaves.show(values[name])}" for name in given]

    def own_changes(self, common: Sequence[str]) -> list[str]:
        """The changes that are not among those of all rows."""
        return [change for change in self.changes if change not in common]


def finished(folder: Path) -> Run:
    """The run in a folder; raises UserError if there is none, or it is not finished."""
    run = Run.open(folder)
    epochs, wanted = len(run.metrics()), run.recipe.schedule.epochs
    if epochs < wanted:
        raise UserError(
            f"{folder} has {epochs} of its {wanted} epochs: finish it with python -m cldl.train --resume --run {folder}."
        )
    return run


def rows(runs: Sequence[Run]) -> list[Row]:
    """The runs, those that differ in their seeds alone in one row; in the order in which they were named."""
    found: dict[tuple, list[Run]] = {}
    for run in runs:
        conditions = ("training_sha256", "limit_train", "limit_test", "held_out", "machine", "threads")
        key = (
            replace(run.recipe, summary=""),
            repr(run.config.get("changed_epochs")),
            *(run.config.get(name) for name in conditions),
        )
        found.setdefault(key, []).append(run)
    return [Row(tuple(group)) for group in found.values()]


def common_changes(rows: Sequence[Row]) -> list[str]:
    """The changes that all rows have made."""
    return [change for change in rows[0].changes if all(change in row.changes for row in rows)] if rows else []


def with_spread(values: Sequence[float]) -> str:
    """The mean, and the standard deviation of several.

    >>> with_spread([0.4]), with_spread([0.4, 0.6])
    ('0.40', '0.50 ± 0.14')
    """
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"
