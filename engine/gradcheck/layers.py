"""The contract of a layer, checked: `check_layer` for one call, `layer_checks` and `parametrize_layers` for tests.

Your own layer needs `forward(x, ctx)`, `backward(dy, cache, ctx)` and `parameters()` (see layers.layer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from engine.errors import UserError
from engine.gradcheck.checks import CHECKS
from engine.gradcheck.inputs import DOMAIN, Domain, Shapes
from engine.gradcheck.layer_report import CheckResult, LayerReport
from engine.gradcheck.report import GradientError
from engine.gradcheck.under_test import LayerUnderTest


def layer_checks(
    layer: Any, input_shape: Shapes, *, samples: int = 3, seed: int = 0, domain: Domain = DOMAIN
) -> Iterator[tuple[str, Callable[[], CheckResult]]]:
    """Every check of a layer as (name, function without arguments); a function returns its result and never raises.

    input_shape -- of one sample, without N; for a layer with several inputs a list of shapes
    samples     -- N
    domain      -- (low, high), between which the inputs are drawn
    """
    tested = under_test(layer, input_shape, samples=samples, seed=seed, domain=domain)
    for name in CHECKS:
        yield name, partial(run_check, tested, name)


def under_test(layer: Any, input_shape: Shapes, **options: Any) -> LayerUnderTest:
    """The layer under test, its tags checked."""
    tested = LayerUnderTest(layer, input_shape, **options)
    for name, reason in tested.not_promised.items():
        if name not in CHECKS:
            raise UserError(
                f"{layer!r} has {name!r} in `not_promised`, which is no check; there are {', '.join(CHECKS)}."
            )
        if not reason:
            raise UserError(f"{layer!r} has {name!r} in `not_promised` without a reason: say why it does not hold.")
    return tested


def run_check(tested: LayerUnderTest, name: str) -> CheckResult:
    """Run one check, if it is promised; an exception is a failure and its message, except for a caller's mistake (UserError)."""
    if name in tested.not_promised:
        return CheckResult(name, True, 0.0, 0.0, tested.not_promised[name], promised=False)
    try:
        ratio, relative = CHECKS[name](tested)
    except UserError:
        raise
    except GradientError as error:
        return CheckResult(name, False, error.error_over_tolerance, 0.0, str(error))
    except Exception as error:  # a layer that cannot even run fails
        reason = str(error).partition("\n")[0]
        return CheckResult(name, False, float("inf"), 0.0, f"{type(error).__name__}: {reason}")
    return CheckResult(name, True, ratio, relative)


def check_layer(
    layer: Any,
    input_shape: Shapes,
    *,
    samples: int = 3,
    seed: int = 0,
    domain: Domain = DOMAIN,
    checks: Iterable[str] | None = None,
) -> LayerReport:
    """Check the whole contract of a layer, at inputs from the grid that are clear of its kinks.

    input_shape -- of one sample, without N; for a layer with several inputs a list of shapes
    samples     -- N
    seed        -- of the inputs, upstream gradients and masks
    domain      -- (low, high), between which the inputs are drawn, for a layer that is not defined everywhere
    checks      -- the names of the checks to run; all of `CHECKS` by default

    A layer with several inputs takes a tuple of arrays, and its backward returns the tuple of their gradients. The layer is
    copied: its own parameters stay as they are. Which checks do not hold for it, and why, is in its `not_promised`; the report
    lists them, and they do not run:

        not_promised = {"samples_apart": "the statistics are those of the batch"}

    Raises UserError for an unknown check, for a number of shapes that is not `layer.n_inputs`, for a domain that is none, and
    where no input is clear of the kinks.

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
    tested = under_test(layer, input_shape, samples=samples, seed=seed, domain=domain)
    return LayerReport(_label(layer), [run_check(tested, name) for name in wanted])


def parametrize_layers(
    cases: Sequence[tuple[Any, Shapes]], *, samples: int = 3, seed: int = 0, domain: Domain = DOMAIN
):
    """A pytest decorator: the test is called with `check` for every check of every (layer, input_shape).

    Those in a layer's `not_promised` are left out.

    @parametrize_layers([(Linear(3, 2), (3,))])
    def test_layer(check):
        check()
    """
    import pytest

    def raising(layer: Any, shape: Shapes, name: str) -> Callable[[], None]:
        return lambda: check_layer(
            layer, shape, samples=samples, seed=seed, domain=domain, checks=[name]
        ).raise_if_failed()

    params = [
        pytest.param(raising(layer, shape, name), id=f"{_label(layer)}-{name}")
        for layer, shape in cases
        for name in CHECKS
        if name not in getattr(layer, "not_promised", {})
    ]
    return pytest.mark.parametrize("check", params)


def _label(layer: Any) -> str:
    """The layer in a report and in a test's name; `object`'s own repr has an address, another in each process."""
    return type(layer).__name__ if type(layer).__repr__ is object.__repr__ else repr(layer)


def layer_pair(
    layer: Any,
    input_shape: Shapes,
    *,
    samples: int = 3,
    seed: int = 0,
    domain: Domain = DOMAIN,
    training: bool = True,
) -> tuple:
    """(forward, backward, inputs, parameters) of a float64 copy of a layer, as `check_gradients` takes them.

    check_gradients(*layer_pair(layer, (8, 8, 3)), method="taylor")
    """
    return LayerUnderTest(layer, input_shape, samples=samples, seed=seed, domain=domain).pair(training)
