"""How fast a training goes, and how long it will take."""

from __future__ import annotations

import time
from collections import deque

from cldl.training.trainer import Trainer

WINDOW = 100  # steps that the throughput is averaged over
FIRST = 3  # steps before the first estimate; the very first one compiles
# Until it is measured, the time of an image in testing, as a part of that in training: there is no backward pass.
TESTING = 1 / 3


class Throughput:
    """Images per second over the last steps of this process; the tests between the epochs are timed by themselves."""

    def __init__(self) -> None:
        self.images_per_second: float | None = None  # None before the first steps
        self._marks: deque[tuple[float, int]] = deque(maxlen=WINDOW)  # (time, images of the epoch so far)
        self._test_seconds: float | None = None

    def step(self, trainer: Trainer) -> None:
        """Note that a step has ended."""
        self._marks.append((time.monotonic(), trainer.metrics.samples))
        if len(self._marks) > FIRST:
            (began, first), (now, last) = self._marks[0], self._marks[-1]
            self.images_per_second = (last - first) / max(now - began, 1e-9)

    def epoch(self) -> None:
        """Note that an epoch has ended, its test included."""
        if self._marks:
            self._test_seconds = time.monotonic() - self._marks[-1][0]
        self._marks.clear()

    def left(self, trainer: Trainer) -> tuple[float, float] | None:
        """Seconds to the end of the epoch and to the end of the run; None before the first steps."""
        if self.images_per_second is None:
            return None
        images, test_seconds = len(trainer.dataset.train), self._test_seconds
        if test_seconds is None:
            test_seconds = TESTING * len(trainer.dataset.test) / self.images_per_second
        epoch = (images - trainer.metrics.samples) / self.images_per_second + test_seconds
        others = trainer.schedule.epochs - trainer.epoch - 1
        return epoch, epoch + others * (images / self.images_per_second + test_seconds)


def duration(seconds: float) -> str:
    """A time in its two largest units.

    >>> duration(7.4), duration(750), duration(7500), duration(90000)
    ('7 s', '12 min 30 s', '2 h 5 min', '1 d 1 h')
    """
    whole = round(seconds)
    for unit, length, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // part} {smaller}"
    return f"{whole} s"
