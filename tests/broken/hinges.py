"""Broken squared hinge losses: the blackboard one with one realistic slip each, and the law that must reject it."""

import numpy as np

from tests.cldl import hinge_laws as laws
from tests.reference import HingeLoss

GALLERY: list[tuple[HingeLoss, object]] = []


def rejected_by(law):
    def add(kind: type[HingeLoss]) -> type[HingeLoss]:
        GALLERY.append((kind(), law))
        return kind

    return add


@rejected_by(laws.gradient_agrees_with_differences)
class TwoForgotten(HingeLoss):
    """As if the loss had a factor 1/2."""

    def slope(self, y, h):
        return -y * h


@rejected_by(laws.gradient_agrees_with_differences)
class SignOfTheAnswerForgotten(HingeLoss):
    def slope(self, y, h):
        return -2 * h


@rejected_by(laws.gradient_agrees_with_differences)
class SlopeOfThePlainHinge(HingeLoss):
    def slope(self, y, h):
        return -y * (h > 0)


@rejected_by(laws.gradient_agrees_with_differences)
class OneOverNMissing(HingeLoss):
    def scale(self, slope):
        return slope


@rejected_by(laws.numbers_worked_by_hand)
class PlainHinge(HingeLoss):
    def power(self, h):
        return h

    def slope(self, y, h):
        return -y * (h > 0)


@rejected_by(laws.numbers_worked_by_hand)
class AnswersOfZeroAndOne(HingeLoss):
    def answer(self, k, label):
        return 1.0 if k == label else 0.0


@rejected_by(laws.a_score_beyond_the_margin_costs_nothing)
class PunishedBeyondTheMargin(HingeLoss):
    """A square error: without the maximum."""

    def hinge(self, gap):
        return gap


@rejected_by(laws.a_batch_is_the_mean_of_its_samples)
class SumInsteadOfMean(HingeLoss):
    def mean(self, losses):
        return losses.sum()

    def scale(self, slope):
        return slope


@rejected_by(laws.linear_in_lambda)
class LambdaIgnored(HingeLoss):
    def __call__(self, logits, labels, weights=None):
        return super().__call__(logits, labels, np.ones(len(logits)))
