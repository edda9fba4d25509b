"""The laws of the squared hinge loss, a function each: `law(loss)` raises if `loss` breaks it.

`loss(logits, labels, weights)` gives (value, per_classifier, gradients): the real one in test_hinge, each broken one in
tests/broken.
"""

import numpy as np

from engine.gradcheck import check_gradients, grid
from engine.random import Key

LABELS = np.array([2, 0, 3])
WEIGHTS = np.array([0.5, 2.0])
LOGITS = [grid((3, 4), Key(m), 3.0) for m in range(2)]


def gradient_agrees_with_differences(loss):
    def forward(*logits):
        value, _, gradients = loss(logits, LABELS, WEIGHTS)
        return value, gradients

    check_gradients(forward, lambda dy, cache: [dy * g for g in cache], LOGITS).raise_if_failed()


def numbers_worked_by_hand(loss):
    """One sample of class 0: gaps of 0.5, 0 and 1, so 0.25 + 0 + 1, and -2 y h each."""
    value, per_classifier, gradients = loss([np.array([[0.5, -2.0, 0.0]])], np.array([0]), np.ones(1))
    assert value == 1.25
    assert per_classifier.tolist() == [[1.25]]
    assert gradients[0].tolist() == [[-1.0, 0.0, 2.0]]


def a_score_beyond_the_margin_costs_nothing(loss):
    z = np.full((3, 4), -1.0)
    z[np.arange(3), LABELS] = 1.0
    for scale in (1.0, 5.0):
        value, _, gradients = loss([scale * z], LABELS, np.ones(1))
        assert value == 0
        assert not gradients[0].any()


def a_batch_is_the_mean_of_its_samples(loss):
    whole = loss(LOGITS, LABELS, WEIGHTS)
    alone = [loss([z[n : n + 1] for z in LOGITS], LABELS[n : n + 1], WEIGHTS) for n in range(3)]
    np.testing.assert_allclose(whole[0], np.mean([part[0] for part in alone]), rtol=1e-12)
    for m in range(2):
        np.testing.assert_allclose(whole[2][m], np.concatenate([part[2][m] for part in alone]) / 3, rtol=1e-12)


def linear_in_lambda(loss):
    both = loss(LOGITS, LABELS, WEIGHTS)
    parts = [loss(LOGITS, LABELS, WEIGHTS[m] * np.eye(2)[m]) for m in range(2)]
    np.testing.assert_allclose(both[0], parts[0][0] + parts[1][0], rtol=1e-12)
    np.testing.assert_allclose(both[2], np.add(parts[0][2], parts[1][2]), rtol=1e-12)


LAWS = (
    gradient_agrees_with_differences,
    numbers_worked_by_hand,
    a_score_beyond_the_margin_costs_nothing,
    a_batch_is_the_mean_of_its_samples,
    linear_in_lambda,
)
