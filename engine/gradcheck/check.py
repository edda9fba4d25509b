"""`check_gradients`: any explicit forward/backward pair against differences of its forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.gradcheck.differences import TOLERANCES, Slope, central, error_over_tolerance, slope, taylor_order
from engine.gradcheck.function import Function, Index
from engine.gradcheck.report import Entry, GradientError, GradientReport
from engine.random import Key

DIRECTIONS = 4  # random directions for each array, where not every element is checked


def check_gradients(
    forward: Callable[..., tuple[Any, Any]],
    backward: Callable[[Any, Any], Any],
    inputs: np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray],
    parameters: Sequence[Any] = (),
    *,
    dy: Any = None,
    method: str = "elementwise",
    step: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int = 0,
    only: tuple[str, Index] | None = None,
) -> GradientReport:
    """Compare every gradient that `backward` returns with finite differences of `forward`.

    forward    -- y, cache = forward(*inputs); y an array or a number, or a tuple of them, the same for the same inputs
    backward   -- gradients = backward(dy, cache): one for each input, then one for each parameter (a single one need not be in
                  a list); dy has the form of y
    inputs     -- float64 arrays, or a mapping from names to them (a single one need not be in a list); arrays of integers, such
                  as labels, are passed on unchanged, and backward returns None for them
    parameters -- what forward reads besides its inputs: objects with a float64 array `value`, such as
                  engine.parameters.Parameter; perturbed arrays are assigned to it while forward is called
    dy         -- the upstream gradient; random by default, because ones hide bugs
    method     -- "elementwise", a central difference for every element; "directional", along random directions, for
                  whole networks; "taylor", the order of the Taylor remainder along them, which needs no step;
                  "complex", the complex step for every element, exact to rounding, where forward takes complex numbers
                  and is analytic (comparisons, `abs` and `np.var` are not)
    step       -- of the differences, where smaller ones may follow near kinks; that of `TOLERANCES` by default (elementwise:
                  times max(1, |x|))
    rtol, atol -- replace those of `TOLERANCES`: |analytic - numeric| <= rtol max(|analytic|, |numeric|) + atol; by default
                  the second term is the rounding of the difference, noise (sum |dy y| + norm of gradient x) / step
    only       -- (name, index): one element (or direction) alone

    Raises UserError for arrays that are not float64, for an unknown method and for a step that is not above 0; GradientError
    if forward is not a function (it changes its inputs, or gives another y for the same ones), and if backward does not give an
    array of the right shape for each input and parameter. A wrong gradient is in the report: `raise_if_failed`.

    >>> x = np.array([[0.5, -1.0], [2.0, 0.25]])
    >>> report = check_gradients(lambda x: (x**2, x), lambda dy, x: 2 * x * dy, [x])
    >>> report.passed, check_gradients(lambda x: (x**2, x), lambda dy, x: x * dy, [x]).passed
    (True, False)
    """
    if method not in TOLERANCES:
        raise UserError(f"the method is {method!r}; one of {', '.join(TOLERANCES)} is needed.")
    if step is not None and not step > 0:
        raise UserError(f"the step is {step}; a number above 0 is needed, such as 1e-5.")
    function = Function(forward, inputs, parameters)
    if only is not None and only[0] not in (moving := function.moving):
        raise UserError(f"there is no array {only[0]!r} to check; there are {', '.join(moving)}.")
    y, cache = function.checked_run()
    dy = Key(seed).fold(0).normal(y.shape) if dy is None else function.upstream(dy)
    if dy.shape != y.shape:
        raise UserError(f"dy has shape {dy.shape} and y {y.shape}: give dy the shape of y.")
    gradients = _gradients(backward(function.parts(dy), cache), function)
    function.expect_unchanged("backward")
    sizes = [float(np.linalg.norm(g * x)) for g, x in zip(gradients, function.values, strict=True) if g is not None]
    size = float(np.linalg.norm([part for part in sizes if np.isfinite(part)]))
    entries = []
    for i, (name, analytic) in enumerate(zip(function.names, gradients, strict=True)):
        if analytic is not None and analytic.size and (only is None or only[0] == name):
            key = Key(seed).fold(1 + i)
            array = _Array(function, i, analytic, dy, method, step, rtol, atol, size, key)
            entries.append(array.entry(None if only is None else tuple(only[1])))
    return GradientReport(entries, method, seed, step)


def _gradients(given: Any, function: Function) -> list[np.ndarray | None]:
    """Backward's result as a list of copies, checked for number and shape; None for integers."""
    listed = list(given) if isinstance(given, tuple | list) else [given]
    if len(listed) != len(function.names):
        raise GradientError(
            f"backward gave {len(listed)} gradients; one for each of {', '.join(function.names)} is needed."
        )
    gradients: list[np.ndarray | None] = []
    for name, value, gradient in zip(function.names, function.values, listed, strict=True):
        if value.dtype != np.float64:
            if gradient is not None:
                raise GradientError(
                    f"backward gave a gradient of {name}, which is {value.dtype}, and nothing moves an integer by a small step: "
                    "give it as float64, or, if it is a label or an index, None as its gradient."
                )
            gradients.append(None)
        elif np.shape(gradient) != value.shape:
            raise GradientError(
                f"the gradient of {name} has shape {np.shape(gradient)}; that of {name} is {value.shape}."
            )
        else:
            gradients.append(np.array(gradient, np.float64))
    return gradients


def check_loss(
    f: Callable[..., Any],
    grad: Callable[..., Any],
    inputs: np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray],
    **options: Any,
) -> GradientReport:
    """`check_gradients` of a loss that is given as two functions of the same arrays.

    f       -- f(*inputs), a number
    grad    -- grad(*inputs), its gradient: one for each input (a lone one as it is), None for one of integers
    options -- those of `check_gradients`

    >>> x, labels = np.array([0.5, -1.0, 2.0]), np.array([1, 0, 1])
    >>> f = lambda x, labels: np.log1p(np.exp(-(2 * labels - 1) * x)).sum()
    >>> grad = lambda x, labels: (1 / (1 + np.exp(-x)) - labels, None)
    >>> check_loss(f, grad, [x, labels]).passed
    True
    """

    def backward(dy: float, xs: tuple[np.ndarray, ...]) -> Any:
        found = grad(*xs)
        if isinstance(found, tuple | list):
            return [None if g is None else dy * g for g in found]
        return dy * found

    report = check_gradients(lambda *xs: (f(*xs), xs), backward, inputs, **options)
    return replace(report, call="check_loss(f, grad, inputs")


class _Array:
    """The check of one array's gradient."""

    def __init__(self, function: Function, i: int, analytic, dy, method: str, step, rtol, atol, size, key: Key) -> None:
        self.function, self.i, self.analytic, self.dy = function, i, analytic, dy
        self.method, self.step, self.tolerances, self.size, self.key = method, step, (rtol, atol), size, key

    def entry(self, only: Index | None) -> Entry:
        """Measure every element (or direction), or `only` one, and report the worst."""
        every = self.method in ("elementwise", "complex")
        shape = self.analytic.shape if every else (DIRECTIONS,)
        errors, ratios = np.zeros(shape), np.zeros(shape)
        found: dict[Index, tuple[float, Slope]] = {}
        for index in [only] if only is not None else np.ndindex(shape):
            analytic, measured = found[index] = self._measure(index)
            errors[index] = abs(analytic - measured.numeric)
            ratios[index] = error_over_tolerance(float(errors[index]), measured.tolerance)
        index = max(found, key=lambda i: (found[i][1].kink, bool(np.isnan(ratios[i])), ratios[i]))
        analytic, measured = found[index]
        size = np.abs(self.analytic).max() if every else np.linalg.norm(self.analytic)
        return Entry(
            name=self.function.names[self.i],
            index=index,
            analytic=analytic,
            numeric=measured.numeric,
            error_over_tolerance=float(ratios[index]),
            relative=float(errors.max()) / (float(size) or 1.0),
            step=measured.step,
            kink=measured.kink,
            errors_over_tolerance=ratios,
            curve=self._curve(index, every),
        )

    def _measure(self, index: Index) -> tuple[float, Slope]:
        step = TOLERANCES[self.method].step if self.step is None else self.step
        if self.method == "taylor":
            v = self._direction(index)
            analytic = float(np.vdot(self.analytic, v))
            order, step = taylor_order(self.function.line(self.i, v), self.dy, analytic, self.size, step)
            allowed = TOLERANCES["taylor"].rtol if self.tolerances[0] is None else self.tolerances[0]
            return 2.0, Slope(min(order, 2.0), step, allowed)
        if self.method == "directional":
            v = self._direction(index)
            analytic = float(np.vdot(self.analytic, v))
            line = self.function.line(self.i, v)
        else:
            analytic, line = float(self.analytic[index]), self.function.line(self.i, index)
            step *= max(1.0, abs(float(self.function.values[self.i][index]))) if self.step is None else 1.0
        return analytic, slope(line, self.dy, analytic, step, self.method, *self.tolerances, self.size)

    def _direction(self, index: Index) -> np.ndarray:
        return self.key.fold(index[0]).normal(self.analytic.shape)

    def _curve(self, index: Index, every: bool) -> Callable[[float], float]:
        v = index if every else self._direction(index)
        analytic = float(self.analytic[index] if every else np.vdot(self.analytic, v))
        line = self.function.line(self.i, v)
        return lambda h: abs(central(line, self.dy, h)[0] - analytic)
