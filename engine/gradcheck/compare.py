"""Comparing passes: equal to the bit, equal to rounding, unchanged; and the arrays that a pass can reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from engine.device import on_gpu
from engine.gradcheck.differences import error_over_tolerance, same_to
from engine.gradcheck.report import GradientError
from engine.gradcheck.under_test import Array, LayerUnderTest, Pass

Result = tuple[float, float]  # of a check: error over tolerance, relative error
EXACT = same_to(np.float64)


def agree(what: str, got: Array, expected: Array, tolerance: float, least: float = 0.0) -> float:
    """The largest |got - expected| over its tolerance; raises where that is above 1.

    The tolerance of every element is `tolerance` times the largest expected element, or times `least` if that is larger.
    """
    if got.shape != expected.shape:
        raise GradientError(f"{what} has shape {got.shape}; expected {expected.shape}.")
    allowed = tolerance * max(least, float(np.abs(expected).max(initial=0)))
    error = np.abs(got - expected)
    worst = error_over_tolerance(float(error.max(initial=0)), allowed)
    if not worst <= 1:
        index = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), error.shape)
        at = [int(i) for i in index]
        raise GradientError(
            f"{what}{at} is {got[index]:.9g}; expected {expected[index]:.9g} (the two may differ by {allowed:.2g}).",
            worst,
        )
    return worst


def same(s: LayerUnderTest, got: Pass, expected: Pass, tolerance: float = EXACT) -> Result:
    """y, dx and all gradients of two passes agree, each relative to its largest element, or to what was added up (`sizes`)."""
    rows = zip(["y", *s.names()], got.flat(), expected.flat(), s.sizes, strict=True)
    return max(agree(name, a, b, tolerance, size) for name, a, b, size in rows), 0.0


def total(factors: Sequence[float], parts: Sequence[Sequence[Array]]) -> list[Array]:
    """Array by array, the sum over i of factors[i] parts[i]."""
    return [sum(f * a for f, a in zip(factors, group, strict=True)) for group in zip(*parts, strict=True)]


def strided(array: Array) -> Array:
    """The same numbers, every second element of a larger array that is NaN between them."""
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan, array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def values(s: LayerUnderTest) -> Iterator[tuple[str, Array]]:
    """The parameters' own arrays, each with a name of its own."""
    return ((f"{p.name or 'parameter'} ({i})", p.value) for i, p in enumerate(s.layer.parameters()))


def accumulated(s: LayerUnderTest, ctx: Any) -> list[Array]:
    """The pass's own gradient arrays, not copies."""
    found = ctx.gradients()
    return [found[p] if p in found else np.zeros_like(p.value) for p in s.layer.parameters()]


def arrays(cache: Any, name: str) -> Iterator[tuple[str, Array]]:
    """All arrays of a cache of nested tuples, lists and mappings, each with a name."""
    if isinstance(cache, np.ndarray) or on_gpu(cache):
        yield name, cache
    elif isinstance(cache, dict):
        for key, part in cache.items():
            yield from arrays(part, f"{name}[{key!r}]")
    elif isinstance(cache, tuple | list):
        for i, part in enumerate(cache):
            yield from arrays(part, f"{name}[{i}]")


def unchanged(changer: str, **pairs: tuple[Array, Array]) -> None:
    """Raise where an array is not what it was before."""
    for name, (now, before) in pairs.items():
        if not np.array_equal(now, before, equal_nan=True):
            raise GradientError(f"{changer} changed {name}.")


def equal(s: LayerUnderTest, got: Pass, expected: Pass, what: str) -> None:
    """Raise where two passes differ in any bit."""
    for name, a, b in zip(["y", *s.names()], got.flat(), expected.flat(), strict=True):
        if not np.array_equal(a, b, equal_nan=True):
            raise GradientError(f"{what} gives another {name}.")
