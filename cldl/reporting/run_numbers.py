"""Finished runs as numbers for other programs: one line per run, in full precision."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from cldl.reporting import poster
from cldl.reporting.rows import Row
from cldl.reporting.summary import time_and_speed

Numbers = dict[str, str | int | float | None]


def numbers(rows: Sequence[Row]) -> list[Numbers]:
    """Of each run what it was and what it reached, errors in %; of the poster's measure, see `Row.errors`."""
    return [of_run(row, i) for row in rows for i in range(len(row.runs))]


def of_run(row: Row, i: int) -> Numbers:
    """The i-th run of a row."""
    run = row.runs[i]
    lines, config = run.metrics(), run.config
    last = lines[-1]
    seconds, images_per_second = time_and_speed(lines)
    return {
        "run": str(run.folder),
        "data_set": row.data,
        "method": poster.method(row.recipe),
        "recipe": row.recipe.name,
        "changes": ", ".join(row.changes),
        "seed": config["seed"],
        "epochs": len(lines),
        "measure": "top-5 error" if row.is_top5 else "error",
        "error": row.errors[i],
        "poster": row.poster,
        **{f"error_{name}": error for name, error in last["test_error"].items()},
        **{f"training_error_{name}": error for name, error in last["train_error"].items()},
        "seconds": seconds,
        "images_per_second": images_per_second,
        "machine": config["machine"],
        "threads": config["threads"],
        **{limit: config.get(limit) for limit in ("limit_train", "limit_test", "held_out")},
    }


def comma_separated(lines: Sequence[Mapping[str, str | int | float | None]]) -> str:
    """Lines as CSV with a head; what a line does not have is empty."""
    names = dict.fromkeys(name for line in lines for name in line)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
