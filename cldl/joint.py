r"""Rules for the joint prediction of M classifiers: the poster's, and others that it is compared with.

    poster    argmin over y of L(y), the CLDL loss were y the target (cldl.inference)
    mean      the class of the largest mean probability, argmax over y of sum over m of P^(m)(y)
    surest    the prediction of the classifier whose largest probability is the largest
    top       the prediction of the top classifier

An overconfident classifier decides too often under "surest", and has too much weight in the other rules. A temperature makes the
classifiers comparable: P = softmax(z / tau), with tau such that the cross-entropy of images that were not trained on is the
smallest (Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017).

`in_turn` is early exit: the classifiers are asked from the bottom up, and the upper layers are only needed where the lower
classifiers are not sure (cldl.exits has other measures and thresholds).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cldl.arguments import check_labels, check_logits
from cldl.inference import predict, softmax
from engine.typing import Array

SURE = 0.999
RULES = ("poster", "mean", "surest", "top")
COLDEST, HOTTEST = 1e-3, 1e3  # temperatures


def answers(logits: Sequence[Array], weights=None, exponent: float | None = None) -> dict[str, Array]:
    """The labels (N,) by each of RULES, from M arrays of logits (N, K); weights and exponent belong to the poster's rule.

    >>> z = [np.log([[0.6, 0.4, 1e-9]]), np.log([[0.1, 0.2, 0.7]]), np.log([[0.5, 0.45, 0.05]])]
    >>> {rule: labels.item() for rule, labels in answers(z).items()}
    {'poster': 0, 'mean': 0, 'surest': 2, 'top': 0}
    """
    z = np.stack(check_logits(logits)).astype(np.float64)  # (M, N, K)
    P = softmax(z)
    surest = P.max(axis=-1).argmax(axis=0)  # (N,) in 0..M-1
    return {
        "poster": predict(logits, weights, exponent),
        "mean": P.mean(axis=0).argmax(axis=-1),
        "surest": P[surest, np.arange(len(surest))].argmax(axis=-1),
        "top": z[-1].argmax(axis=-1),
    }


def fit_temperature(logits: Array, labels: Array) -> float:
    """The tau at which softmax(z / tau) has the smallest mean cross-entropy; logits z (N, K), labels (N,).

    In beta = 1 / tau the mean of -log P(y*) is convex, and its derivative is the mean of sum_j P_j z_j - z_y*: tau is where that
    crosses 0, found by bisection. Where it never does, as when every label is the largest logit, tau is the limit of the search,
    0.001 or 1,000.

    >>> z, labels = np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]), np.array([0, 0, 0, 1])
    >>> round(fit_temperature(z, labels), 4), round(float(2 / np.log(3)), 4)  # right in 3 of 4 cases: P is to be 3/4
    (1.8205, 1.8205)
    """
    (z,) = check_logits([logits])
    labels, z = check_labels(labels, z), z.astype(np.float64)
    target = z[np.arange(len(z)), labels]
    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)  # of log beta
    for _ in range(60):
        middle = (low + high) / 2
        P = softmax(np.exp(middle) * z)
        if ((P * z).sum(axis=1) - target).mean() > 0:
            high = middle
        else:
            low = middle
    return float(np.exp(-(low + high) / 2))


def errors(logits: Sequence[Array], labels: Array, weights=None, exponent: float | None = None) -> dict[str, float]:
    """The error in % by each of RULES."""
    found = answers(logits, weights, exponent)
    return {rule: float(100 * np.mean(predicted != labels)) for rule, predicted in found.items()}


def errors_at_temperatures(
    logits: Sequence[Array], labels: Array, weights=None, exponent: float | None = None
) -> dict[str, float]:
    """`errors` with a temperature for each classifier, fitted on one half of the samples and tried on the other, in turn."""
    halves = np.array_split(np.arange(len(labels)), 2)
    parts = []
    for fitted, tried in (halves, halves[::-1]):
        scaled = [z[tried] / fit_temperature(z[fitted], labels[fitted]) for z in logits]
        parts.append(errors(scaled, labels[tried], weights, exponent))
    sizes = [len(half) for half in halves[::-1]]
    return {rule: float(np.average([part[rule] for part in parts], weights=sizes)) for rule in RULES}


def in_turn(logits: Sequence[Array], sure: float = SURE) -> tuple[Array, Array]:
    """Asked from the bottom, the first classifier answers that gives a class the probability `sure` or more, or the top one.

    Returns the labels (N,), and who answered, (N,) in 0..M-1. The layers above are not needed for the answer: Teerapittayanon,
    McDanel and Kung, "BranchyNet", ICPR 2016.

    >>> z = [np.array([[0.0, 9.0], [0.0, 1.0]]), np.array([[2.0, 0.0], [2.0, 0.0]])]
    >>> [array.tolist() for array in in_turn(z)]
    [[1, 0], [0, 1]]
    """
    z = np.stack(check_logits(logits))
    answering = first_sure(softmax(z.astype(np.float64)).max(axis=-1), sure)
    return z[answering, np.arange(z.shape[1])].argmax(axis=-1), answering


def first_sure(confidences: Array, sure: float = SURE) -> Array:
    """Which classifier answers `in_turn`, (N,) in 0..M-1; confidences (M, N) say how sure each one is."""
    is_sure = confidences >= sure
    is_sure[-1] = True
    return is_sure.argmax(axis=0)
