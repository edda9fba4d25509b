"""What a recipe minimises over its classifiers' scores, and the label that it takes from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cldl import inference
from cldl.hinge import batch_hinge, hinge_loss
from cldl.loss import CldlResult, batch_loss, cldl_loss, default_exponent
from engine.device import dispatch
from engine.typing import Array

LOSSES = ("cldl", "softmax", "hinge")


@dataclass(frozen=True)
class Objective:
    """The loss of M classifiers, and their answer.

        "cldl"     the sum of lambda_m C^(m) T^(m); the label that makes it smallest (see cldl.loss, cldl.inference)
        "softmax"  the sum of lambda_m C^(m), the cross-entropies: deep supervision, CLDL with exponent 0
        "hinge"    the sum of the squared hinge losses: deep supervision as its authors have it (see cldl.hinge)

    Under deep supervision the lower classifiers are there to train the layers below them, and the top one answers.

    weights -- lambda (M,); exponent -- g, None for 1 / (M - 1); through_companions -- as in `cldl_loss`; both of "cldl" alone
    companion_epochs -- after so many epochs deep supervision trains the top classifier alone; None: never
    """

    weights: tuple[float, ...]
    exponent: float | None = None
    through_companions: bool = True
    loss: str = "cldl"
    companion_epochs: float | None = None

    def at(self, epoch: float) -> Objective:
        """The objective after `epoch` epochs: without the companions, once they are left out."""
        if self.companion_epochs is None or epoch < self.companion_epochs:
            return self
        return replace(self, weights=(*(0.0 for _ in self.weights[:-1]), self.weights[-1]), companion_epochs=None)

    @property
    def is_ensemble(self) -> bool:
        """Whether the answer is made from several classifiers' scores."""
        return self.loss == "cldl" and len(self.weights) > 1

    def __call__(self, logits: Sequence[Array], labels: Array, *, samples: int | None = None) -> CldlResult:
        """The loss of scores, M arrays (N, K), and its gradient; `samples` as in `cldl_loss`."""
        if self.loss == "hinge":
            return hinge_loss(logits, labels, self.weights, samples=samples)
        return cldl_loss(logits, labels, self.weights, self.g, self.through_companions, samples=samples)

    def into(
        self,
        logits: Sequence[Array],
        labels: Array,
        weights: Array,
        losses: Array,
        companions: Array,
        dlogits: tuple[Array, ...],
        scale: float,
    ) -> None:
        """The same unchecked, wherever the arrays are: losses and companions (N, M) and the gradients are written.

        weights -- lambda, on that device; scale -- 1 / the number of samples
        """
        if self.loss == "hinge":
            dispatch(batch_hinge, tuple(logits), labels, weights, losses, companions, dlogits, scale)
        else:
            form = (weights, self.g, self.through_companions, losses, companions, dlogits, scale)
            dispatch(batch_loss, tuple(logits), labels, *form)

    @property
    def g(self) -> float:
        """The exponent as a number."""
        if self.loss == "softmax":
            return 0.0
        return default_exponent(len(self.weights)) if self.exponent is None else self.exponent

    def predictions(self, logits: Sequence[Array]) -> Array:
        """The labels (N,)."""
        if self.loss == "cldl":
            return inference.predict(logits, self.weights, self.exponent)
        return logits[-1].argmax(axis=1)

    def deciding_exits(self, logits: Sequence[Array], predictions: Array) -> Array:
        """Which classifier decided, (N,) in 0..M-1: the surest of its answer, or the top one where it alone answers."""
        if self.loss == "cldl":
            return inference.deciding_exits(logits, predictions)
        return np.full(len(predictions), len(logits) - 1)
