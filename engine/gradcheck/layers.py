"""The contract of a layer, checked: `check_layer` for one call, `layer_checks` and `parametrize_layers` for tests.

Your own layer needs `forward(x, ctx)`, `backward(dy, cache, ctx)` and `parameters()` (see layers.layer).
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
from engine.gradcheck.checks import CHECKS
from engine.gradcheck.inputs import Shapes
from engine.gradcheck.report import GradientError
from engine.gradcheck.under_test import LayerUnderTest


@dataclass(frozen=True)
class CheckResult:
    """One check of a layer: passed or not, its error over the tolerance, and what is wrong."""

    name: str
    passed: bool
    error_over_tolerance: float
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
        table = Table("check", "error / tolerance", "verdict", box=SIMPLE)
        for r in self.results:
            table.add_row(r.name, f"{r.error_over_tolerance:.2g}", "passed" if r.passed else "FAILED")
        console = Console(width=120, no_color=True, legacy_windows=False)
        with console.capture() as capture:
            console.print(f"{self.layer}: {self.ran} checks ran, {len(self.failed)} failed", markup=False)
            console.print(table, end="")
            for r in self.results:
                if not r.passed:
                    console.print(f"{r.name}: {r.message}", soft_wrap=True, markup=False)
        return capture.get()


def layer_checks(
    layer: Any, input_shape: Shapes, *, samples: int = 3, seed: int = 0
) -> Iterator[tuple[str, Callable[[], CheckResult]]]:
    """Every check of a layer as (name, function without arguments); a function returns its result and never raises.

    input_shape -- of one sample, without N; for a layer with several inputs a list of shapes
    samples     -- N
    """
    tested = LayerUnderTest(layer, input_shape, samples=samples, seed=seed)
    for name in CHECKS:
        yield name, partial(run_check, tested, name)


def run_check(tested: LayerUnderTest, name: str) -> CheckResult:
    """Run one check; an exception is a failure and its message, except for a mistake of the caller (UserError)."""
    try:
        ratio, relative = CHECKS[name](tested)
    except UserError:
        raise
    except GradientError as error:
        return CheckResult(name, False, float("inf"), 0.0, str(error))
    except Exception as error:  # a layer that cannot even run fails
        reason = str(error).partition("\n")[0]
        return CheckResult(name, False, float("inf"), 0.0, f"{type(error).__name__}: {reason}")
    return CheckResult(name, True, ratio, relative)


def check_layer(
    layer: Any, input_shape: Shapes, *, samples: int = 3, seed: int = 0, checks: Iterable[str] | None = None
) -> LayerReport:
    """Check the whole contract of a layer, at inputs from the grid that are clear of its kinks.

    input_shape -- of one sample, without N; for a layer with several inputs a list of shapes
    samples     -- N
    seed        -- of the inputs, upstream gradients and masks
    checks      -- the names of the checks to run; all of `CHECKS` by default

    A layer with several inputs takes a tuple of arrays, and its backward returns the tuple of their gradients. The layer is
    copied: its own parameters stay as they are. Raises UserError for an unknown check, for a number of shapes that is not
    `layer.n_inputs`, and where no input is clear of the kinks.

    >>> class Product:
    ...     '''y = x1 x2, so dx1 = dy x2 and dx2 = dy x1.'''
    ...
    ...     n_inputs = 2
    ...
    ...     def forward(self, x, ctx):
    ...         x1, x2 = x
    ...         return x1 * x2, x
    ...
    ...     def backward(self, dy, cache, ctx, need_dx=True):
    ...         x1, x2 = cache
    ...         return dy * x2, dy * x1
    ...
    ...     def parameters(self):
    ...         return []
    >>> check_layer(Product(), [(4,), (4,)]).passed
    True
    >>> class Exchanged(Product):
    ...     def backward(self, dy, cache, ctx, need_dx=True):
    ...         x1, x2 = cache
    ...         return dy * x1, dy * x2
    >>> check_layer(Exchanged(), [(4,), (4,)]).failed
    ['gradient_of_input', 'evaluation_mode', 'adjoint']
    """
    wanted = list(CHECKS) if checks is None else list(checks)
    unknown = [name for name in wanted if name not in CHECKS]
    if unknown:
        raise UserError(f"there is no check {unknown[0]!r}; there are {', '.join(CHECKS)}.")
    tested = LayerUnderTest(layer, input_shape, samples=samples, seed=seed)
    return LayerReport(repr(layer), [run_check(tested, name) for name in wanted])


def parametrize_layers(cases: Sequence[tuple[Any, Shapes]], *, samples: int = 3, seed: int = 0):
    """A pytest decorator: the test is called with `check` for every check of every (layer, input_shape).

    @parametrize_layers([(Linear(3, 2), (3,))])
    def test_layer(check):
        check()
    """
    import pytest

    def raising(layer: Any, shape: Shapes, name: str) -> Callable[[], None]:
        return lambda: check_layer(layer, shape, samples=samples, seed=seed, checks=[name]).raise_if_failed()

    params = [pytest.param(raising(layer, s, name), id=f"{layer!r}-{name}") for layer, s in cases for name in CHECKS]
    return pytest.mark.parametrize("check", params)


def layer_pair(layer: Any, input_shape: Shapes, *, samples: int = 3, seed: int = 0, training: bool = True) -> tuple:
    """(forward, backward, inputs, parameters) of a float64 copy of a layer, as `check_gradients` takes them.

    check_gradients(*layer_pair(layer, (8, 8, 3)), method="taylor")
    """
    return LayerUnderTest(layer, input_shape, samples=samples, seed=seed).pair(training)
