"""What a gradient check found: for each array its worst element, as a table, an exception or a figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table


def plain(*parts: Any) -> str:
    """What rich makes of these parts, as text without escape codes, on a terminal too."""
    console = Console(width=120, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, str), markup=False, highlight=False)
    return capture.get().rstrip("\n")


def preformatted(text: str) -> str:
    """Text as a notebook shows it, in columns."""
    return f"<pre>{escape(text)}</pre>"


class GradientError(AssertionError):
    """A gradient is wrong, or a layer fails a check.

    error_over_tolerance -- by how much, where there is a number of it
    """

    def __init__(self, message: str, error_over_tolerance: float = float("inf")) -> None:
        super().__init__(message)
        self.error_over_tolerance = error_over_tolerance


class KinkError(GradientError):
    """The function has a kink at the input, so there is no gradient to compare with."""


@dataclass(frozen=True)
class Entry:
    """The worst element of one array.

    name, index           -- which array, and which of its elements (or which of its random directions)
    analytic              -- what backward gave
    numeric               -- what the differences of forward gave (for the Taylor method: the order; `analytic` is then
                             nominal, 2)
    error_over_tolerance  -- |analytic - numeric| over its tolerance: above 1 is a failure
    relative              -- the largest |analytic - numeric| of the array over its largest |analytic| (along directions:
                             over the gradient's norm, the usual size of a slope along one)
    step                  -- of the difference
    kink                  -- True if the five-point detector found a kink there
    errors_over_tolerance -- that of every element (of every direction), in the array's shape
    curve                 -- step -> |analytic - numeric| at this element, for the figure
    """

    name: str
    index: tuple[int, ...]
    analytic: float
    numeric: float
    error_over_tolerance: float
    relative: float
    step: float
    kink: bool
    errors_over_tolerance: np.ndarray
    curve: Callable[[float], float]

    @property
    def verdict(self) -> str:
        if self.kink:
            return "kink"
        return "passed" if self.error_over_tolerance <= 1 else "FAILED"


@dataclass(frozen=True, repr=False)
class GradientReport:
    """The result of `check_gradients`: an entry for each input and each parameter that has elements; true where all passed."""

    entries: list[Entry]
    method: str
    seed: int
    step: float | None = None  # if the caller set it
    call: str = "check_gradients(forward, backward, inputs, parameters"

    @property
    def passed(self) -> bool:
        return all(entry.verdict == "passed" for entry in self.entries)

    def __bool__(self) -> bool:
        return self.passed

    @property
    def worst(self) -> Entry:
        """The entry with the largest error over its tolerance; a NaN is worse than any number."""
        return max(
            self.entries,
            key=lambda e: (e.verdict != "passed", np.isnan(e.error_over_tolerance), e.error_over_tolerance),
        )

    def repeat(self, entry: Entry) -> str:
        """One line of Python that checks just this element again."""
        only = f"only=({entry.name!r}, {entry.index})"
        options = f"method={self.method!r}, seed={self.seed}" + ("" if self.step is None else f", step={self.step}")
        return f"{self.call}, {options}, {only}).raise_if_failed()"

    def raise_if_failed(self) -> None:
        """Raise KinkError if the worst entry lies at a kink, GradientError if it is wrong."""
        if self.passed:
            return
        entry = self.worst
        if entry.verdict == "kink":
            raise KinkError(
                f"the function has a kink (or a jump) at {entry.name}{list(entry.index)}, nearer than the step "
                f"{entry.step:.1e}: no gradient can be judged there; move the input away from it, or, where forward is "
                f"smooth but changes as fast as that, give a smaller `step`. To repeat: {self.repeat(entry)}",
                entry.error_over_tolerance,
            )
        along = self.method not in ("elementwise", "complex")  # then an index is that of a direction
        where = f"{entry.name} along direction {entry.index[0]}" if along else f"{entry.name}{list(entry.index)}"
        raise GradientError(
            f"the gradient of {where} is {entry.analytic:.12g} by backward (analytic) and "
            f"{entry.numeric:.12g} by {self.method} (numeric), {entry.error_over_tolerance:.3g} times the tolerance, "
            f"step {entry.step:.1e}, seed {self.seed}. To repeat: {self.repeat(entry)}",
            entry.error_over_tolerance,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        keys = ("name", "analytic", "numeric", "error_over_tolerance", "relative", "step", "verdict")
        rows = [{**{k: getattr(e, k) for k in keys}, "index": list(e.index)} for e in self.entries]
        return {"method": self.method, "seed": self.seed, "passed": self.passed, "entries": rows}

    def __str__(self) -> str:
        table = Table("array", "index", "analytic", "numeric", "error / tolerance", "step", "verdict", box=SIMPLE)
        for e in self.entries:
            row = (
                f"{e.analytic:.10g}",
                f"{e.numeric:.10g}",
                f"{e.error_over_tolerance:.2g}",
                f"{e.step:.1e}",
                e.verdict,
            )
            table.add_row(e.name, str(list(e.index)), *row)
        lines = [f"{e.name}: {self.repeat(e)}" for e in self.entries if e.verdict != "passed"]
        return plain(f"{self.method}, seed {self.seed}: the worst element of each array", table, *lines)

    __repr__ = __str__  # which a failed assertion shows

    def _repr_html_(self) -> str:
        return preformatted(str(self))

    def plot(self, entry: Entry | None = None):
        """A matplotlib figure: the map of all errors of an array (the worst by default), and the V-shaped curve.

        The curve is the error at the worst element against the step: truncation falls from the right, rounding rises
        to the left, and the step that was used should lie in the valley.
        """
        from matplotlib.figure import Figure

        entry = entry or self.worst
        figure = Figure(figsize=(10, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        errors = np.atleast_2d(entry.errors_over_tolerance)
        rows = errors.reshape(-1, errors.shape[-1])
        image = left.imshow(rows, aspect="auto", cmap="viridis", interpolation="nearest")
        figure.colorbar(image, ax=left, label="error / tolerance")
        left.set(title=f"{entry.name} {entry.errors_over_tolerance.shape}", xlabel="last axis", ylabel="all other axes")
        steps = np.logspace(-12, 0, 49)
        right.loglog(steps, [max(entry.curve(h), 1e-18) for h in steps], marker=".")
        right.axvline(entry.step, linestyle="--", color="grey")
        right.set(title=f"{entry.name}{list(entry.index)}", xlabel="step", ylabel="|analytic - central difference|")
        return figure
