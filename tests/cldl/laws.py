"""The laws of CLDL, a function each: `law(loss, case)` raises if `loss` breaks it.

`loss(logits, labels, weights, exponent, through)` gives (value, per_classifier, gradients, companions): the real loss
in test_loss, each broken one in tests/broken.
"""

import mpmath
import numpy as np

from engine.gradcheck import check_gradients
from tests.strategies import LossCase

TINY = 1e-300  # below it a float64 has not all its digits


def close(got, expected, rtol=1e-12, atol=TINY):
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)


def by_definition(case: LossCase):
    """(value, losses, gradients, T) in 60 digits, by the poster's definition and the plain form of the gradient."""
    M, (N, K) = len(case.logits), case.logits[0].shape
    g = mpmath.mpf(1) / (M - 1) if case.exponent is None and M > 1 else mpmath.mpf(case.g)
    lam = [mpmath.mpf(float(w)) for w in case.weights]
    loss, companion = np.zeros((M, N)), np.zeros((M, N))
    gradients = np.zeros((M, N, K))
    value = mpmath.mpf(0)
    for n in range(N):
        y = int(case.labels[n])
        # e^(z_j - z_y) of the wrong classes: p = 1 / (1 + S), 1 - p = S / (1 + S), -log p = log(1 + S)
        odds = [[mpmath.exp(mpmath.mpf(float(s)) - mpmath.mpf(float(z[n, y]))) for s in z[n]] for z in case.logits]
        S = [mpmath.fsum(e for j, e in enumerate(row) if j != y) for row in odds]
        C = [mpmath.log1p(s) for s in S]
        q = [s / (1 + s) for s in S]
        T = [mpmath.fprod(q[t] ** g for t in range(M) if t != m) for m in range(M)]
        value += mpmath.fsum(lam[m] * C[m] * T[m] for m in range(M))
        for k in range(M):
            loss[k, n], companion[k, n] = C[k] * T[k], T[k]
            others = mpmath.fsum(lam[m] * C[m] * T[m] for m in range(M) if m != k) if case.through else 0
            factor = lam[k] * T[k] + g * others / S[k]  # p / (1 - p) = 1 / S
            for j in range(K):
                P_minus_e = odds[k][j] / (1 + S[k]) if j != y else -q[k]
                gradients[k, n, j] = P_minus_e * factor / N
    return float(value / N), loss, gradients, companion


def agrees_with_60_digits(loss, case):
    with mpmath.workdps(60):
        expected = by_definition(case)
    for got, exact in zip(loss(*case.arguments), expected, strict=True):
        close(got, exact)


def gradient_agrees_with_differences(loss, case):
    """Through every T^(m); with the companions held constant, against the forward pass with frozen T."""
    frozen = loss(*case.arguments)[3]
    mean = np.ones(len(case.labels)) / len(case.labels)

    def forward(*logits):
        value, _, gradients, _ = loss(logits, *case.arguments[1:])
        if not case.through:
            C = np.stack([loss([z], case.labels)[1][0] for z in logits])
            value = float(case.weights @ (C * frozen) @ mean)
        return value, gradients

    report = check_gradients(forward, lambda dy, cache: [dy * g for g in cache], case.logits)
    report.raise_if_failed()


def each_companion_term_is_right(loss, case):
    """lambda = e_m leaves C^(m) T^(m) alone: dz^(k) is then the term through T^(m), by the complex step."""
    M, (N, K) = len(case.logits), case.logits[0].shape
    rows, h = np.arange(N), 1e-30
    for m in range(M):
        gradients = loss(case.logits, case.labels, np.eye(M)[m], case.exponent, True)[2]
        for k in range(M):
            for j in range(K):
                z = [np.array(z, complex) for z in case.logits]
                z[k][:, j] += 1j * h
                S = [(np.exp(s - s[rows, case.labels][:, None])).sum(axis=1) - 1 for s in z]
                T = np.prod([(S[t] / (1 + S[t])) ** case.g for t in range(M) if t != m] or [np.ones(N)], axis=0)
                close(gradients[k][:, j], (np.log(1 + S[m]) * T).imag / h / N, rtol=1e-9, atol=1e-13)


def one_classifier_is_softmax_cross_entropy(loss, case):
    z, rows = case.logits[0], np.arange(len(case.labels))
    value, per_classifier, (gradient,), companions = loss([z], case.labels)
    P = np.exp(z - np.logaddexp.reduce(z, axis=1)[:, None])
    C = -np.log(P[rows, case.labels])
    P[rows, case.labels] -= 1
    close(value, C.mean(), rtol=1e-10)
    close(per_classifier[0], C, rtol=1e-10)
    close(gradient, P / len(P), rtol=1e-9, atol=1e-15)
    assert (companions == 1).all()


def each_gradient_sums_to_zero(loss, case):
    for gradient in loss(*case.arguments)[2]:
        assert (np.abs(gradient.sum(axis=1)) <= 1e-13 * np.abs(gradient).sum(axis=1)).all()


def a_constant_on_the_scores_changes_nothing(loss, case):
    moved = [z + 8.0 * (m + 1) for m, z in enumerate(case.logits)]
    for got, expected in zip(loss(moved, *case.arguments[1:]), loss(*case.arguments), strict=True):
        close(got, expected, rtol=1e-11, atol=1e-15)


def permuting_the_classifiers_permutes_all(loss, case):
    order = np.roll(np.arange(len(case.logits)), 1)
    logits = [case.logits[m] for m in order]
    value, losses, gradients, T = loss(*case.arguments)
    got = loss(logits, case.labels, case.weights[order], *case.arguments[3:])
    for a, b in zip(got, (value, losses[order], [gradients[m] for m in order], T[order]), strict=True):
        close(a, b, rtol=1e-12, atol=1e-15)


def permuting_the_classes_permutes_the_gradients(loss, case):
    K = case.logits[0].shape[1]
    order = np.roll(np.arange(K), 1)
    value, losses, gradients, T = loss(*case.arguments)
    got = loss([z[:, order] for z in case.logits], np.argsort(order)[case.labels], *case.arguments[2:])
    for a, b in zip(got, (value, losses, [g[:, order] for g in gradients], T), strict=True):
        close(a, b, rtol=1e-11, atol=1e-15)


def linear_in_lambda(loss, case):
    M = len(case.logits)
    value, _, gradients, _ = loss(*case.arguments)
    parts = [loss(case.logits, case.labels, np.eye(M)[m], *case.arguments[3:]) for m in range(M)]
    close(value, sum(w * part[0] for w, part in zip(case.weights, parts, strict=True)), rtol=1e-11)
    for k in range(M):
        expected = sum(w * part[2][k] for w, part in zip(case.weights, parts, strict=True))
        close(gradients[k], expected, rtol=1e-11, atol=1e-15)


def between_zero_and_the_cross_entropy(loss, case):
    _, losses, _, T = loss(*case.arguments)
    C = np.stack([loss([z], case.labels)[1][0] for z in case.logits])
    assert (losses >= 0).all()
    assert (losses <= C * (1 + 1e-15)).all()
    assert ((T >= 0) & (T <= 1)).all()


def a_certain_and_right_companion_silences_the_others(loss, case):
    """All losses but its own vanish with it, and so do their gradients; T^(m) is no more than its q^g."""
    if len(case.logits) < 2 or case.g == 0:
        return
    z = np.zeros_like(case.logits[0])
    z[np.arange(len(z)), case.labels] = 1000.0 / min(case.g, 1.0)
    value, losses, gradients, T = loss([z, *case.logits[1:]], case.labels, case.weights, case.exponent, case.through)
    assert (losses[1:] < 1e-300).all()
    assert (T[1:] < 1e-300).all()
    assert all((np.abs(g) < 1e-300).all() for g in gradients[1:])
    assert value < 1e-300


def constant_companions_leave_the_weighted_cross_entropy(loss, case):
    _, _, gradients, T = loss(case.logits, case.labels, case.weights, case.exponent, False)
    for k, z in enumerate(case.logits):
        P = np.exp(z - np.logaddexp.reduce(z, axis=1)[:, None])
        P[np.arange(len(z)), case.labels] -= 1
        close(gradients[k], case.weights[k] * T[k][:, None] * P / len(z), rtol=1e-9, atol=1e-15)


def the_default_exponent_is_the_geometric_mean(loss, case):
    M = len(case.logits)
    T = loss(case.logits, case.labels, case.weights)[3]
    P = [np.exp(z - np.logaddexp.reduce(z, axis=1)[:, None]) for z in case.logits]
    q = np.array([1 - p[np.arange(len(p)), case.labels] for p in P])
    for m in range(M):
        others = np.delete(q, m, axis=0)
        close(T[m], np.exp(np.log(others).mean(axis=0)) if M > 1 else 1.0, rtol=1e-9)


def a_batch_is_the_mean_of_its_samples(loss, case):
    value, losses, gradients, T = loss(*case.arguments)
    N = len(case.labels)
    alone = [loss([z[n : n + 1] for z in case.logits], case.labels[n : n + 1], *case.arguments[2:]) for n in range(N)]
    close(value, np.mean([one[0] for one in alone]))
    for n, (_, ln, gn, Tn) in enumerate(alone):
        close(losses[:, n], ln[:, 0])
        close(T[:, n], Tn[:, 0])
        close([g[n] for g in gradients], [g[0] / N for g in gn])


LAWS = [
    agrees_with_60_digits,
    gradient_agrees_with_differences,
    each_companion_term_is_right,
    one_classifier_is_softmax_cross_entropy,
    each_gradient_sums_to_zero,
    a_constant_on_the_scores_changes_nothing,
    permuting_the_classifiers_permutes_all,
    permuting_the_classes_permutes_the_gradients,
    linear_in_lambda,
    between_zero_and_the_cross_entropy,
    a_certain_and_right_companion_silences_the_others,
    constant_companions_leave_the_weighted_cross_entropy,
    the_default_exponent_is_the_geometric_mean,
    a_batch_is_the_mean_of_its_samples,
]
