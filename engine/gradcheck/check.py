"""`check_gradients`: any explicit forward/backward pair against differences of its forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.gradcheck.differences import TOLERANCES, Line, Slope, central, error_over_tolerance, slope, taylor_order
from engine.gradcheck.report import Entry, GradientError, GradientReport
from engine.random import Key

DIRECTIONS = 4  # random directions for each array, where not every element is checked
Index = tuple[int, ...]


def check_gradients(
    forward: Callable[..., tuple[Any, Any]],
    backward: Callable[[Any, Any], Any],
    inputs: Sequence[np.ndarray] | Mapping[str, np.ndarray],
    parameters: Sequence[Any] = (),
    *,
    dy: Any = None,
    method: str = "elementwise",
    rtol: float | None = None,
    atol: float | None = None,
    seed: int = 0,
    only: tuple[str, Index] | None = None,
) -> GradientReport:
    """Hold every gradient that `backward` gives against differences of `forward`.

    forward    -- y, cache = forward(*inputs); y an array or a number
    backward   -- gradients = backward(dy, cache): one for each input, then one for each parameter (a lone one as it is)
    inputs     -- float64 arrays, or a mapping from names to them
    parameters -- what forward reads beside its inputs: objects with the float64 array `value`, such as
                  engine.parameters.Parameter; while forward is called, moved arrays are put there
    dy         -- the upstream gradient; random by default, because ones hide bugs
    method     -- "elementwise", a central difference for every element; "directional", along random directions, for
                  whole networks; "taylor", the order of the Taylor remainder along them, which needs no step;
                  "complex", the complex step for every element, exact to rounding, where forward takes complex numbers
                  and is analytic (comparisons, `abs` and `np.var` are not)
    rtol, atol -- replace those of `TOLERANCES`: |analytic - numeric| <= rtol max(|analytic|, |numeric|) + atol; by default
                  the second term is the rounding of the difference, noise sum |dy y| / step
    only       -- (name, index): one element (or direction) alone

    Raises UserError for arrays that are not float64 and for an unknown method, GradientError if backward does not give
    an array of the right shape for each input and parameter. A wrong gradient is in the report: `raise_if_failed`.

    >>> x = np.array([[0.5, -1.0], [2.0, 0.25]])
    >>> report = check_gradients(lambda x: (x**2, x), lambda dy, x: 2 * x * dy, [x])
    >>> report.passed, check_gradients(lambda x: (x**2, x), lambda dy, x: x * dy, [x]).passed
    (True, False)
    """
    if method not in TOLERANCES:
        raise UserError(f"the method is {method!r}; one of {', '.join(TOLERANCES)} is needed.")
    function = _Function(forward, inputs, parameters)
    if only is not None and only[0] not in function.names:
        raise UserError(f"there is no array {only[0]!r} to check; there are {', '.join(function.names)}.")
    y, cache = function.run(function.values)
    if not np.isfinite(y).all():
        raise GradientError("forward gave numbers that are not finite, so there is no gradient to check.")
    dy = Key(seed).fold(0).normal(y.shape) if dy is None else np.asarray(dy, np.float64)
    if dy.shape != y.shape:
        raise UserError(f"dy has shape {dy.shape} and y {y.shape}: give dy the shape of y.")
    gradients = _gradients(backward(dy.copy() if dy.ndim else float(dy), cache), function)
    entries = []
    for i, (name, analytic) in enumerate(zip(function.names, gradients, strict=True)):
        if analytic.size and (only is None or only[0] == name):
            key = Key(seed).fold(1 + i)
            array = _Array(function, i, analytic, dy, method, rtol, atol, key)
            entries.append(array.entry(None if only is None else tuple(only[1])))
    return GradientReport(entries, method, seed)


class _Function:
    """Forward as a function of one list of arrays: the inputs, then the parameters' values."""

    def __init__(self, forward, inputs, parameters) -> None:
        named = dict(inputs) if isinstance(inputs, Mapping) else _numbered(inputs)
        self.forward, self.parameters = forward, list(parameters)
        self.names = list(named)
        for i, p in enumerate(self.parameters):
            name = getattr(p, "name", "") or f"parameter {i}"
            self.names.append(name if name not in self.names else f"{i}.{name}")
        self.inputs = len(named)
        arrays = [*named.values(), *(p.value for p in self.parameters)]
        for name, array in zip(self.names, arrays, strict=True):
            if not isinstance(array, np.ndarray) or array.dtype != np.float64:
                raise UserError(
                    f"{name} is {getattr(array, 'dtype', type(array).__name__)}; differences need arrays of float64, because "
                    "those of float32 are wrong in the third digit: convert it (engine.parameters.cast)."
                )
        self.values = [array.copy() for array in arrays]

    def run(self, values: list[np.ndarray]) -> tuple[np.ndarray, Any]:
        before = [p.value for p in self.parameters]
        try:
            for p, value in zip(self.parameters, values[self.inputs :], strict=True):
                p.value = value
            y, cache = self.forward(*values[: self.inputs])
            return np.array(y), cache
        finally:
            for p, value in zip(self.parameters, before, strict=True):
                p.value = value

    def line(self, i: int, direction: Index | np.ndarray) -> Line:
        """t -> y with t v added to array i; v is a direction, or 1 at an index."""

        def y(t: complex) -> np.ndarray:
            moved = self.values[i].astype(np.result_type(np.float64, type(t)))
            if isinstance(direction, np.ndarray):
                moved += t * direction
            else:
                moved[direction] += t
            values = list(self.values)
            values[i] = moved
            result = self.run(values)[0]
            if np.iscomplexobj(moved) and not np.iscomplexobj(result):
                raise UserError("forward lost the imaginary part, so it has no complex step: use another method.")
            return result

        return y


def _numbered(inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {"x" if len(inputs) == 1 else f"x{i}": array for i, array in enumerate(inputs)}


def _gradients(given: Any, function: _Function) -> list[np.ndarray]:
    """Backward's result as a list of copies, checked for number and shape."""
    listed = list(given) if isinstance(given, tuple | list) else [given]
    if len(listed) != len(function.names):
        raise GradientError(
            f"backward gave {len(listed)} gradients; one for each of {', '.join(function.names)} is needed."
        )
    for name, value, gradient in zip(function.names, function.values, listed, strict=True):
        if np.shape(gradient) != value.shape:
            raise GradientError(
                f"the gradient of {name} has shape {np.shape(gradient)}; that of {name} is {value.shape}."
            )
    return [np.array(gradient, np.float64) for gradient in listed]


class _Array:
    """The check of one array's gradient."""

    def __init__(self, function: _Function, i: int, analytic, dy, method: str, rtol, atol, key: Key) -> None:
        self.function, self.i, self.analytic, self.dy = function, i, analytic, dy
        self.method, self.tolerances, self.key = method, (rtol, atol), key

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
            relative=float(errors.max() / (size or 1.0)),
            step=measured.step,
            kink=measured.kink,
            errors_over_tolerance=ratios,
            curve=self._curve(index, every),
        )

    def _measure(self, index: Index) -> tuple[float, Slope]:
        if self.method == "taylor":
            v = self._direction(index)
            size = float(np.sum(np.abs(self.analytic * self.function.values[self.i])))
            order, step = taylor_order(self.function.line(self.i, v), self.dy, float(np.vdot(self.analytic, v)), size)
            allowed = TOLERANCES["taylor"].rtol if self.tolerances[0] is None else self.tolerances[0]
            return 2.0, Slope(min(order, 2.0), step, allowed)
        if self.method == "directional":
            v = self._direction(index)
            analytic = float(np.vdot(self.analytic, v))
            return analytic, slope(self.function.line(self.i, v), self.dy, analytic, 1.0, self.method, *self.tolerances)
        analytic = float(self.analytic[index])
        scale = max(1.0, abs(float(self.function.values[self.i][index])))
        return analytic, slope(
            self.function.line(self.i, index), self.dy, analytic, scale, self.method, *self.tolerances
        )

    def _direction(self, index: Index) -> np.ndarray:
        return self.key.fold(index[0]).normal(self.analytic.shape)

    def _curve(self, index: Index, every: bool) -> Callable[[float], float]:
        v = index if every else self._direction(index)
        analytic = float(self.analytic[index] if every else np.vdot(self.analytic, v))
        line = self.function.line(self.i, v)
        return lambda h: abs(central(line, self.dy, h)[0] - analytic)
