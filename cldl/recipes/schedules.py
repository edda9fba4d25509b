"""The schedules of `engine.optim.schedules` as parts of a recipe: the same classes, their values checked and cited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cldl.recipes.spec import Spec
from engine.errors import UserError
from engine.io.fields import shown
from engine.optim import schedules


@dataclass(frozen=True, kw_only=True)
class ScheduleSpec(Spec, schedules.Schedule):
    """What all schedules share; a spec is a schedule itself."""

    section: ClassVar[str] = "schedule"

    def check(self) -> None:
        self.check_range(1, 100_000, "epochs")
        self.check_range(1, 60_000, "batch_size")
        self.check_range(0, 1000, "learning_rate")
        self.check_range(0, self.epochs, "warmup")
        ramp = self.momentum_ramp
        if ramp is not None and not (
            len(ramp) == 3 and all(0 <= momentum <= 0.9999 for momentum in ramp[:2]) and 1e-6 <= ramp[2] <= 100_000
        ):
            raise UserError(
                f"schedule.momentum_ramp is {shown(ramp)}; give the first momentum, the last one (both from 0 to 0.9999) and "
                "after how many epochs it is reached, or none."
            )


@dataclass(frozen=True, kw_only=True)
class ConstantSpec(ScheduleSpec, schedules.Constant):
    """One learning rate."""

    kind: ClassVar[str] = "constant"


@dataclass(frozen=True, kw_only=True)
class StepSpec(ScheduleSpec, schedules.Step):
    """A learning rate that is multiplied at milestones."""

    kind: ClassVar[str] = "step"

    def check(self) -> None:
        super().check()
        self.check_range(0, 1, "gamma")
        if not all(0 <= milestone <= 100_000 for milestone in self.milestones):
            raise UserError(f"schedule.milestones is {shown(self.milestones)}; give epochs from 0 to 100000.")


@dataclass(frozen=True, kw_only=True)
class ExponentialSpec(ScheduleSpec, schedules.Exponential):
    """A learning rate that is multiplied every epoch."""

    kind: ClassVar[str] = "exponential"

    def check(self) -> None:
        super().check()
        self.check_range(0, 1, "gamma", "min_lr_ratio")


@dataclass(frozen=True, kw_only=True)
class PolynomialSpec(ScheduleSpec, schedules.Polynomial):
    """A learning rate that falls as a power of the rest of the run."""

    kind: ClassVar[str] = "polynomial"

    def check(self) -> None:
        super().check()
        self.check_range(0, 100, "power")
        self.check_range(0, 1, "min_lr_ratio")
        self.check_range(1e-6, 100_000, "decay_epochs")


@dataclass(frozen=True, kw_only=True)
class CosineSpec(ScheduleSpec, schedules.Cosine):
    """A learning rate that falls as half a cosine."""

    kind: ClassVar[str] = "cosine"

    def check(self) -> None:
        super().check()
        self.check_range(0, 1, "min_lr_ratio")
        self.check_range(1e-6, 100_000, "decay_epochs")
