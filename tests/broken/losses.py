"""Broken losses: a correct loss with one realistic bug each, and the law that must reject it."""

import numpy as np

from tests.cldl import laws


class Loss:
    """A correct loss, in steps that a broken version replaces; plain NumPy, all samples at once."""

    def __call__(self, logits, labels, weights=None, exponent=None, through=True):
        z = np.stack(list(logits))  # (M, N, K)
        self.M, self.N, self.K = z.shape
        lam = np.ones(self.M) if weights is None else np.asarray(weights, float)
        g = self.default_exponent() if exponent is None else exponent
        d = self.margin(z, labels)  # (M, N)
        C, log_q = self.cross_entropy(d), self.log_wrong(d)
        T = np.stack([self.companion(log_q, m, g) for m in range(self.M)])
        value = self.mean((lam[:, None] * C * T).sum(axis=0))
        gradients = []
        for k in range(self.M):
            others = self.companion_term(lam, k, C, T, d, g) if through else 0
            dd = -self.own_term(lam, k, T, d) - others  # ∂L/∂d_k
            gradients.append(self.scale(dd)[:, None] * self.direction(z[k], labels, d[k]))
        return value, C * T, gradients, T

    def default_exponent(self):
        return 1 / (self.M - 1) if self.M > 1 else 1.0

    def margin(self, z, labels):
        wrong = np.arange(self.K) != labels[:, None]  # (N, K)
        return z[:, np.arange(self.N), labels] - self.log_sum_exp(np.where(wrong, z, -np.inf))

    def log_sum_exp(self, z):
        top = z.max(axis=-1, keepdims=True)
        return np.log(np.exp(z - top).sum(axis=-1)) + top[..., 0]

    def p(self, d):
        return np.exp(-np.logaddexp(0, -d))

    def cross_entropy(self, d):
        return np.logaddexp(0, -d)

    def log_wrong(self, d):
        return -np.logaddexp(0, d)

    def companions(self, m):
        return [t for t in range(self.M) if t != m]

    def companion(self, log_q, m, g):
        return np.exp(g * log_q[self.companions(m)].sum(axis=0))

    def own_term(self, lam, k, T, d):
        return lam[k] * T[k] * self.p(-d[k])

    def companion_term(self, lam, k, C, T, d, g):
        others = self.companions(k)
        return g * self.p(d[k]) * (lam[others, None] * C[others] * T[others]).sum(axis=0)

    def direction(self, z, labels, d):
        wrong = np.where(np.arange(self.K) != labels[:, None], z, -np.inf)
        direction = -np.exp(wrong - self.log_sum_exp(wrong)[:, None])  # dd/dz: minus the softmax over the wrong classes
        direction[np.arange(self.N), labels] = 1
        return direction

    def mean(self, losses):
        return losses.mean()

    def scale(self, dd):
        return dd / self.N


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
    def scale(self, dd):
        return dd


@rejected_by(laws.a_batch_is_the_mean_of_its_samples)
class SumInsteadOfMean(Loss):
    def mean(self, losses):
        return losses.sum()

    def scale(self, dd):
        return dd


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
