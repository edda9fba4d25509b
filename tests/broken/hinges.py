"""Broken squared hinge losses: a correct one with one realistic bug each, and the law that must reject it."""

import numpy as np

from tests.cldl import hinge_laws as laws


class HingeLoss:
    """A correct squared hinge loss, in steps that a broken version replaces; a class, a classifier and a sample at a time."""

    def __call__(self, logits, labels, weights=None):
        z = np.stack(list(logits)).astype(float)  # (M, N, K)
        M, self.N = z.shape[:2]
        lam = np.ones(M) if weights is None else weights
        losses, gradients = np.zeros((M, self.N)), np.zeros(z.shape)
        for m, n, k in np.ndindex(z.shape):
            y = self.target(k, labels[n])
            h = self.hinge(1 - y * z[m, n, k])
            losses[m, n] += self.power(h)
            gradients[m, n, k] = self.scale(lam[m] * self.dz(y, h))
        return self.mean(np.asarray(lam) @ losses), losses, list(gradients)

    def target(self, k, label):
        return 1.0 if k == label else -1.0

    def hinge(self, gap):
        return max(0.0, gap)

    def power(self, h):
        return h * h

    def dz(self, y, h):
        return -2 * y * h

    def scale(self, dz):
        return dz / self.N

    def mean(self, losses):
        return losses.mean()


GALLERY: list[tuple[HingeLoss, object]] = []


def rejected_by(law):
    def add(kind: type[HingeLoss]) -> type[HingeLoss]:
        GALLERY.append((kind(), law))
        return kind

    return add


@rejected_by(laws.gradient_agrees_with_differences)
class TwoForgotten(HingeLoss):
    """As if the loss had a factor 1/2."""

    def dz(self, y, h):
        return -y * h


@rejected_by(laws.gradient_agrees_with_differences)
class SignOfTheTargetForgotten(HingeLoss):
    def dz(self, y, h):
        return -2 * h


@rejected_by(laws.gradient_agrees_with_differences)
class GradientOfThePlainHinge(HingeLoss):
    def dz(self, y, h):
        return -y * (h > 0)


@rejected_by(laws.gradient_agrees_with_differences)
class OneOverNMissing(HingeLoss):
    def scale(self, dz):
        return dz


@rejected_by(laws.numbers_worked_by_hand)
class PlainHinge(HingeLoss):
    def power(self, h):
        return h

    def dz(self, y, h):
        return -y * (h > 0)


@rejected_by(laws.numbers_worked_by_hand)
class TargetsOfZeroAndOne(HingeLoss):
    def target(self, k, label):
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

    def scale(self, dz):
        return dz


@rejected_by(laws.linear_in_lambda)
class LambdaIgnored(HingeLoss):
    def __call__(self, logits, labels, weights=None):
        return super().__call__(logits, labels, np.ones(len(logits)))
