"""What a recipe minimises: the CLDL loss, deep supervision, or the cross-entropy of one classifier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from cldl.objective import Objective
from cldl.recipes.spec import Spec
from engine.errors import UserError
from engine.io.fields import shown


@dataclass(frozen=True, kw_only=True)
class LossSpec(Spec):
    """A loss of M classifiers; it has `weights`, lambda (M,), from the bottom classifier to the top one."""

    section: ClassVar[str] = "loss"

    def check(self) -> None:
        if not all(0 <= weight < math.inf for weight in self.lambdas):
            raise UserError(f"loss.weights is {shown(self.lambdas)}; give numbers of 0 or more, one a classifier.")

    @property
    def lambdas(self) -> tuple[float, ...]:
        """The weights of the classifiers' losses (M,)."""
        raise NotImplementedError

    def build(self) -> Objective:
        """The loss, and the prediction."""
        raise NotImplementedError

    def describe(self) -> str:
        """The loss in a few words."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class WeightedLossSpec(LossSpec):
    """A loss that weights its classifiers.

    weights -- lambda (M,), from the bottom classifier to the top one
    """

    weights: tuple[float, ...]

    @property
    def lambdas(self) -> tuple[float, ...]:
        return self.weights


@dataclass(frozen=True, kw_only=True)
class CldlLossSpec(WeightedLossSpec):
    """The sum of lambda_m C^(m) T^(m) (see `cldl.loss`).

    exponent           -- g; None: 1 / (M - 1)
    through_companions -- whether the gradient goes through the T^(m), too
    unweighted_share   -- not the poster's: the share of each C^(m) that T^(m) leaves alone (see `cldl.objective`)
    exponent_epochs    -- not the poster's: over so many epochs the exponent rises from 0 to g; None: it is g throughout
    """

    kind: ClassVar[str] = "cldl"
    exponent: float | None = None
    through_companions: bool = True
    unweighted_share: float = 0.0
    exponent_epochs: float | None = None

    def check(self) -> None:
        super().check()
        self.check_range(0, 1e9, "exponent")
        self.check_range(0, 1, "unweighted_share")
        self.check_range(1e-6, 100_000, "exponent_epochs")

    def build(self) -> Objective:
        return Objective(
            self.weights,
            exponent=self.exponent,
            through_companions=self.through_companions,
            unweighted_share=self.unweighted_share,
            exponent_epochs=self.exponent_epochs,
        )

    def describe(self) -> str:
        constant = "" if self.through_companions else ", T held constant in the gradient"
        share = f", {self.unweighted_share:.0%} of each loss unweighted" if self.unweighted_share else ""
        rising = "" if self.exponent_epochs is None else f" after {self.exponent_epochs:g} epochs"
        return (
            f"CLDL, M = {len(self.weights)}, {_weights(self.weights)}, g = {self.build().g:g}{rising}{constant}{share}"
        )


@dataclass(frozen=True, kw_only=True)
class DeepSupervisionSpec(WeightedLossSpec):
    """The sum of lambda_m C^(m): the companions train the layers below them, the top classifier predicts.

    companion_epochs -- after so many, only the top classifier is trained; None: all are, to the end
    """

    companion_epochs: float | None = None

    def check(self) -> None:
        super().check()
        self.check_range(0, 100_000, "companion_epochs")

    def build(self) -> Objective:
        return Objective(self.weights, loss=self.kind, companion_epochs=self.companion_epochs)

    def describe(self) -> str:
        M, until = len(self.weights), ""
        if self.companion_epochs is not None:
            until = (
                f"; the lower {M - 1} for {self.companion_epochs:,g} epoch{'' if self.companion_epochs == 1 else 's'}"
            )
        return f"deep supervision, {self.kind} on each of {M} classifiers, {_weights(self.weights)}{until}"


@dataclass(frozen=True, kw_only=True)
class SoftmaxSpec(DeepSupervisionSpec):
    """Deep supervision by the softmax cross-entropy, which is CLDL with exponent 0."""

    kind: ClassVar[str] = "softmax"


@dataclass(frozen=True, kw_only=True)
class HingeSpec(DeepSupervisionSpec):
    """Deep supervision by the squared hinge loss, one class against all others (see `cldl.hinge`)."""

    kind: ClassVar[str] = "hinge"


@dataclass(frozen=True, kw_only=True)
class CrossEntropySpec(LossSpec):
    """The softmax cross-entropy of one classifier."""

    kind: ClassVar[str] = "cross_entropy"

    @property
    def lambdas(self) -> tuple[float, ...]:
        return (1.0,)

    def build(self) -> Objective:
        return Objective(self.lambdas, loss="softmax")

    def describe(self) -> str:
        return "softmax cross-entropy"


def _weights(weights: tuple[float, ...]) -> str:
    return f"lambda = {', '.join(f'{weight:g}' for weight in weights)}"
