r"""Numeric slopes of a function along a line, how far each can be trusted, and what a kink does to them.

Everything here sees the forward pass as `line(t)`, its output y at x + t v; the slope is d<dy, y>/dt at t = 0.

    central   <dy, y(h) - y(-h)> / 2h       wrong by h^2 f'''/6 (truncation) and by about eps |f| / h (rounding)
    complex   <dy, Im y(ih)> / h            wrong by rounding only: nothing is subtracted, so h can be tiny

The two errors of a central difference balance near h = cbrt(eps), where both are about eps^(2/3). The difference of the
outputs is taken before the sum, so outputs that do not change add no rounding.

A kink inside [-h, h] makes a central difference the mean of two slopes, which is no gradient. Five points show it: their
third differences are of the order h^3 where y is smooth, and of the order h at a kink. A smaller step may avoid a kink
nearby, but not one at x itself.

Rounding is measured by the size of what is added up, not by the result, which may have cancelled: sum |dy y| sees only what
has not, so the norm of gradient x is added to it (of a sum of products, the products; their roundings add up as their norm).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Line = Callable[[complex], np.ndarray]

EPS = float(np.finfo(np.float64).eps)
# The steps that are tried one after another where kinks are near, in units of the first; those of FINER only as long as
# rounding leaves the difference as sharp as `rtol` asks.
SHRINK = (1.0, 1e-1, 1e-2, 1e-3)
FINER = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)


@dataclass(frozen=True)
class Tolerance:
    """step: times max(1, |x|); rtol: of the slope; noise: roundings, in units of sum |dy y| (over the step)."""

    step: float
    rtol: float
    noise: float


TOLERANCES = {
    "elementwise": Tolerance(EPS ** (1 / 3), 1000 * EPS ** (2 / 3), 16 * EPS),
    "directional": Tolerance(EPS ** (1 / 3), 1000 * EPS ** (2 / 3), 16 * EPS),
    "taylor": Tolerance(EPS ** (1 / 4), 0.1, 64 * EPS),  # rtol: how far below 2 the order may be
    "complex": Tolerance(1e-20, 1000 * EPS, 16 * EPS),
}


def same_to(dtype: np.typing.DTypeLike) -> float:
    """How far two ways of computing one array may differ, relative to its largest element."""
    return 100 * float(np.finfo(dtype).eps)


def error_over_tolerance(error: float, tolerance: float) -> float:
    """error / tolerance: a check passes up to 1; without any tolerance only an error of 0 does."""
    if tolerance > 0:
        return error / tolerance
    return 0.0 if error == 0 else np.inf


@dataclass(frozen=True)
class Slope:
    """A numeric slope: its step, the tolerance of |analytic - numeric|, and whether a kink spoils it."""

    numeric: float
    step: float
    tolerance: float
    kink: bool = False


def central(line: Line, dy: np.ndarray, h: float) -> tuple[float, float]:
    """The central difference with step h, and sum |dy y|, on which its rounding depends."""
    above, below = line(h), line(-h)
    size = float(np.sum(np.abs(dy) * (np.abs(above) + np.abs(below)))) / 2
    return float(np.vdot(dy, above - below)) / (2 * h), size


def complex_step(line: Line, dy: np.ndarray, h: float) -> tuple[float, float]:
    """The complex step, and sum |dy y'|."""
    imaginary = np.imag(line(1j * h)) / h
    return float(np.vdot(dy, imaginary)), float(np.sum(np.abs(dy * imaginary)))


def third_difference(line: Line, dy: np.ndarray, h: float) -> float:
    """The largest third difference over the five points -h, -h/2, 0, h/2, h, as a slope: 0 where y is smooth."""
    middle = line(0.0)
    five = [float(np.vdot(dy, line(t * h) - middle)) for t in (-1, -0.5, 0, 0.5, 1)]
    return float(np.abs(np.diff(five, 3)).max()) / (h / 2)


def kink_near(line: Line, dy: np.ndarray) -> bool:
    """Whether a kink (or a jump) of y lies within a step of the point.

    The third difference falls with the square of the step where y is smooth, by 16 if the step falls by 4; at a kink it stays.
    """
    h = TOLERANCES["directional"].step
    nearer = third_difference(line, dy, h / 4)
    return nearer > max(third_difference(line, dy, h) / 4, 64 * EPS * central(line, dy, h)[1] / (h / 4))


def slope(
    line: Line, dy: np.ndarray, analytic: float, step: float, method: str, rtol=None, atol=None, size: float = 0.0
) -> Slope:
    """The numeric slope of y along the line; `size` is the norm of gradient x.

    A slope that does not agree counts only if the step was short enough to judge it: the five points show no kink (one that
    makes an error e makes a third difference of at least e), and y is as large as the change that `analytic` makes of it.
    Otherwise the step shrinks.
    """
    table = TOLERANCES[method]
    rtol = table.rtol if rtol is None else rtol

    if method == "complex":
        numeric, largest = complex_step(line, dy, step)
        noise = table.noise * largest if atol is None else atol
        return Slope(numeric, step, rtol * max(abs(analytic), abs(numeric)) + noise)
    found = None
    for shrink in (*SHRINK, *FINER):
        h = step * shrink
        numeric, largest = central(line, dy, h)
        noise = table.noise * (largest + size) / h if atol is None else atol
        relative = rtol * max(abs(analytic), abs(numeric))
        if shrink in FINER and noise > relative:
            break
        error, tolerance = abs(analytic - numeric), relative + noise
        if error <= tolerance:
            return Slope(numeric, h, tolerance)
        kink = third_difference(line, dy, h) > error / 4
        if not (kink or h * abs(analytic) > largest):
            return Slope(numeric, h, tolerance)
        found = found or Slope(numeric, h, tolerance, kink)
    assert found is not None
    return found


def taylor_order(
    line: Line, dy: np.ndarray, analytic: float, size: float = 0.0, step: float = TOLERANCES["taylor"].step
) -> tuple[float, float]:
    """The order of |f(t) - f(0) - t f'(0)| in t, and the first step: 2 for the right f'(0), 1 for a wrong one.

    Infinity where the remainder is no more than rounding, as for a function that is linear along the line. `size` is
    the norm of gradient x.
    """
    table = TOLERANCES["taylor"]
    middle = line(0.0)
    size += float(np.sum(np.abs(dy * middle)))
    order, first = 0.0, step
    for shrink in SHRINK:
        step = first * shrink
        steps = step * 0.5 ** np.arange(5)
        remainders = np.abs([float(np.vdot(dy, line(t) - middle)) - t * analytic for t in steps])
        clear = remainders > table.noise * size + 10 * EPS * abs(analytic) * steps
        if not np.isnan(remainders).any() and clear.sum() < 2:
            return np.inf, step
        order = float(np.polyfit(np.log(steps[clear]), np.log(remainders[clear]), 1)[0]) if clear.any() else 0.0
        if order >= 2 - table.rtol or not third_difference(line, dy, step) > 0.1 * remainders[0] / step:
            break
    return order, step
