"""The label is the class whose loss is smallest; the printed argmax picks the least likely one."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cldl.inference import _best_classes, class_losses, deciding_exits, margins, predict, softmax
from cldl.loss import cldl_loss
from engine.errors import UserError
from engine.gradcheck import grid
from engine.random import Key
from tests.strategies import loss_cases, seeds


@given(case=loss_cases(widths=(1.0, 30.0)))
def test_the_loss_of_a_class_is_the_loss_with_that_class_as_the_target(case):
    losses = class_losses(case.logits, case.weights, case.exponent)
    N, K = case.logits[0].shape
    for y in range(K):
        result = cldl_loss(case.logits, np.full(N, y), case.weights, case.exponent)
        np.testing.assert_allclose(losses[:, y], case.weights @ result.per_classifier, rtol=1e-10, atol=1e-300)


@given(case=loss_cases())
def test_the_label_is_the_argmin_and_the_printed_rule_the_argmax(case):
    losses = class_losses(case.logits, case.weights, case.exponent)
    arguments = (case.logits, case.weights, case.exponent)
    rows = np.arange(len(losses))
    assert np.array_equal(losses[rows, predict(*arguments)], losses.min(axis=1))
    assert np.array_equal(losses[rows, predict(*arguments, rule="argmax")], losses.max(axis=1))


def test_the_exponent_decides_between_classifiers_that_disagree():
    z, weights = [grid((200, 5), Key(m), 3.0) for m in range(3)], (1.0, 2.0, 3.0)
    labels = [predict(z, weights, exponent) for exponent in (0.0, None, 2.0)]
    for found, exponent in zip(labels, (0.0, None, 2.0), strict=True):
        assert np.array_equal(found, class_losses(z, weights, exponent).argmin(axis=1))
    assert len({tuple(found.tolist()) for found in labels}) == 3


def test_classifiers_that_agree_are_believed_and_argmax_picks_what_none_believes():
    z = [np.array([[3.0, 0.0, -3.0]]), np.array([[2.0, 1.0, -4.0]])]
    assert predict(z).tolist() == [0]
    assert predict(z, rule="argmax").tolist() == [2]


@given(seed=seeds, K=st.integers(2, 9), width=st.sampled_from([1.0, 100.0, 1e4]))
def test_one_classifier_predicts_its_largest_score(seed, K, width):
    z = grid((4, K), Key(seed), width)
    assert np.array_equal(predict([z]), z.argmax(axis=1))


def test_where_all_losses_vanish_the_mean_margin_decides():
    """One classifier is certain of class 1, the other of class 2, more so: both losses underflow to 0."""
    z = [np.array([[0.0, 5000.0, 0.0]]), np.array([[0.0, 0.0, 9000.0]])]
    assert predict(z, exponent=0.5).tolist() == [2]
    assert predict(z[::-1], exponent=0.5).tolist() == [2]


@given(
    losses=st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=4, max_size=4),
    preference=st.lists(st.sampled_from([-1.0, 3.0]), min_size=4, max_size=4),
)
def test_the_best_class_has_the_smallest_loss_then_the_largest_mean_margin_then_the_lowest_index(losses, preference):
    best = min(range(4), key=lambda y: (losses[y], -preference[y], y))
    assert _best_classes(np.array([losses]), np.array([preference])).tolist() == [best]


@given(seed=seeds, width=st.sampled_from([1.0, 30.0, 700.0, 1e4]), K=st.integers(2, 6))
def test_margins_keep_their_digits(seed, width, K):
    z = grid((2, 1, K), Key(seed), width)
    d = margins(z)
    with mpmath.workdps(60):
        for n, y in np.ndindex(2, K):
            scores = [mpmath.mpf(float(s)) for s in z[n, 0]]
            others = mpmath.log(mpmath.fsum(mpmath.exp(s) for j, s in enumerate(scores) if j != y))
            assert abs(d[n, 0, y] - float(scores[y] - others)) <= 1e-14 * max(width, 1.0)


def test_equal_scores_have_equal_margins():
    assert margins(np.zeros((1, 1, 3)))[0, 0] == pytest.approx([-np.log(2)] * 3)


@given(seed=seeds)
def test_softmax_sums_to_one_and_does_not_overflow(seed):
    P = softmax(grid((3, 5), Key(seed), 1e4))
    assert np.isfinite(P).all()
    np.testing.assert_allclose(P.sum(axis=1), 1.0)


def test_the_decider_is_the_classifier_surest_of_the_answer():
    z = [np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 3.0]])]
    assert deciding_exits(z, np.array([0, 1])).tolist() == [0, 1]


def test_scores_are_untouched_and_unknown_rules_refused():
    z = grid((2, 3), Key(0))
    kept = z.copy()
    predict([z, z])
    assert np.array_equal(z, kept)
    with pytest.raises(UserError, match="the rule is 'first'"):
        predict([z], rule="first")
    with pytest.raises(UserError, match="weights"):
        predict([z], weights=[1.0, 2.0])


@given(seed=seeds, M=st.integers(1, 4), exponent=st.sampled_from([None, 0.0, 0.5, 2.0]), certain=st.integers(0, 4))
def test_classes_that_cannot_be_leave_the_losses_those_of_cldl_loss(seed, M, exponent, certain):
    """Some logits at -inf, and one classifier that is certain, or none."""
    key = Key(seed)
    z = [grid((2, 4), key.fold(m)) for m in range(M)]
    for m, row in ((0, 0), (M - 1, 1)):
        z[m][row, int(key.words(1)[0]) % 4] = -np.inf
    if certain < M:
        z[certain][0] = [-np.inf, 3.0, -np.inf, -np.inf]
    losses = class_losses(z, None, exponent)
    for y in range(4):
        expected = cldl_loss(z, np.full(2, y), None, exponent).per_classifier.sum(axis=0)
        np.testing.assert_allclose(losses[:, y], expected, rtol=1e-12)
    assert np.array_equal(losses[[0, 1], predict(z, None, exponent)], losses.min(axis=1))


@pytest.mark.parametrize(
    ("logits", "weights", "exponent"),
    [
        (None, None, None),
        ([np.zeros(3)], None, None),
        ([np.zeros((2, 3), int)], None, None),
        ([np.zeros((2, 3)), np.zeros((3, 3))], None, None),
        ([np.zeros((2, 3))], [1.0, 2.0], None),
        ([np.zeros((2, 3))], "a", None),
        ([np.zeros((2, 3))], None, "a"),
    ],
)
def test_what_does_not_fit_is_refused_as_the_loss_refuses_it(logits, weights, exponent):
    with pytest.raises(UserError) as refusal:
        predict(logits, weights, exponent)
    with pytest.raises(UserError) as of_loss:
        cldl_loss(logits, np.zeros(2, int), weights, exponent)
    assert str(refusal.value) == str(of_loss.value)
