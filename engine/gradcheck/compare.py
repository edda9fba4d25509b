"""Comparing passes: equal to the bit, equal to rounding, unchanged; and the arrays that a pass can reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

import numpy as np

from engine.device import on_gpu
from engine.gradcheck.differences import same_to
from engine.gradcheck.report import GradientError
from engine.gradcheck.subject import Array, Pass, Subject

Result = tuple[float, float]
EXACT = same_to(np.float64)


def agree(what: str, got: Array, expected: Array, tolerance: float, least: float = 0.0) -> float:
    """The largest difference as a share of `tolerance` times the largest expected element, or `least`; raises where above 1."""
    if got.shape != expected.shape:
        raise GradientError(f"{what} has shape {got.shape}; expected {expected.shape}.")
    size = max(least, float(np.abs(expected).max(initial=0)))
    error = np.abs(got - expected)
    worst = float(error.max(initial=0))
    share = worst / (tolerance * size) if size else (0.0 if worst == 0 else np.inf)
    if not share <= 1:
        index = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), error.shape)
        at = [int(i) for i in index]
        raise GradientError(
            f"{what}{at} is {got[index]:.9g}; expected {expected[index]:.9g} (the two may differ by {tolerance * size:.2g})."
        )
    return share


def same(
    s: Subject, got: Pass, expected: Pass, tolerance: float = EXACT, sizes: Iterable[float] = repeat(0.0)
) -> Result:
    """y, dx and all gradients of two passes agree, each to its own size (see `agree`)."""
    rows = zip(["y", *s.names()], flat(got), flat(expected), sizes, strict=False)
    return max(agree(name, a, b, tolerance, size) for name, a, b, size in rows), 0.0


def flat(result: Pass) -> list[Array]:
    """y, dx and the gradients in one list."""
    return [result.y, result.dx, *result.gradients]


def double(part: Any) -> Any:
    """An array, or a list of arrays, as float64."""
    return [g.astype(np.float64) for g in part] if isinstance(part, list) else part.astype(np.float64)


def strided(array: Array) -> Array:
    """The same numbers, every second element of a larger array that is NaN between them."""
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan, array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def values(s: Subject) -> Iterator[tuple[str, Array]]:
    """The parameters' own arrays, each with a name of its own."""
    return ((f"{p.name or 'parameter'} ({i})", p.value) for i, p in enumerate(s.layer.parameters()))


def accumulated(s: Subject, ctx: Any) -> list[Array]:
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


def unchanged(who: str, **pairs: tuple[Array, Array]) -> None:
    """Raise where an array is not what it was before."""
    for name, (now, before) in pairs.items():
        if not np.array_equal(now, before, equal_nan=True):
            raise GradientError(f"{who} changed {name}.")


def equal(s: Subject, got: Pass, expected: Pass, what: str) -> None:
    """Raise where two passes differ by a bit."""
    for name, a, b in zip(["y", *s.names()], flat(got), flat(expected), strict=True):
        if not np.array_equal(a, b, equal_nan=True):
            raise GradientError(f"{what} gives another {name}.")
