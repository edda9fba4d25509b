"""Set finished runs beside the poster's table.

python -m cldl.report runs/mnist_nin-20260101-120000 runs/mnist_nin_softmax-20260101-130000
"""

from __future__ import annotations

import csv
import io
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from cldl.commands import guarded, leave, parser
from cldl.recipes import leaves
from cldl.recipes.recipe import COMMAND_LINE
from cldl.reporting import poster
from cldl.reporting.html import document, table
from cldl.training.run import Run
from cldl.training.throughput import duration
from engine.errors import UserError
from engine.io.files import atomic_write

HEAD = ("data set", "method", "error in %", "the poster", "difference", "seeds", "epochs", "hardware", "time")
NUMBERS = (2, 3, 4, 6, 8)  # the columns that are aligned to the right
NONE = "-"
REMARK = (
    "Errors are those of the last epoch on the test images, never of the best; of several seeds the mean and the standard "
    "deviation. The time is that of the training steps of one run. The poster: Jin et al., ECCV 2016."
)


@dataclass(frozen=True)
class Row:
    """Finished runs that differ in their seeds alone."""

    runs: tuple[Run, ...]

    @property
    def errors(self) -> list[float]:
        """Of each run, in %."""
        return [run.metrics()[-1]["test_error"]["fused"] for run in self.runs]

    def cells(self) -> tuple[str, ...]:
        """The texts under HEAD."""
        config, recipe = self.runs[0].config, self.runs[0].recipe
        error, theirs = statistics.mean(self.errors), self.poster
        spread = f" ± {statistics.stdev(self.errors):.2f}" if len(self.runs) > 1 else ""
        seconds = statistics.mean(sum(line["seconds"] for line in run.metrics()) for run in self.runs)
        return (
            poster.dataset(recipe) + self.limits,
            f"{poster.method(recipe)} ({', '.join([recipe.name, *self.changes])})",
            f"{error:.2f}{spread}",
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
        recipe = self.runs[0].recipe
        return None if self.limits else poster.errors(poster.dataset(recipe)).get(poster.method(recipe))

    @property
    def epochs(self) -> str:
        """Their number, and those that it was before a run was continued with more or fewer."""
        changed = [str(note["epochs"]) for note in self.runs[0].config.get("changed_epochs", [])]
        return " → ".join([*changed, str(self.runs[0].recipe.schedule.epochs)])

    @property
    def limits(self) -> str:
        """How the data differ from the whole data set."""
        parts = [("train", "training"), ("test", "test")]
        limits = [
            f"first {n:,} {name}" for key, name in parts if (n := self.runs[0].config[f"limit_{key}"]) is not None
        ]
        return f" ({', '.join(limits)} images)" if limits else ""

    @property
    def changes(self) -> list[str]:
        """The values that were given on the command line, but for the epochs, which have a column."""
        recipe = self.runs[0].recipe
        values = {section: spec.kind for section, spec in recipe.specs.items()} | recipe.leaves
        given = [
            name for name, source in recipe.sources.items() if source == COMMAND_LINE and name != "schedule.epochs"
        ]
        return [f"{name.rpartition('.')[2]} {leaves.show(values[name])}" for name in given]


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
        conditions = ("limit_train", "limit_test", "held_out", "machine", "threads")
        key = (run.recipe, repr(run.config.get("changed_epochs")), *(run.config.get(name) for name in conditions))
        found.setdefault(key, []).append(run)
    return [Row(tuple(group)) for group in found.values()]


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, its columns lined up."""
    widths = [max(map(len, column)) for column in zip(HEAD, *cells, strict=True)]
    rule = ["-" * (w - 1) + ":" if i in NUMBERS else "-" * w for i, w in enumerate(widths)]

    def line(texts: Sequence[str]) -> str:
        sides = (f"{text:{'>' if i in NUMBERS else '<'}{widths[i]}}" for i, text in enumerate(texts))
        return f"| {' | '.join(sides)} |"

    return "\n".join(map(line, [HEAD, rule, *cells]))


def html(cells: Sequence[Sequence[str]]) -> str:
    """A page with the table."""
    title = "Runs beside the poster"
    return document(title, f"<h1>{title}</h1>\n{table(HEAD, cells, NUMBERS)}\n<p>{escape(REMARK)}</p>")


def comma_separated(cells: Sequence[Sequence[str]]) -> str:
    """The table as CSV, its head first."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEAD, *cells])
    return text.getvalue()


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, or 2 for an error that the user can fix."""
    p = parser("cldl.report", "Set finished runs beside the poster's table: Markdown, on request also HTML and CSV.")
    p.add_argument("runs", type=Path, metavar="RUN", nargs="+", help="the runs' folders")
    p.add_argument("--html", type=Path, metavar="FILE", help="write the table as a page too")
    p.add_argument("--csv", type=Path, metavar="FILE", help="write the table as comma-separated values too")
    options = p.parse_args(argv)
    runs, refused = [], []
    for folder in options.runs:
        try:
            runs.append(finished(folder))
        except UserError as error:
            refused.append(error)
    for refusal in refused:
        print(f"{'left out' if runs else 'error'}: {refusal}", file=sys.stderr)
    if not runs:
        return 2
    cells = [row.cells() for row in rows(runs)]
    for path, write in ((options.html, html), (options.csv, comma_separated)):
        if path:
            with atomic_write(path, "w") as file:
                file.write(write(cells))
    print(f"{markdown(cells)}\n\n{REMARK}")
    return 0


if __name__ == "__main__":
    leave(main)
