"""What became of a file's weights, and of a network's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from engine.io.fields import shown
from engine.typing import Shape

SHOWN = 6  # names in a sentence


class Misfit(NamedTuple):
    """A parameter whose counterpart in the file has another shape; both as the file lays weights out."""

    name: str
    file_name: str
    there: Shape
    here: Shape

    def __str__(self) -> str:
        return f"{self.name} is {self.there} there and {self.here} here"


@dataclass(frozen=True)
class WeightsReport:
    """The result of `load_weights`; `str()` tells it in a few lines.

    kind          -- where the weights come from
    taken         -- names of the network's parameters, and what they are called in the file
    heads         -- parameters of classifiers that are of another number of classes there; not taken
    misfits       -- other parameters that have another shape there; not taken
    missing       -- parameters that are not in the file, and biases of weights that were not taken
    left          -- arrays of the file that no parameter is
    bgr           -- whether the channels of the first convolution were blue, green, red and are turned around
    preprocessing -- the preprocessing of a recipe that goes with the weights; None where the file does not tell
    note          -- what else is to be known
    sha256        -- of the file, and of those that it keeps its numbers in
    """

    path: Path
    kind: str
    taken: tuple[tuple[str, str], ...]
    heads: tuple[Misfit, ...]
    misfits: tuple[Misfit, ...]
    missing: tuple[str, ...]
    left: tuple[str, ...]
    bgr: bool
    preprocessing: str | None
    note: str
    sha256: str

    @property
    def drawn(self) -> tuple[str, ...]:
        """The parameters that were not taken, and keep the values that they were drawn with."""
        return (*(misfit.name for misfit in (*self.heads, *self.misfits)), *self.missing)

    def summary(self) -> str:
        """In a line: how many parameters were taken, and which ones are drawn anew."""
        count = len(self.taken) + len(self.drawn)
        taken = f"{len(self.taken)} of {count} parameters are those of {self.path.name} ({self.kind})"
        if not self.drawn:
            return taken
        classes = {_layer(m.name): f" ({m.there[0]:,} classes there, {m.here[0]:,} here)" for m in self.heads}
        names = dict.fromkeys(_layer(name) for name in self.drawn)
        return f"{taken}; drawn anew: {listed([name + classes.get(name, '') for name in names])}"

    def __str__(self) -> str:
        lines = [self.summary()]
        lines += [f"does not fit: {misfit}" for misfit in self.misfits]
        if self.left:
            lines.append(f"left in the file: {listed([shown(name) for name in self.left])}")
        if self.note:
            lines.append(self.note)
        return "\n".join(lines)


def listed(names: Sequence[str]) -> str:
    """Some names in a sentence.

    >>> listed(list("abcdef")), listed(list("abcdefgh"))
    ('a, b, c, d, e, f', 'a, b, c, d, e, f and 2 more')
    """
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _layer(parameter: str) -> str:
    return parameter.rpartition(".")[0] or parameter
