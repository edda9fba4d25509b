"""What changes in the course of a run: the learning rate, as a multiple of the base rate, and the momentum."""

from __future__ import annotations

import math

from engine.parameters import Policy

SCHEDULES = ("constant", "step", "exponential", "polynomial", "cosine")


def learning_rate(
    schedule: str,
    epoch: float,
    epochs: float = 1.0,
    *,
    warmup: float = 0.0,
    steps: tuple[float, ...] = (),
    factor: float = 0.1,
    power: float = 1.0,
    floor: float = 0.0,
) -> float:
    """The multiple of the base rate after `epoch` of `epochs` epochs.

    With s = min(1, epoch / epochs) it is

        constant     1
        step         factor^(number of `steps`, epochs, that have been passed)
        exponential  max(floor, factor^epoch)                            (pylearn2's ExponentialDecay)
        polynomial   floor + (1 - floor) (1 - s)^power                   (power 1: pylearn2's LinearDecayOverEpoch)
        cosine       floor + (1 - floor) (1 + cos(pi s)) / 2             (Loshchilov and Hutter, ICLR 2017, eq. 5)

    During warm-up (epoch < warmup) it is this times epoch / warmup, rising from 0 (Goyal et al., 2017).
    """
    scale = min(1.0, epoch / warmup) if warmup > 0 else 1.0
    s = min(1.0, epoch / epochs)
    if schedule == "step":
        return scale * factor ** sum(epoch >= place for place in steps)
    if schedule == "exponential":
        return scale * max(floor, factor**epoch)
    if schedule == "polynomial":
        return scale * (floor + (1 - floor) * (1 - s) ** power)
    if schedule == "cosine":
        return scale * (floor + (1 - floor) * (1 + math.cos(math.pi * s)) / 2)
    return scale


def ramp(first: float, last: float, s: float) -> float:
    """From `first` at s = 0 in a line to `last` at s = 1, where it stays (pylearn2's MomentumAdjustor)."""
    return first + (last - first) * min(1.0, s)


def power_inv(gamma: float, power: float) -> Policy:
    """t updates to (1 + gamma t)^-power: a parameter's own decay (Caffe's policy "inv", DSN's "power_inv")."""
    return lambda updates: (1 + gamma * updates) ** -power
