"""The poster's two tables, each cell with the recipes that reach it, and what runs of them reached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from cldl.recipes import RECIPES
from cldl.recipes.recipe import Recipe
from cldl.reporting import poster
from cldl.reporting.rows import NONE, Row, with_spread
from cldl.training.seen import Seen

HEAD = ("data set", "system", "the poster", "here", "recipe")
NUMBERS = (2, 3)  # the columns that are aligned to the right


@dataclass(frozen=True)
class Table:
    """One of the poster's tables.

    systems -- its columns; a data set has no number where the poster has a dash
    """

    title: str
    cells: poster.Cells
    systems: tuple[str, ...]
    remark: str


TABLES = (
    Table(
        "Object classification: test error in %, on ImageNet of the five best classes",
        poster.ERRORS,
        ("Maxout", "NIN", "DSN", "GoogLeNet", "CLDL"),
        "CLDL has three classifiers, on NIN, and on GoogLeNet for ImageNet. Augmented: the poster's CIFAR-100*.",
    ),
    Table(
        "Scene classification: accuracy in %, on Places205 of the five best classes",
        poster.ACCURACIES,
        tuple(poster.ACCURACIES["MIT67"]),
        "CLDL has three classifiers, on VGG with 11, 16 and 11 convolutional layers. Places and Places-AlexNet are one network. "
        "The first column does not fit its labels: the paper of Places has 68.24 for MIT67 and 54.32 for SUN397, and its 50.0 "
        "for Places205 counts the best class alone.",
    ),
)
NOTE = (
    "Here: after the last epoch, never the best one, of runs on whole data sets; of several seeds the mean and the standard "
    "deviation; of runs that differ in more, the best."
)


def cells(table: Table, rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """The texts under HEAD: a line for each cell of the poster's table and each recipe that reaches it; gaps are shown too."""
    for data, system, published, found, recipe in _reached(table, rows):
        if published is None:
            yield data, system, NONE, "", ""
        else:
            yield data, system, f"{published:.2f}", with_spread(found) if found else NONE, recipe


def numbers(table: Table, rows: Sequence[Row]) -> Iterator[dict[str, str | int | float | None]]:
    """The same as numbers in full precision."""
    for data, system, published, found, recipe in _reached(table, rows):
        yield {
            "data_set": data,
            "system": system,
            "poster": published,
            "here": mean(found) if found else None,
            "standard_deviation": stdev(found) if len(found) > 1 else None,
            "seeds": len(found),
            "recipe": recipe,
        }


def _reached(table: Table, rows: Sequence[Row]) -> Iterator[tuple[str, str, float | None, list[float], str]]:
    """Data set, system, the poster's number, what each seed reached, and the recipe; a gap has no number and no recipe."""
    for data, published in table.cells.items():
        for system in table.systems:
            if system not in published:
                yield data, system, None, [], ""
                continue
            for recipe, row in _reach(data, system, rows):
                yield data, system, published[system], _result(data, system, row), recipe


def outside() -> Iterator[tuple[str, str]]:
    """The recipes that reach no cell, and why."""
    for recipe in RECIPES.values():
        if reason := poster.why_not(recipe):
            yield recipe.name, reason


def changes(rows: Sequence[Row]) -> Iterator[str]:
    """Of each row what was changed of its recipe, and why it is not shown, where it is not: a line each."""
    shown = [
        row
        for table in TABLES
        for data, own in table.cells.items()
        for system in own
        for _, row in _reach(data, system, rows)
    ]
    for row in rows:
        seeds = ", ".join(str(run.config["seed"]) for run in row.runs)
        parts = [f"seed{'s' if len(row.runs) > 1 else ''} {seeds}", f"epochs {row.epochs}", *row.changes]
        if row not in shown:
            reason = row.limits.strip(" ()") or poster.why_not(row.recipe) or "another row is better"
            parts.append(f"not shown: {reason}")
        yield f"{row.recipe.name}: {'; '.join([*parts, *_other_tests(row)])}"


def _other_tests(row: Row) -> Iterator[str]:
    """What the runs reached in tests that saw the images in other ways."""
    data = poster.dataset(row.recipe)
    key = "test_top5_error" if data in poster.TOP5 else "test_error"
    found: dict[Seen, list[float]] = {}
    for line in (line for run in row.runs for line in run.evaluations() if key in line):
        error = line[key]["fused"]
        found.setdefault(Seen.of_line(line), []).append(error if data in poster.ERRORS else 100 - error)
    for seen, values in found.items():
        yield f"{seen}: {with_spread(values)}"


def _reach(data: str, system: str, rows: Iterable[Row]) -> Iterator[tuple[str, Row | None]]:
    """The recipes that reach a cell, and of each the row with the smallest error, if there is one."""
    system = "Places-AlexNet" if system == poster.MISLABELLED else system
    own = [row for row in rows if not row.limits and _is_of(row.recipe, data, system)]
    names = [recipe.name for recipe in RECIPES.values() if _is_of(recipe, data, system)]
    for name in dict.fromkeys([*names, *(row.recipe.name for row in own)]):
        mine = [row for row in own if row.recipe.name == name]
        yield name, min(mine, key=lambda row: mean(row.errors), default=None)


def _is_of(recipe: Recipe, data: str, system: str) -> bool:
    return (poster.dataset(recipe), poster.method(recipe)) == (data, system) and not poster.why_not(recipe)


def _result(data: str, system: str, row: Row | None) -> list[float]:
    """What the runs of a row reached, in the poster's measure."""
    is_top5 = data in poster.TOP5 and system != poster.MISLABELLED
    errors = row.last("test_top5_error" if is_top5 else "test_error") if row else []
    return errors if data in poster.ERRORS else [100 - error for error in errors]
