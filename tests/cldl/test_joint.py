"""One answer of several classifiers, by several rules; and the temperature that makes a classifier as sure as it is right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cldl import joint
from cldl.inference import predict, softmax
from engine.gradcheck import grid
from engine.random import Key

LOGITS = [3 * grid((40, 5), Key(m), 1.0) for m in range(3)]
LABELS = np.arange(40) % 5


def test_the_posters_rule_is_predict():
    assert np.array_equal(joint.answers(LOGITS, (1, 2, 3), 0.5)["poster"], predict(LOGITS, (1, 2, 3), 0.5))


@given(seed=st.integers(0, 100))
def test_each_rule_is_its_definition_sample_by_sample(seed):
    z = [3 * grid((7, 4), Key(seed).fold(m), 1.0) for m in range(3)]
    found = joint.answers(z)
    for n in range(7):
        P = np.array([softmax(of_m[n]) for of_m in z])  # (M, K)
        assert P.mean(axis=0)[found["mean"][n]] == P.mean(axis=0).max()
        assert P[:, found["surest"][n]].max() == P.max()
        assert P[-1, found["top"][n]] == P[-1].max()


def test_one_classifier_answers_alone_by_every_rule():
    assert all(np.array_equal(labels, LOGITS[0].argmax(axis=1)) for labels in joint.answers(LOGITS[:1]).values())


@pytest.mark.parametrize("factor", [0.1, 1.0, 7.0])
def test_the_temperature_undoes_a_factor_on_the_logits(factor):
    expected = factor * joint.fit_temperature(LOGITS[0], LABELS)
    assert joint.fit_temperature(factor * LOGITS[0], LABELS) == pytest.approx(expected, rel=1e-6)


def test_no_other_temperature_has_a_smaller_cross_entropy():
    def cross_entropy(tau):
        return -np.log(softmax(LOGITS[0] / tau)[np.arange(40), LABELS]).mean()

    tau = joint.fit_temperature(LOGITS[0], LABELS)
    assert all(cross_entropy(tau) < cross_entropy(tau * other) for other in (0.9, 0.99, 1.01, 1.1))


def test_a_classifier_that_is_always_right_cannot_be_too_sure():
    z = np.eye(5)[LABELS]
    assert joint.fit_temperature(z, LABELS) == pytest.approx(joint.COLDEST, rel=1e-6)


def test_errors_are_counted_in_percent():
    errors = joint.errors(LOGITS, LABELS)
    assert tuple(errors) == joint.RULES
    assert errors["top"] == 100 * np.mean(LOGITS[-1].argmax(axis=1) != LABELS)


def test_a_temperature_is_never_tried_on_the_samples_that_it_was_fitted_on(monkeypatch):
    fitted = []
    monkeypatch.setattr(joint, "fit_temperature", lambda z, labels: fitted.append(z) or 1.0)
    tried = []
    monkeypatch.setattr(joint, "errors", lambda z, *_: tried.append(z) or dict.fromkeys(joint.RULES, 10.0 * len(tried)))
    assert joint.errors_at_temperatures([z[:7] for z in LOGITS], LABELS[:7])["mean"] == pytest.approx(
        (3 * 10 + 4 * 20) / 7
    )
    assert [len(z) for z in fitted] == [4] * 3 + [3] * 3
    assert [len(z[0]) for z in tried] == [3, 4]
    assert not any(np.array_equal(row, other) for row in fitted[0] for other in tried[0][0])


def test_a_classifier_that_is_too_sure_decides_less_once_it_has_a_temperature():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 400)
    good, poor = (np.eye(5)[np.where(rng.random(400) < right, labels, rng.integers(0, 5, 400))] for right in (0.9, 0.3))
    logits = [100 * poor, 3 * good]
    assert joint.errors(logits, labels)["surest"] > 50 > 20 > joint.errors_at_temperatures(logits, labels)["surest"]


@given(seed=st.integers(0, 100), sure=st.sampled_from([0.0, 0.5, 0.75, 1.1]))
def test_in_turn_the_first_that_is_sure_answers_or_the_top_one(seed, sure):
    z = [3 * grid((7, 4), Key(seed).fold(m), 1.0) for m in range(3)]
    labels, answering = joint.in_turn(z, sure)
    for n in range(7):
        P = np.array([softmax(of_m[n]) for of_m in z])  # (M, K)
        assert answering[n] == next((m for m in range(2) if P[m].max() >= sure), 2)
        assert labels[n] == P[answering[n]].argmax()
