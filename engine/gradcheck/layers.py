"""All that a layer promises, a check each: `check_layer` for one call, `layer_checks` and `parametrize_layers` for tests.

A layer of a user's own needs `forward(x, ctx)`, `backward(dy, cache, ctx)` and `parameters()` (see layers.layer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from engine.errors import UserError
from engine.gradcheck.promises import PROMISES
from engine.gradcheck.report import GradientError
from engine.gradcheck.subject import Subject
from engine.typing import Shape


@dataclass(frozen=True)
class CheckResult:
    """One promise of a layer: kept or not, the error as a share of its limit, and what is wrong."""

    name: str
    passed: bool
    share: float
    relative: float
    message: str = ""


@dataclass(frozen=True)
class LayerReport:
    """What `check_layer` returns."""

    layer: str
    results: list[CheckResult] = field(default_factory=list)

    @property
    def ran(self) -> int:
        """How many checks ran."""
        return len(self.results)

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)

    @property
    def failed(self) -> list[str]:
        """The names of the checks that did not pass."""
        return [result.name for result in self.results if not result.passed]

    @property
    def relative(self) -> float:
        """The largest relative error of the float64 gradients against differences."""
        return max((result.relative for result in self.results), default=0.0)

    def raise_if_failed(self) -> None:
        """Raise GradientError that names every check that failed."""
        lines = [f"{result.name}: {result.message}" for result in self.results if not result.passed]
        if lines:
            raise GradientError(f"{self.layer} fails {len(lines)} of {self.ran} checks\n" + "\n".join(lines))

    def __str__(self) -> str:
        table = Table("check", "of limit", "verdict", box=SIMPLE)
        for r in self.results:
            table.add_row(r.name, f"{r.share:.2g}", "passed" if r.passed else "FAILED")
        console = Console(width=120, no_color=True, legacy_windows=False)
        with console.capture() as capture:
            console.print(f"{self.layer}: {self.ran} checks ran, {len(self.failed)} failed", markup=False)
            console.print(table, end="")
            for r in self.results:
                if not r.passed:
                    console.print(f"{r.name}: {r.message}", soft_wrap=True, markup=False)
        return capture.get()


def layer_checks(
    layer: Any, input_shape: Shape, *, samples: int = 3, seed: int = 0
) -> Iterator[tuple[str, Callable[[], CheckResult]]]:
    """Every check of a layer as (name, function without arguments); a function returns its result and never raises.

    input_shape -- of one sample, without N; samples -- N.
    """
    subject = Subject(layer, input_shape, samples=samples, seed=seed)
    for name in PROMISES:
        yield name, partial(run_check, subject, name)


def run_check(subject: Subject, name: str) -> CheckResult:
    """Run one check; whatever it raises is the message of a failure, but for a mistake of the caller (UserError)."""
    try:
        share, relative = PROMISES[name](subject)
    except UserError:
        raise
    except GradientError as error:
        return CheckResult(name, False, float("inf"), 0.0, str(error))
    except Exception as error:  # a layer that cannot even run breaks its promise
        reason = str(error).partition("\n")[0]
        return CheckResult(name, False, float("inf"), 0.0, f"{type(error).__name__}: {reason}")
    return CheckResult(name, True, share, relative)


def check_layer(
    layer: Any, input_shape: Shape, *, samples: int = 3, seed: int = 0, checks: Iterable[str] | None = None
) -> LayerReport:
    """Check all that a layer promises, at an input from the grid that is clear of its kinks.

    input_shape -- of one sample, without N; samples -- N; checks -- the names of some checks only (`PROMISES`).

    The layer is copied: its parameters are neither changed nor cast. Raises UserError for an unknown check and where no
    input is clear of the kinks.
    """
    wanted = list(PROMISES) if checks is None else list(checks)
    unknown = [name for name in wanted if name not in PROMISES]
    if unknown:
        raise UserError(f"there is no check {unknown[0]!r}; there are {', '.join(PROMISES)}.")
    subject = Subject(layer, input_shape, samples=samples, seed=seed)
    return LayerReport(repr(layer), [run_check(subject, name) for name in wanted])


def parametrize_layers(cases: Sequence[tuple[Any, Shape]], *, samples: int = 3, seed: int = 0):
    """A pytest decorator: the test is called with `check` for every check of every (layer, input_shape).

    @parametrize_layers([(Linear(3, 2), (3,))])
    def test_layer(check):
        check()
    """
    import pytest

    def raising(layer: Any, shape: Shape, name: str) -> Callable[[], None]:
        return lambda: check_layer(layer, shape, samples=samples, seed=seed, checks=[name]).raise_if_failed()

    params = [pytest.param(raising(layer, s, name), id=f"{layer!r}-{name}") for layer, s in cases for name in PROMISES]
    return pytest.mark.parametrize("check", params)


def layer_pair(layer: Any, input_shape: Shape, *, samples: int = 3, seed: int = 0, training: bool = True) -> tuple:
    """(forward, backward, inputs, parameters) of a float64 copy of a layer, as `check_gradients` takes them.

    check_gradients(*layer_pair(layer, (8, 8, 3)), method="taylor")
    """
    return Subject(layer, input_shape, samples=samples, seed=seed).pair(training)
