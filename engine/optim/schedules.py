"""Schedules: the learning rate and the momentum in the course of a run, and its length in epochs and batches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from engine.errors import UserError
from engine.parameters import Policy
from engine.typing import is_real, is_whole


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What all schedules share; each defines `multiple(epoch)`.

    The learning rate after e epochs (a fraction within an epoch) is

        learning_rate * min(1, e / warmup) * multiple(e)

    so that it rises linearly from 0 during the first `warmup` epochs (Goyal et al., 2017).

    learning_rate -- the base rate
    epochs        -- how often every training image is seen
    batch_size    -- images of a step
    warmup        -- epochs in which the rate rises from 0
    momentum_ramp -- (first, last, epochs): the momentum rises linearly from first to last in so many epochs, and stays
                     (pylearn2's MomentumAdjustor); None: it is the optimiser's throughout

    Raises:    UserError for a rate or a warm-up below 0 or not finite, and for epochs or a batch that are no number of them.

    >>> schedule = Cosine(learning_rate=0.1, epochs=10, batch_size=64, warmup=2)
    >>> [round(schedule.learning_rate_at(epoch), 3) for epoch in (0, 1, 2, 5, 10)]
    [0.0, 0.049, 0.09, 0.05, 0.0]
    """

    learning_rate: float
    epochs: int
    batch_size: int
    warmup: float = 0.0
    momentum_ramp: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("learning_rate", "warmup"):
            value = getattr(self, name)
            if not (is_real(value) and 0 <= value < math.inf):
                raise UserError(f"{name} is {value!r}; give a number of 0 or more.")
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not (is_whole(value) and value >= 1):
                raise UserError(f"{name} is {value!r}; give a whole number of 1 or more.")

    def multiple(self, epoch: float) -> float:
        """The multiple of the base rate after `epoch` epochs, without the warm-up."""
        raise NotImplementedError

    def learning_rate_at(self, epoch: float) -> float:
        """The learning rate after `epoch` epochs."""
        warmup = min(1.0, epoch / self.warmup) if self.warmup > 0 else 1.0
        return self.learning_rate * (warmup * self.multiple(epoch))

    def momentum_at(self, epoch: float) -> float | None:
        """The momentum after `epoch` epochs; None where it is the optimiser's own."""
        if self.momentum_ramp is None:
            return None
        first, last, epochs = self.momentum_ramp
        return first + (last - first) * min(1.0, epoch / epochs)


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """multiple(e) = 1."""

    def multiple(self, epoch: float) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Step(Schedule):
    """multiple(e) = gamma^(number of milestones that have been reached).

    milestones -- epochs after which the rate is multiplied
    gamma      -- by what it is multiplied
    """

    milestones: tuple[float, ...]
    gamma: float = 0.1

    def multiple(self, epoch: float) -> float:
        return self.gamma ** sum(epoch >= milestone for milestone in self.milestones)


@dataclass(frozen=True, kw_only=True)
class Exponential(Schedule):
    """multiple(e) = max(min_lr_ratio, gamma^e), as pylearn2's ExponentialDecay.

    gamma        -- by which the rate is multiplied every epoch
    min_lr_ratio -- the least part of the base rate
    """

    gamma: float
    min_lr_ratio: float = 0.0

    def multiple(self, epoch: float) -> float:
        return max(self.min_lr_ratio, self.gamma**epoch)


@dataclass(frozen=True, kw_only=True)
class Polynomial(Schedule):
    """multiple(e) = r + (1 - r) (1 - s)^power with r = min_lr_ratio and s = min(1, e / decay_epochs).

    Of power 1 it is pylearn2's LinearDecayOverEpoch.

    power        -- 1 is a straight line
    min_lr_ratio -- the part of the base rate at the end
    decay_epochs -- when the end is reached; None: with the run's
    """

    power: float = 1.0
    min_lr_ratio: float = 0.0
    decay_epochs: float | None = None

    def multiple(self, epoch: float) -> float:
        s = min(1.0, epoch / (self.epochs if self.decay_epochs is None else self.decay_epochs))
        return self.min_lr_ratio + (1 - self.min_lr_ratio) * (1 - s) ** self.power


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """multiple(e) = r + (1 - r) (1 + cos(pi s)) / 2 with r = min_lr_ratio and s = min(1, e / decay_epochs).

    Source: Loshchilov and Hutter, ICLR 2017, equation 5.

    min_lr_ratio -- the part of the base rate at the end
    decay_epochs -- when the end is reached; None: with the run's
    """

    min_lr_ratio: float = 0.0
    decay_epochs: float | None = None

    def multiple(self, epoch: float) -> float:
        s = min(1.0, epoch / (self.epochs if self.decay_epochs is None else self.decay_epochs))
        return self.min_lr_ratio + (1 - self.min_lr_ratio) * (1 + math.cos(math.pi * s)) / 2


def power_inv(gamma: float, power: float) -> Policy:
    """(1 + gamma t)^-power after t updates: a decay for single parameters (Caffe's policy "inv", DSN's "power_inv")."""
    return partial(_power_inv, gamma, power)


def _power_inv(gamma: float, power: float, updates: int) -> float:
    return (1 + gamma * updates) ** -power
