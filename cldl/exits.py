r"""Early exit: the first classifier that is sure enough answers, and the layers above it are not computed.

How sure a classifier is, from its probabilities P = softmax(z / tau) over K classes, 0 to 1:

    confidence    the largest P
    margin        the largest P less the second largest
    entropy       1 - H / log K,  H = - sum over y of P(y) log P(y)

A sample leaves at the first of the lower classifiers whose measure is `threshold` or more, with that classifier's class; at the
top it gets the joint prediction of all. tau, the temperature of each classifier, makes them comparable
(`cldl.joint.fit_temperature`).

Source: Teerapittayanon, McDanel and Kung, "BranchyNet", ICPR 2016 (entropy); Guo, Pleiss, Sun and Weinberger, "On calibration of
modern neural networks", ICML 2017 (temperature, ECE).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cldl import joint
from cldl.inference import softmax
from engine.errors import UserError
from engine.typing import Array

MEASURES = ("confidence", "margin", "entropy")
THRESHOLDS = tuple((1 - np.geomspace(1e-6, 1, 121)).tolist())  # from sure to anything; dense near 1
BINS = 15  # of the probabilities, for ECE


def sureness(measure: str, logits: Array, temperature: float = 1.0) -> Array:
    """How sure a classifier with logits z (N, K) is, (N,) in 0..1.

    >>> z = np.log([[0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3]])
    >>> [sureness(measure, z).round(3).tolist() for measure in MEASURES]
    [[0.5, 0.333], [0.2, 0.0], [0.063, 0.0]]
    """
    P = softmax(np.asarray(logits, np.float64) / temperature)
    if measure == "confidence":
        return P.max(axis=-1)
    if measure == "margin":
        best = np.partition(P, -2, axis=-1)
        return best[..., -1] - best[..., -2]
    if measure == "entropy":
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(P > 0, P * np.log(P), 0.0)
        return np.maximum(1 + terms.sum(axis=-1) / np.log(P.shape[-1]), 0.0)
    raise UserError(f"the measure is {measure!r}; choose one of {', '.join(MEASURES)}.")


@dataclass(frozen=True)
class ExitRule:
    """Who leaves where: see the top of this module.

    measure      -- one of MEASURES
    threshold    -- the least of it
    temperatures -- (M,), tau of each classifier
    """

    measure: str
    threshold: float
    temperatures: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise UserError(f"the measure is {self.measure!r}; choose one of {', '.join(MEASURES)}.")
        if not 0 <= self.threshold <= 1:
            raise UserError(f"the threshold of an exit is {self.threshold:g}; give a number from 0 to 1, such as 0.95.")

    def leaves(self, m: int, logits: Array) -> Array:
        """Which of the samples with the logits (n, K) of classifier m, from 0, leave there, (n,) bool."""
        return sureness(self.measure, logits, self.temperatures[m]) >= self.threshold


def exits_of(rule: ExitRule, logits: Sequence[Array]) -> Array:
    """Where each sample leaves, (N,) in 0..M-1, from the logits of all classifiers, M arrays (N, K)."""
    parts = zip(logits, rule.temperatures, strict=True)
    return joint.first_sure(np.stack([sureness(rule.measure, z, tau) for z, tau in parts]), rule.threshold)


def answers(logits: Sequence[Array], left_at: Array, predictions: Array) -> Array:
    """The labels (N,): of the classifier at which a sample left, or its joint prediction where that is the top one."""
    own = np.stack([z.argmax(axis=1) for z in logits])[left_at, np.arange(len(left_at))]
    return np.where(left_at == len(logits) - 1, predictions, own)


@dataclass(frozen=True)
class Point:
    """What a threshold gives: the error in %, the mean multiply-adds as a share of all, and who answers, M shares in %."""

    threshold: float
    error: float
    cost: float
    shares: tuple[float, ...]


def curve(
    measure: str,
    logits: Sequence[Array],
    labels: Array,
    predictions: Array,
    temperatures: Sequence[float],
    costs: Sequence[int],
) -> list[Point]:
    """A point for each of THRESHOLDS, from the dearest to the cheapest.

    predictions -- the joint ones, (N,); costs -- multiply-adds until each exit, (M,)
    """
    points, share = [], np.asarray(costs) / costs[-1]
    for threshold in THRESHOLDS:
        left_at = exits_of(ExitRule(measure, threshold, tuple(temperatures)), logits)
        error = float(100 * np.mean(answers(logits, left_at, predictions) != labels))
        shares = tuple((100 * np.bincount(left_at, minlength=len(logits)) / len(labels)).tolist())
        points.append(Point(threshold, error, float(share[left_at].mean()), shares))
    return points


def cheapest(points: Sequence[Point], error: float) -> Point:
    """The cheapest point whose error is at most this; the dearest where there is none."""
    return min((point for point in points if point.error <= error), key=lambda point: point.cost, default=points[0])


def mean_error(points: Sequence[Point]) -> float:
    """The mean of a curve's error over the cost, between 0 and 1, each cost with the least error that it buys: less is better."""
    costs, errors = [0.0], [max(point.error for point in points)]
    for point in sorted(points, key=lambda point: point.cost):
        costs.append(point.cost)
        errors.append(min(errors[-1], point.error))
    return float(np.sum(np.diff([*costs, 1.0]) * errors))


def fit_temperatures(logits: Sequence[Array], labels: Array) -> tuple[float, ...]:
    """tau of each classifier, (M,)."""
    return tuple(joint.fit_temperature(z, labels) for z in logits)


def reliability(logits: Array, labels: Array, temperature: float = 1.0) -> tuple[Array, Array, Array]:
    """For BINS equal bins of the confidence: samples, mean confidence, and share that is right; NaN where there are none."""
    P = softmax(np.asarray(logits, np.float64) / temperature)
    confidence, is_right = P.max(axis=1), P.argmax(axis=1) == labels
    index = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count = np.bincount(index, minlength=BINS)
    with np.errstate(invalid="ignore"):
        return (
            count,
            np.bincount(index, confidence, minlength=BINS) / count,
            np.bincount(index, is_right, minlength=BINS) / count,
        )


def calibration_error(logits: Array, labels: Array, temperature: float = 1.0) -> float:
    """ECE in %: the mean over the samples of |share that is right - mean confidence| of their bin."""
    count, confidence, right = reliability(logits, labels, temperature)
    return float(100 * np.nansum(count * np.abs(right - confidence)) / count.sum())
