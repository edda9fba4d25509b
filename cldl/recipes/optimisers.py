"""How the weights follow the gradients: SGD, LARS or AdamW, and the penalty on the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from cldl.recipes.spec import Spec
from engine.optim.lars import LARS
from engine.optim.optimisers import PENALTIES, SGD, AdamW, Optimiser
from engine.parameters import Parameter


@dataclass(frozen=True, kw_only=True)
class OptimiserSpec(Spec):
    """What all optimisers share.

    weight_decay -- alpha, the factor of the penalty on the weights
    penalty      -- "l2", half the square of their norm, or "norm", as the poster prints it
    """

    section: ClassVar[str] = "optimiser"
    weight_decay: float = 0.0
    penalty: str = "l2"

    def check(self) -> None:
        self.check_range(0, 1, "weight_decay")
        self.check_choice(PENALTIES, "penalty")

    def build(self, parameters: Sequence[Parameter]) -> Optimiser:
        """The optimiser of these parameters."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class SGDSpec(OptimiserSpec):
    """Stochastic gradient descent with momentum (see `engine.optim.optimisers.SGD`).

    momentum -- the part of the last step that is taken again
    nesterov -- whether it is Nesterov's momentum
    """

    kind: ClassVar[str] = "sgd"
    momentum: float
    nesterov: bool = False

    def check(self) -> None:
        super().check()
        self.check_range(0, 0.9999, "momentum")

    def build(self, parameters: Sequence[Parameter]) -> Optimiser:
        return SGD(parameters, **self.values)


@dataclass(frozen=True, kw_only=True)
class LARSSpec(OptimiserSpec):
    """SGD whose rate follows the length of each weight (see `engine.optim.lars.LARS`).

    momentum -- the part of the last step that is taken again
    trust    -- the length of a step at a learning rate of 1, as a part of the weight's
    """

    kind: ClassVar[str] = "lars"
    momentum: float
    trust: float = 0.001

    def check(self) -> None:
        super().check()
        self.check_range(0, 0.9999, "momentum")
        self.check_range(1e-9, 1, "trust")

    def build(self, parameters: Sequence[Parameter]) -> Optimiser:
        return LARS(parameters, **self.values)


@dataclass(frozen=True, kw_only=True)
class AdamWSpec(OptimiserSpec):
    """Adam with decoupled weight decay (see `engine.optim.optimisers.AdamW`).

    beta1 -- of the running mean of the gradients
    beta2 -- of the running mean of their squares
    """

    kind: ClassVar[str] = "adamw"
    beta1: float = 0.9
    beta2: float = 0.999

    def check(self) -> None:
        super().check()
        self.check_range(0, 0.9999, "beta1")
        self.check_range(0, 0.999999, "beta2")

    def build(self, parameters: Sequence[Parameter]) -> Optimiser:
        return AdamW(parameters, betas=(self.beta1, self.beta2), weight_decay=self.weight_decay, penalty=self.penalty)
