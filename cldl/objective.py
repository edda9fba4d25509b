"""What training minimises: a loss of the logits of M classifiers; and the label that is predicted from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cldl import inference
from cldl.arguments import default_exponent
from cldl.hinge import hinge_loss
from cldl.loss import CldlResult, cldl_loss
from engine.errors import UserError
from engine.memory import Empty
from engine.typing import Array

LOSSES = ("cldl", "softmax", "hinge")


@dataclass(frozen=True)
class Objective:
    """The loss of M classifiers, and their prediction.

        loss        minimised                                             predicted
        "cldl"      the sum of lambda_m C^(m) T^(m) (cldl.loss)           the label for which it is smallest (cldl.inference)
        "softmax"   the sum of lambda_m C^(m), the cross-entropies        the top classifier's label
        "hinge"     the sum of lambda_m times the squared hinge losses    the top classifier's label
                    (cldl.hinge)

    The last two are deep supervision: all classifiers but the top one (in the DSN paper, the companions) only help to train the
    layers below them. "softmax" is CLDL with exponent 0.

    weights            -- lambda (M,), from the bottom classifier to the top one
    exponent           -- g of "cldl"; None: 1 / (M - 1)
    through_companions -- of "cldl": whether the gradient passes through the T^(m) too
    companion_epochs   -- of deep supervision: after so many epochs only the top classifier is trained; None: all are, to the end

    Two options of "cldl" go beyond the poster's formula. Both let a classifier learn from samples that its companions have right:

    unweighted_share -- s, the share of each C^(m) that T^(m) does not weigh down: sum of lambda_m C^(m) (s + (1 - s) T^(m)) is
                        minimised, from the poster's loss at s = 0 to deep supervision at s = 1. The prediction keeps s = 0
    exponent_epochs  -- over so many epochs the exponent rises linearly from 0, deep supervision, to g; None: it is g throughout

    Raises:    UserError for an unknown loss, a share that is not from 0 to 1, or epochs of 0 or less for the exponent.

    >>> objective = Objective(weights=(1.0, 1.0))
    >>> logits, labels = [np.zeros((1, 2)), np.array([[2.0, 0.0]])], np.array([0])
    >>> f"{objective(logits, labels).value:.4f}", objective.predictions(logits).tolist()
    ('0.1461', [0])
    """

    weights: tuple[float, ...]
    exponent: float | None = None
    through_companions: bool = True
    loss: str = "cldl"
    companion_epochs: float | None = None
    unweighted_share: float = 0.0
    exponent_epochs: float | None = None

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise UserError(f"the loss {self.loss!r} is unknown: choose one of {', '.join(LOSSES)}.")
        if not 0 <= self.unweighted_share <= 1:
            raise UserError(f"the unweighted share is {self.unweighted_share!r}; give a number from 0 to 1.")
        if self.exponent_epochs is not None and not self.exponent_epochs > 0:
            raise UserError(
                f"the exponent is to rise over {self.exponent_epochs!r} epochs; give a number above 0, or None."
            )

    @property
    def is_ensemble(self) -> bool:
        """Whether several classifiers predict jointly."""
        return self.loss == "cldl" and len(self.weights) > 1

    @property
    def g(self) -> float:
        """The exponent as a number."""
        if self.loss == "softmax":
            return 0.0
        return default_exponent(len(self.weights)) if self.exponent is None else self.exponent

    def at(self, epoch: float) -> Objective:
        """The objective after `epoch` epochs: its exponent is the present one, and companions that are left out weigh 0."""
        if self.exponent_epochs is not None:
            risen = min(1.0, epoch / self.exponent_epochs)
            return replace(self, exponent=self.g * risen, exponent_epochs=None).at(epoch)
        if self.companion_epochs is None or epoch < self.companion_epochs:
            return self
        return replace(self, weights=(*(0.0 for _ in self.weights[:-1]), self.weights[-1]), companion_epochs=None)

    def __call__(
        self, logits: Sequence[Array], labels: Array, *, samples: int | None = None, empty: Empty | None = None
    ) -> CldlResult:
        """The loss of M arrays (N, K) and its gradient; `samples` and `empty` as in `cldl_loss`."""
        if self.loss == "hinge":
            return hinge_loss(logits, labels, self.weights, samples=samples, empty=empty)
        result = cldl_loss(logits, labels, self.weights, self.g, self.through_companions, samples=samples, empty=empty)
        if self.unweighted_share:  # (1 - s) of CLDL's loss plus s of the cross-entropies, in place
            unweighted = cldl_loss(logits, labels, self.weights, 0.0, samples=samples, empty=empty)
            pairs = zip(
                (result.per_classifier, *result.gradients),
                (unweighted.per_classifier, *unweighted.gradients),
                strict=True,
            )
            for weighted, other in pairs:
                weighted *= 1 - self.unweighted_share
                other *= self.unweighted_share
                weighted += other
        return result

    def class_scores(self, logits: Sequence[Array]) -> Array:
        """What ranks the classes, (N, K), the predicted one highest: -L(y) of "cldl", or the top classifier's logits."""
        if self.loss == "cldl":
            return -inference.class_losses(logits, self.weights, self.exponent)
        return logits[-1].astype(np.float64)

    def predictions(self, logits: Sequence[Array]) -> Array:
        """The labels (N,)."""
        if self.loss == "cldl":
            return inference.predict(logits, self.weights, self.exponent)
        return logits[-1].argmax(axis=1)

    def probabilities(self, logits: Sequence[Array]) -> Array:
        """How probable each class is, (N, K): the predicted one is the most probable.

            "cldl"              P(y) = exp(-L(y)) / sum over j of exp(-L(j))
            deep supervision    P(y) = exp(z_y) / sum over j of exp(z_j), z the top classifier's logits

        with L(y) the CLDL loss if y were the target. The prediction is the class with the smallest loss, so P must decrease
        with the loss; it is exp(-L) because a cross-entropy is -log P, and for M = 1 this gives the softmax of the logits. (The
        mean of the classifiers' probabilities would not do: it can be largest for another class than the predicted one.) Of
        classes with equal losses, and so equal P, `inference.predict` takes the one with the larger mean margin. Under "hinge"
        P only ranks the classes: hinge losses are not logarithms of probabilities.
        """
        return inference.softmax(self.class_scores(logits))

    def companion_weights(self, logits: Sequence[Array], labels: Array) -> Array | None:
        """T^(m) (M, N) of each sample for these labels (N,); None under "hinge", which has none.

        It is 1 under "softmax". `unweighted_share` does not enter.
        """
        if self.loss == "hinge":
            return None
        return cldl_loss(logits, labels, self.weights, self.g).companions

    def deciding_exits(self, logits: Sequence[Array], predictions: Array) -> Array:
        """The classifier that decided, (N,) in 0..M-1: the one that finds the prediction the most probable, or the top one."""
        if self.loss == "cldl":
            return inference.deciding_exits(logits, predictions)
        return np.full(len(predictions), len(logits) - 1)
