"""Set finished runs beside the poster's results, or print the poster's tables with the recipes and runs that reach each cell.

python -m cldl.report runs/mnist_nin-20260101-120000 runs/mnist_nin_softmax-20260101-130000
python -m cldl.report --poster
python -m cldl.report --poster runs/*
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from cldl.commands import guarded, leave, parser
from cldl.reporting import poster_tables
from cldl.reporting.html import document, table
from cldl.reporting.rows import HEAD, NUMBERS, Row, common_changes, finished, rows
from cldl.reporting.run_numbers import comma_separated, numbers
from cldl.training.run import Run
from engine.errors import UserError
from engine.io.files import atomic_write

WIDTH = 100  # of lines of text
WIDE = 72  # letters of a page: the tables have many columns
REMARK = (
    "Errors are those of the last epoch on the test images, never of the best; of several seeds the mean and the standard "
    "deviation. The time is that of the training steps of one run. The poster: Jin et al., ECCV 2016."
)


@dataclass(frozen=True)
class Section:
    """A table with its title and its remarks; the first `grouped` columns are left empty where they repeat the row above.

    Without a head there is no table.
    """

    title: str
    head: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()  # the columns that are aligned to the right
    cells: Sequence[tuple[str, ...]] = ()
    remarks: Sequence[str] = ()
    grouped: int = 0


def compare(found: Sequence[Row]) -> list[Section]:
    """Runs beside the poster."""
    common = common_changes(found)
    changed = [f"{'Changed in all' if len(found) > 1 else 'Changed'}: {', '.join(common)}."] if common else []
    return [Section("Runs beside the poster", HEAD, NUMBERS, [row.cells(common) for row in found], [*changed, REMARK])]


def reach(found: Sequence[Row]) -> list[Section]:
    """The poster's tables."""
    sections = [
        Section(t.title, poster_tables.HEAD, poster_tables.NUMBERS, list(poster_tables.cells(t, found)), [t.remark], 3)
        for t in poster_tables.TABLES
    ]
    if found:
        sections.append(Section("The runs", remarks=[*poster_tables.changes(found), poster_tables.NOTE]))
    others = list(poster_tables.outside())
    return [*sections, Section("Recipes without a cell", ("recipe", "why"), (), others)]


def markdown(section: Section) -> str:
    """A table in Markdown, its columns lined up, and its remarks."""
    remarks = [textwrap.fill(remark, WIDTH, break_on_hyphens=False) for remark in section.remarks]
    if not section.head:
        return "\n\n".join(remarks)
    head, numbers, cells = section.head, section.numbers, _grouped(section)
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    rule = ["-" * (w - 1) + ":" if i in numbers else "-" * w for i, w in enumerate(widths)]

    def line(texts: Sequence[str]) -> str:
        sides = (f"{text:{'>' if i in numbers else '<'}{widths[i]}}" for i, text in enumerate(texts))
        return f"| {' | '.join(sides)} |"

    return "\n\n".join(["\n".join(map(line, [head, rule, *cells])), *remarks])


def html(sections: Sequence[Section], drawing: str = "") -> str:
    """A page with the tables, and below the first of them a drawing."""
    parts = []
    for s in sections:
        remarks = "".join(f"\n<p>{escape(remark)}</p>" for remark in s.remarks)
        cells = table(s.head, _grouped(s), s.numbers) if s.head else ""
        parts.append(f"<h1>{escape(s.title)}</h1>\n{cells}{remarks}")
    parts.insert(1, drawing)
    return document(sections[0].title, "\n".join(parts), WIDE)


def _grouped(section: Section) -> list[tuple[str, ...]]:
    """The cells of a table; in the grouped columns, those equal to the row above are empty."""
    rows, last = list[tuple[str, ...]](), ("",) * len(section.head)
    for row in section.cells:
        same = next((i for i in range(section.grouped) if row[i] != last[i]), section.grouped)
        rows.append((*("" for _ in range(same)), *row[same:]))
        last = row
    return rows


def _numbers(found: Sequence[Row], of_poster: bool) -> list[dict]:
    """The lines of --csv."""
    if of_poster:
        return [line for table in poster_tables.TABLES for line in poster_tables.numbers(table, found)]
    return list(numbers(found))


def _left_out(folders: Sequence[Path], runs: Sequence[Run]) -> str:
    """A sentence for what is not in the table."""
    kept = {run.folder for run in runs}
    names = ", ".join(str(folder) for folder in folders if folder not in kept)
    return f"Left out, because they are not finished or hold no run: {names}."


def _curves(found: Sequence[Row]) -> str:
    """The learning curves as a part of a page; nothing where there are no runs."""
    if not found:
        return ""
    from cldl.reporting import comparison, page  # here, as matplotlib makes folders when it is imported

    text = "<p>The test error of the prediction after each epoch; runs that differ in their seeds alone have one colour.</p>"
    return page.part(page.Section("Learning curves", text, comparison.curves(found), "curves"))


def _draw(path: Path, found: Sequence[Row]) -> None:
    """Write the figure to a file of a kind that matplotlib knows; UserError where it does not, or there are no runs."""
    from cldl.reporting import comparison

    if not found:
        raise UserError("--curves draws the learning curves of runs: name their folders.")
    figure = comparison.curves(found)
    kind = path.suffix.removeprefix(".").lower()
    if kind not in figure.canvas.get_supported_filetypes():
        raise UserError(f"{path} has no name of a picture that can be drawn: give one such as curves.png.")
    with atomic_write(path) as file:
        figure.savefig(file, format=kind, dpi=180)


def _write(path: Path, text: str) -> None:
    with atomic_write(path, "w") as file:
        file.write(text)


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, or 2 for an error that the user can fix."""
    p = parser("cldl.report", "Set finished runs beside the poster's results: Markdown, on request also HTML and CSV.")
    p.add_argument("runs", type=Path, metavar="RUN", nargs="*", help="the runs' folders")
    p.add_argument("--poster", action="store_true", help="the poster's tables, with the recipes that reach each cell")
    p.add_argument("--html", type=Path, metavar="FILE", help="write a page with the table and the learning curves too")
    p.add_argument(
        "--csv", type=Path, metavar="FILE", help="write the numbers as comma-separated values too, a line a run"
    )
    p.add_argument(
        "--curves", type=Path, metavar="FILE", help="draw the learning curves in one figure: PNG, SVG or PDF"
    )
    options = p.parse_args(argv)
    if not options.runs and not options.poster:
        raise UserError(
            "no run was named: give the folders of finished runs, or --poster for the poster's tables alone."
        )
    runs, refused = [], []
    folders = list({os.path.realpath(folder): folder for folder in options.runs}.values())  # each counts once
    for folder in folders:
        try:
            runs.append(finished(folder))
        except UserError as error:
            refused.append(error)
    for refusal in refused:
        print(f"{'left out' if runs else 'error'}: {refusal}", file=sys.stderr)
    if refused and not runs:
        return 2
    found = rows(runs)
    sections = (reach if options.poster else compare)(found)
    if refused:
        sections[0] = replace(sections[0], remarks=[*sections[0].remarks, _left_out(folders, runs)])
    if options.csv:
        _write(options.csv, comma_separated(_numbers(found, options.poster)))
    if options.html:
        _write(options.html, html(sections, _curves(found)))
    if options.curves:
        _draw(options.curves, found)
    titles = [f"{section.title}\n\n" if options.poster else "" for section in sections]
    print("\n\n".join(title + markdown(section) for title, section in zip(titles, sections, strict=True)))
    return 0


if __name__ == "__main__":
    leave(main)
