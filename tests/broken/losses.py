"""Broken losses: the blackboard loss with one realistic slip each, and the law that must reject it."""

import numpy as np

from tests.cldl import laws
from tests.reference import Loss

GALLERY: list[tuple[Loss, object]] = []


def rejected_by(law):
    def add(kind: type[Loss]) -> type[Loss]:
        GALLERY.append((kind(), law))
        return kind

    return add


@rejected_by(laws.gradient_agrees_with_differences)
class CompanionTermLeftOut(Loss):
    def companion_term(self, *arguments):
        return 0


@rejected_by(laws.gradient_agrees_with_differences)
class CompanionTermOfTheWrongSign(Loss):
    def companion_term(self, *arguments):
        return -super().companion_term(*arguments)


@rejected_by(laws.gradient_agrees_with_differences)
class ExponentForgottenInTheGradient(Loss):
    def companion_term(self, lam, k, C, T, d, g):
        return super().companion_term(lam, k, C, T, d, 1.0)


@rejected_by(laws.gradient_agrees_with_differences)
class OnePerCentTooMuch(Loss):
    def own_term(self, *arguments):
        return 1.01 * super().own_term(*arguments)


@rejected_by(laws.gradient_agrees_with_differences)
class OneOverNMissing(Loss):
    def scale(self, slope):
        return slope


@rejected_by(laws.a_batch_is_the_mean_of_its_samples)
class SumInsteadOfMean(Loss):
    def mean(self, losses):
        return losses.sum()

    def scale(self, slope):
        return slope


@rejected_by(laws.the_default_exponent_is_the_geometric_mean)
class ExponentAsPrinted(Loss):
    def default_exponent(self):
        return max(self.M - 1.0, 1.0)


@rejected_by(laws.one_classifier_is_softmax_cross_entropy)
class OwnFactorIncluded(Loss):
    def companions(self, m):
        return list(range(self.M))


@rejected_by(laws.permuting_the_classifiers_permutes_all)
class OneCompanionSkipped(Loss):
    def companions(self, m):
        return super().companions(m)[1:]


@rejected_by(laws.permuting_the_classifiers_permutes_all)
class OnlyLowerCompanions(Loss):
    def companions(self, m):
        return list(range(m))


@rejected_by(laws.each_companion_term_is_right)
class LambdaOfTheWrongClassifier(Loss):
    def companion_term(self, lam, k, C, T, d, g):
        return super().companion_term(np.full_like(lam, lam[k]), k, C, T, d, g)


@rejected_by(laws.each_companion_term_is_right)
class OwnLossAmongTheOthers(Loss):
    def companion_term(self, lam, k, C, T, d, g):
        return super().companion_term(lam, k, C, T, d, g) + g * self.p(d[k]) * lam[k] * C[k] * T[k]


@rejected_by(laws.linear_in_lambda)
class LambdaIgnored(Loss):
    def __call__(self, logits, labels, weights=None, exponent=None, through=True):
        return super().__call__(logits, labels, None, exponent, through)


@rejected_by(laws.agrees_with_60_digits)
class LogOfOneMinusPBySubtraction(Loss):
    def log_wrong(self, d):
        with np.errstate(divide="ignore"):
            return np.log(1 - self.p(d))


@rejected_by(laws.agrees_with_60_digits)
class CrossEntropyAsLogOfP(Loss):
    def cross_entropy(self, d):
        return -np.log(self.p(d))


@rejected_by(laws.agrees_with_60_digits)
class Clipped(Loss):
    def p(self, d):
        return np.clip(super().p(d), 1e-7, 1 - 1e-7)


@rejected_by(laws.a_certain_and_right_companion_silences_the_others)
class ScoresInsteadOfOneMinusScores(Loss):
    """The poster's text: the mean of the prediction scores themselves."""

    def log_wrong(self, d):
        return super().log_wrong(-d)


@rejected_by(laws.constant_companions_leave_the_weighted_cross_entropy)
class CompanionsNeverHeldConstant(Loss):
    def __call__(self, logits, labels, weights=None, exponent=None, through=True):
        return super().__call__(logits, labels, weights, exponent, True)


@rejected_by(laws.each_gradient_sums_to_zero)
class TargetForgottenInTheGradient(Loss):
    def direction(self, z, labels, d):
        r = super().direction(z, labels, d)
        r[np.arange(self.N), labels] = 0
        return r


@rejected_by(laws.permuting_the_classes_permutes_the_gradients)
class LabelOffByOne(Loss):
    def direction(self, z, labels, d):
        r = super().direction(z, labels, d)
        r[:, :2] = r[:, 1::-1]
        return r


@rejected_by(laws.a_constant_on_the_scores_changes_nothing)
class PenaltyOnTheScores(Loss):
    def margin(self, z, labels):
        return super().margin(z, labels) - 1e-6 * z.mean(axis=-1)


@rejected_by(laws.between_zero_and_the_cross_entropy)
class FactorAboveOne(Loss):
    """1 + p, not 1 - p."""

    def log_wrong(self, d):
        return np.log1p(self.p(d))


@rejected_by(laws.gradient_agrees_with_differences)
class WrongShareInsteadOfRight(Loss):
    def companion_term(self, lam, k, C, T, d, g):
        return super().companion_term(lam, k, C, T, -d, g)
