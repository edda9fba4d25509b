"""What is summed over the steps of an epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.typing import Array


@dataclass
class EpochMetrics:
    """Sums over the steps of an epoch."""

    samples: int
    loss: float
    wrong: Array  # (M + 1,): of each classifier by itself, then of the objective
    companions: Array  # (M,): of the T^(m)
    seconds: float
    waited: float = 0.0  # part of `seconds`, spent waiting for images from the disk; not kept when a run is resumed
    first_step: tuple[int, float] = (0, 0.0)  # samples and seconds of the process's first step: it may compile kernels

    @classmethod
    def empty(cls, classifiers: int) -> EpochMetrics:
        """Before the first step."""
        return cls(0, 0.0, np.zeros(classifiers + 1), np.zeros(classifiers), 0.0)

    @property
    def images_per_second(self) -> float:
        """The speed without the process's first step, unless that was the only one."""
        samples, seconds = self.samples - self.first_step[0], self.seconds - self.first_step[1]
        return samples / max(seconds, 1e-9) if samples else self.samples / max(self.seconds, 1e-9)

    def means(self) -> dict:
        """The epoch's line in metrics.jsonl, as far as training goes."""
        n = max(self.samples, 1)
        M = len(self.companions)
        names = [*(str(m + 1) for m in range(M)), "fused"]
        return {
            "train_loss": self.loss / n,
            "train_error": dict(zip(names, (100 * self.wrong / n).tolist(), strict=True)),
            "train_companions": dict(zip(names, (self.companions / n).tolist(), strict=False)),
        }
