"""python -m cldl.gradcheck: every layer, network and loss of the project against differences, as a table.

Each layer is drawn several times, with other shapes, strides, paddings and so on, and every check of
`engine.gradcheck.check_layer` runs on each; losses and whole networks are held against differences. The exit status is 0
if all passed, 1 if something failed and 2 for a wrong argument.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from cldl.commands import guarded, leave, parser, whole
from cldl.verification.cases import LAYERS
from cldl.verification.end_to_end import END_TO_END, ONCE
from engine.errors import UserError
from engine.gradcheck import check_layer
from engine.random import Key

EXAMPLES = 10


@dataclass
class Row:
    """What was found for one layer or loss: the number of examples and checks, the worst error, and the failures."""

    name: str
    examples: int = 0
    checks: int = 0
    relative: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.failures


def chooser(key: Key) -> Callable[[int, int], int]:
    """`choose(low, high)`: integers drawn from a key, one after another."""
    drawn = 0

    def choose(low: int, high: int) -> int:
        nonlocal drawn
        drawn += 1
        return low + int(key.fold(drawn).words(1)[0]) % (high - low + 1)

    return choose


def check(name: str, examples: int, seed: int) -> Iterator[Row]:
    """Check one layer or loss on `examples` examples; yields the row after each."""
    row = Row(name)
    for example in range(1 if name in ONCE else examples):
        key = Key(seed).fold(example)
        row.examples += 1
        if name in LAYERS:
            layer, shape, samples, own_seed = LAYERS[name](chooser(key))
            report = check_layer(layer, shape, samples=samples, seed=own_seed)
            row.checks += report.ran
            row.relative = max(row.relative, report.relative)
            where = f"{report.layer}, input shape {shape}, {samples} samples, seed {own_seed}"
            row.failures += [f"{r.name} ({where}): {r.message}" for r in report.results if not r.passed]
        else:
            found = END_TO_END[name](chooser(key), key.word & 0xFFFFFF)
            row.checks += len(found.entries)
            row.relative = max(row.relative, *(e.relative for e in found.entries))
            if not found.passed:
                row.failures.append(str(found))
        yield row


def check_all(names: Sequence[str], examples: int, seed: int, *, progress: bool = False) -> list[Row]:
    """Check each of `names`."""
    rows = []
    for name in names:
        done: Iterable[Row] = check(name, examples, seed)
        if progress:
            total = 1 if name in ONCE else examples
            console = Console(stderr=True)
            done = track(done, description=f"{name:<14}", total=total, console=console, transient=True)
        rows.append(list(done)[-1])
    return rows


def table(rows: Sequence[Row]) -> Table:
    """The rows as a table to print."""
    shown = Table("layer or loss", "examples", "checks", "worst relative error", "verdict")
    for r in rows:
        verdict = "passed" if r.passed else f"{len(r.failures)} FAILED"
        shown.add_row(r.name, str(r.examples), str(r.checks), f"{r.relative:.1e}", verdict)
    return shown


def to_json(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """The rows as plain numbers."""
    keys = ("name", "examples", "checks", "relative", "passed", "failures")
    checked = [{key: getattr(row, key) for key in keys} for row in rows]
    return {"seed": seed, "passed": all(row.passed for row in rows), "checked": checked}


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    names = [*LAYERS, *END_TO_END]
    p = parser("cldl.gradcheck", "Check every gradient of the project.")
    p.add_argument("--layer", metavar="NAME", action="append", help=f"only this one (repeatable): {', '.join(names)}")
    p.add_argument("--examples", metavar="N", type=whole(1), default=EXAMPLES, help="examples of each")
    p.add_argument("--seed", metavar="S", type=whole(0), default=0, help="of all that is drawn")
    p.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = p.parse_args(argv)
    wanted = options.layer or names
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise UserError(f"there is no layer or loss {unknown[0]!r}; choose from {', '.join(names)}.")
    rows = check_all(wanted, options.examples, options.seed, progress=not options.json)
    if options.json:
        print(json.dumps(to_json(rows, options.seed), indent=2))
    else:
        Console().print(table(rows))
        for row in rows:
            for failure in row.failures:
                print(f"{row.name}: {failure}", file=sys.stderr)
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    leave(main)
