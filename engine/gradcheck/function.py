"""Forward as a function of arrays that can be moved, and whether it is one: it keeps its inputs, and repeats its output.

Several outputs, a tuple, are laid one behind the other in one array, and so is their upstream gradient.
"""

from __future__ import annotations

import math
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
        self.n_inputs = len(named)
        arrays = [*named.values(), *(p.value for p in self.parameters)]
        for name, array in zip(self.names, arrays, strict=True):
            _expect_numbers(name, array)
        self.moving = [name for name, array in zip(self.names, arrays, strict=True) if array.dtype == np.float64]
        if arrays and not self.moving:
            raise UserError(
                f"{', '.join(self.names)} are integers, so there is no gradient to check: give what moves as float64 "
                "(x.astype(np.float64))."
            )
        self.shapes: list[tuple[int, ...]] | None = None  # of several outputs, from the first run on
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
            for p, value in zip(self.parameters, values[self.n_inputs :], strict=True):
                p.value = value
            y, cache = as_pair(self.forward(*values[: self.n_inputs]))
            return self._joined(y), cache
        finally:
            for p, value in zip(self.parameters, before, strict=True):
                p.value = value

    def _joined(self, y: Any) -> np.ndarray:
        if not isinstance(y, tuple):
            return np.array(y)
        self.shapes = [np.shape(part) for part in y]
        return np.concatenate([np.ravel(part) for part in y])

    def upstream(self, dy: Any) -> np.ndarray:
        """The caller's dy in the shape of y; a tuple where there are several outputs."""
        several = self.shapes is not None and isinstance(dy, tuple | list)
        if several and [np.shape(part) for part in dy] != self.shapes:
            raise UserError(f"dy has shapes {[np.shape(part) for part in dy]} and y {self.shapes}: give dy those of y.")
        return np.concatenate([np.ravel(part) for part in dy]) if several else np.asarray(dy, np.float64)

    def parts(self, dy: np.ndarray) -> Any:
        """The upstream gradient as backward takes it: a copy in the form of y, numbers for what has no axes."""
        if self.shapes is None:
            return dy.copy() if dy.ndim else float(dy)
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])[:-1]
        pieces = zip(np.split(dy.copy(), ends), self.shapes, strict=True)
        return tuple(piece.reshape(shape) if shape else float(piece[0]) for piece, shape in pieces)

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


def as_pair(result: Any) -> tuple[Any, Any]:
    """What forward gave, as y and its cache; raises GradientError where it is no pair."""
    if isinstance(result, tuple | list) and len(result) == 2:
        return result[0], result[1]
    given = f"{len(result)} values" if isinstance(result, tuple | list) else f"one {type(result).__name__}"
    raise GradientError(f"forward gave {given}; two are needed: return y, cache, the second being what backward needs.")


def _numbered(inputs: np.ndarray | Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    inputs = [inputs] if isinstance(inputs, np.ndarray) else inputs
    return {"x" if len(inputs) == 1 else f"x{i}": array for i, array in enumerate(inputs)}


def _expect_numbers(name: str, array: Any) -> None:
    """Arrays of float64 are checked; those of integers, such as labels, are only handed on."""
    if not isinstance(array, np.ndarray):
        raise UserError(
            f"{name} is {type(array).__name__}; an array of float64 is needed: give np.array(..., np.float64)."
        )
    if array.dtype != np.float64 and array.dtype.kind not in "biu":
        raise UserError(
            f"{name} is {array.dtype}; differences need arrays of float64, because those of float32 are wrong in the third "
            "digit: convert it (x.astype(np.float64); engine.parameters.cast for parameters)."
        )
