"""The learning rate, as a multiple of the base rate, over the progress of a run: 0 at the first step, 1 after the last."""

from __future__ import annotations

import math

SCHEDULES = ("constant", "step", "polynomial", "cosine")


def learning_rate(
    schedule: str,
    progress: float,
    *,
    warmup: float = 0.0,
    steps: tuple[float, ...] = (),
    factor: float = 0.1,
    power: float = 1.0,
    floor: float = 0.0,
) -> float:
    """The multiple of the base rate at `progress` in [0, 1].

        constant    1
        step        factor^(number of `steps`, places in [0, 1], that have been passed)
        polynomial  floor + (1 - floor) (1 - progress)^power
        cosine      floor + (1 - floor) (1 + cos(pi progress)) / 2     (Loshchilov and Hutter, ICLR 2017, eq. 5)

    During warm-up (progress < warmup) it is this times progress / warmup, rising from 0 (Goyal et al., 2017).
    """
    scale = min(1.0, progress / warmup) if warmup > 0 else 1.0
    if schedule == "step":
        return scale * factor ** sum(progress >= place for place in steps)
    if schedule == "polynomial":
        return scale * (floor + (1 - floor) * (1 - progress) ** power)
    if schedule == "cosine":
        return scale * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)
    return scale
