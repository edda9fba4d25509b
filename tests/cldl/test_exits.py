"""Early exit from logits: which samples leave at which exit, with which answer and cost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cldl import exits, joint
from cldl.exits import MEASURES, THRESHOLDS, ExitRule, Point
from engine.errors import UserError
from engine.gradcheck import grid
from engine.random import Key
from tests.strategies import seeds

measures = st.sampled_from(MEASURES)


def logits(seed, M=3, N=40, K=4):
    return list(4 * grid((M, N, K), Key(seed)))


@given(seed=seeds, measure=measures, factor=st.sampled_from([0.1, 1.0, 30.0]))
def test_a_classifier_is_as_sure_as_its_logits_are_apart_from_0_to_1(seed, measure, factor):
    (z,) = logits(seed, M=1)
    sure = exits.sureness(measure, factor * z)
    assert ((sure >= 0) & (sure <= 1 + 1e-12)).all()
    np.testing.assert_allclose(exits.sureness(measure, factor * z + 7), sure, atol=1e-9)
    assert (exits.sureness(measure, 2 * factor * z) >= sure - 1e-12).all()
    np.testing.assert_allclose(exits.sureness(measure, z, 2.0), exits.sureness(measure, z / 2))
    assert exits.sureness(measure, np.zeros((1, 5)))[0] == pytest.approx(
        0.2 if measure == "confidence" else 0, abs=1e-12
    )
    assert exits.sureness(measure, np.array([[0.0, -np.inf, -np.inf]]))[0] == 1


@given(seed=seeds)
def test_by_confidence_it_is_asking_in_turn_with_the_joint_prediction_at_the_top(seed):
    z = logits(seed)
    labels, answering = joint.in_turn(z, sure=0.9)
    left_at = exits.exits_of(ExitRule("confidence", 0.9, (1.0,) * 3), z)
    assert left_at.tolist() == answering.tolist()
    found = exits.answers(z, left_at, np.full(len(labels), 7))
    assert found.tolist() == np.where(answering == 2, 7, labels).tolist()


@given(seed=seeds, measure=measures)
def test_a_lower_threshold_lets_nobody_stay_longer_and_costs_no_more(seed, measure):
    z, labels = logits(seed), np.arange(40) % 4
    predictions = z[-1].argmax(axis=1)
    points = exits.curve(measure, z, labels, predictions, (1.0, 2.0, 0.5), [10, 30, 100])
    assert [point.threshold for point in points] == list(THRESHOLDS)
    assert np.all(np.diff([point.cost for point in points]) <= 1e-12)
    assert all(sum(point.shares) == pytest.approx(100) for point in points)
    assert points[-1].shares == (100, 0, 0)
    assert points[-1].cost == pytest.approx(0.1)
    assert points[-1].error == pytest.approx(100 * np.mean(z[0].argmax(axis=1) != labels))


def test_the_cheapest_point_is_one_that_keeps_the_error():
    points = [Point(0.9, 1.0, 1.0, ()), Point(0.5, 1.2, 0.5, ()), Point(0.4, 1.1, 0.6, ()), Point(0.1, 3.0, 0.2, ())]
    assert exits.cheapest(points, 1.15).threshold == 0.4
    assert exits.cheapest(points, 5.0).threshold == 0.1
    assert exits.cheapest(points, 0.5).threshold == 0.9  # none does: the dearest


def test_a_curve_that_falls_earlier_has_the_smaller_mean_error():
    early = [Point(0.9, 1.0, 1.0, ()), Point(0.5, 1.0, 0.2, ()), Point(0.1, 5.0, 0.1, ())]
    late = [Point(0.9, 1.0, 1.0, ()), Point(0.5, 3.0, 0.2, ()), Point(0.1, 5.0, 0.1, ())]
    assert exits.mean_error(early) == pytest.approx(0.1 * 5 + 0.1 * 5 + 0.8 * 1)
    assert exits.mean_error(late) == pytest.approx(0.1 * 5 + 0.1 * 5 + 0.8 * 3)


def test_calibration_is_the_distance_between_confidence_and_being_right():
    z = np.log(np.array([[0.8, 0.2]] * 10))
    labels = np.array([0] * 8 + [1] * 2)
    assert exits.calibration_error(z, labels) == pytest.approx(0, abs=1e-9)
    assert exits.calibration_error(z, np.zeros(10, int)) == pytest.approx(20)
    assert exits.calibration_error(z, np.ones(10, int)) == pytest.approx(80)
    count, confidence, right = exits.reliability(z, labels)
    assert count.sum() == count[12] == 10
    assert (confidence[12], right[12]) == pytest.approx((0.8, 0.8))
    assert np.isnan(right[0])


@given(seed=seeds)
def test_each_classifier_has_a_temperature_of_its_own(seed):
    z, labels = logits(seed), np.arange(40) % 4
    assert exits.fit_temperatures(z, labels) == tuple(joint.fit_temperature(part, labels) for part in z)


@pytest.mark.parametrize(
    ("measure", "threshold", "sentence"),
    [
        ("luck", 0.5, "the measure is 'luck'; choose one of confidence"),
        ("margin", 1.5, "is 1.5; give a number from 0 to 1"),
    ],
)
def test_a_rule_that_is_none_is_refused(measure, threshold, sentence):
    with pytest.raises(UserError, match=sentence):
        ExitRule(measure, threshold, (1.0,))
    if measure == "luck":
        with pytest.raises(UserError, match=sentence):
            exits.sureness(measure, np.zeros((1, 2)))
