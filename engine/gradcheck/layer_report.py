"""What the checks of a layer found, as a table or an exception."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.box import SIMPLE
from rich.table import Table

from engine.gradcheck.report import GradientError, plain, preformatted


@dataclass(frozen=True)
class CheckResult:
    """One check of a layer: passed or not, its error over the tolerance, and what is wrong, or why it is not promised."""

    name: str
    passed: bool
    error_over_tolerance: float
    relative: float
    message: str = ""
    promised: bool = True

    @property
    def verdict(self) -> str:
        if not self.promised:
            return "not promised"
        return "passed" if self.passed else "FAILED"


@dataclass(frozen=True, repr=False)
class LayerReport:
    """What `check_layer` returns: true where all checks passed."""

    layer: str
    results: list[CheckResult] = field(default_factory=list)

    @property
    def ran(self) -> int:
        """How many checks ran."""
        return sum(result.promised for result in self.results)

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)

    def __bool__(self) -> bool:
        return self.passed

    @property
    def failed(self) -> list[str]:
        """The names of the checks that did not pass."""
        return [result.name for result in self.results if not result.passed]

    @property
    def not_promised(self) -> dict[str, str]:
        """The names of the checks that do not hold for the layer, with its reasons: they did not run."""
        return {result.name: result.message for result in self.results if not result.promised}

    @property
    def relative(self) -> float:
        """The largest relative error of the float64 gradients against differences."""
        return max((result.relative for result in self.results), default=0.0)

    def raise_if_failed(self) -> None:
        """Raise GradientError that names every check that failed."""
        if self.failed:
            raise GradientError(
                f"{self.layer} fails {len(self.failed)} of {self.ran} checks\n" + "\n".join(self._reasons())
            )

    def _reasons(self) -> list[str]:
        """What is wrong, a line a message, after the names of the checks that found it."""
        names: dict[str, list[str]] = {}
        for result in self.results:
            if not result.passed:
                names.setdefault(result.message, []).append(result.name)
        if len(names) == 1 and len(self.failed) == self.ran > 1:
            return [f"every check: {message}" for message in names]
        return [f"{', '.join(those)}: {message}" for message, those in names.items()]

    def __str__(self) -> str:
        count = f"{self.layer}: {self.ran} checks ran, {len(self.failed)} failed"
        count += f", {len(self.not_promised)} not promised" if self.not_promised else ""
        table = Table("check", "error / tolerance", "verdict", box=SIMPLE)
        for r in self.results:
            table.add_row(r.name, f"{r.error_over_tolerance:.2g}" if r.promised else "", r.verdict)
        reasons = [f"{name}: not promised, because {reason}" for name, reason in self.not_promised.items()]
        return plain(count, table, *self._reasons(), *reasons)

    __repr__ = __str__  # which a failed assertion shows

    def _repr_html_(self) -> str:
        return preformatted(str(self))
