"""Forward as a function of arrays that can be moved, and whether it is one: it keeps its inputs, and repeats its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.gradcheck.differences import Line, same_to
from engine.gradcheck.report import GradientError

Index = tuple[int, ...]


class Function:
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
            _expect_float64(name, array)
        self.values = [array.copy() for array in arrays]
        self.before = [array.copy() for array in arrays]

    def checked_run(self) -> tuple[np.ndarray, Any]:
        """y and the cache of the values; raises where forward is no function, or y is not finite."""
        y, _ = self.run(self.values)
        self.expect_unchanged("forward")
        if not np.isfinite(y).all():
            raise GradientError("forward gave numbers that are not finite, so there is no gradient to check.")
        again, cache = self.run(self.values)
        if again.shape != y.shape or np.abs(again - y).max(initial=0) > same_to(np.float64) * np.abs(y).max(initial=0):
            raise GradientError(
                "forward gives another y for the same input, so there is no gradient to check: what it draws at random must be "
                "the same in every call (draw it before, or from a fixed key)."
            )
        return again, cache

    def expect_unchanged(self, changer: str) -> None:
        """Raise where the values are not what they were at first."""
        for name, value, before in zip(self.names, self.values, self.before, strict=True):
            if not np.array_equal(value, before, equal_nan=True):
                raise GradientError(
                    f"{changer} changed {name}: it must leave its inputs as they are, and write to a copy."
                )

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


def _numbered(inputs: np.ndarray | Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    inputs = [inputs] if isinstance(inputs, np.ndarray) else inputs
    return {"x" if len(inputs) == 1 else f"x{i}": array for i, array in enumerate(inputs)}


def _expect_float64(name: str, array: Any) -> None:
    if not isinstance(array, np.ndarray):
        raise UserError(
            f"{name} is {type(array).__name__}; an array of float64 is needed: give np.array(..., np.float64)."
        )
    if array.dtype.kind in "biu":
        raise UserError(
            f"{name} is {array.dtype}, and nothing moves an integer by a small step: give it as float64, or, if it is a label or "
            "an index, let forward take it from outside (lambda x: forward(x, labels))."
        )
    if array.dtype != np.float64:
        raise UserError(
            f"{name} is {array.dtype}; differences need arrays of float64, because those of float32 are wrong in the third "
            "digit: convert it (x.astype(np.float64); engine.parameters.cast for parameters)."
        )
