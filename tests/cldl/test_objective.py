"""What a training minimises and predicts: CLDL, or deep supervision with softmax or hinge."""

import numpy as np
import pytest

from cldl.hinge import hinge_loss
from cldl.inference import class_losses, deciding_exits, predict
from cldl.loss import cldl_loss
from cldl.objective import Objective
from engine.errors import UserError
from engine.gradcheck import check_gradients, grid
from engine.random import Key

WEIGHTS = (0.5, 1.0, 2.0)
LOGITS = [grid((6, 4), Key(m), 3.0) for m in range(3)]
LABELS = np.array([0, 1, 2, 3, 0, 1])


def test_cldl_is_cldl_loss_and_its_predictions_are_joint():
    objective = Objective(WEIGHTS, 2.0)
    assert objective(LOGITS, LABELS).value == cldl_loss(LOGITS, LABELS, WEIGHTS, 2.0).value
    predictions = objective.predictions(LOGITS)
    assert np.array_equal(predictions, predict(LOGITS, WEIGHTS, 2.0))
    assert np.array_equal(objective.deciding_exits(LOGITS, predictions), deciding_exits(LOGITS, predictions))
    assert objective.is_ensemble
    assert not Objective((1.0,)).is_ensemble


@pytest.mark.parametrize("exponent", [0.0, 0.5, 2.0])
def test_the_predictions_are_of_the_exponent_that_is_trained_with(exponent):
    z = [grid((200, 4), Key(m), 3.0) for m in range(3)]
    others = {0.0, 0.5, 2.0} - {exponent}
    found = Objective(WEIGHTS, exponent).predictions(z)
    assert np.array_equal(found, predict(z, WEIGHTS, exponent))
    assert not any(np.array_equal(found, predict(z, WEIGHTS, other)) for other in others)


PARTS = (
    Objective(WEIGHTS, 0.3, through_companions=False),
    Objective(WEIGHTS, 0.3, through_companions=False, unweighted_share=0.25),
    Objective(WEIGHTS, loss="hinge"),
)


@pytest.mark.parametrize("objective", PARTS)
def test_a_part_of_a_batch_has_its_share_of_the_loss_in_memory_that_it_is_given(objective):
    asked = []

    def empty(shape, dtype):
        asked.append(shape)
        return np.empty(shape, dtype)

    whole, part = objective(LOGITS, LABELS), objective(LOGITS, LABELS, samples=24, empty=empty)  # a quarter of 24
    assert part.value == pytest.approx(whole.value / 4, rel=1e-12)
    for found, own in zip(part.gradients, whole.gradients, strict=True):
        np.testing.assert_allclose(found, own / 4, rtol=1e-12)
    passes = 2 if objective.unweighted_share else 1
    assert asked.count(LOGITS[0].shape) == 3 * passes  # the gradients, of CLDL and of deep supervision


def test_companions_that_are_held_constant_weigh_the_cross_entropy():
    found = Objective(WEIGHTS, 0.3, through_companions=False)(LOGITS, LABELS)
    expected = cldl_loss(LOGITS, LABELS, WEIGHTS, 0.3, False)
    assert all(map(np.array_equal, found.gradients, expected.gradients))
    assert not np.array_equal(found.gradients[0], cldl_loss(LOGITS, LABELS, WEIGHTS, 0.3).gradients[0])


def test_softmax_is_the_weighted_sum_of_cross_entropies():
    result = Objective(WEIGHTS, loss="softmax")(LOGITS, LABELS)
    alone = [cldl_loss([z], LABELS) for z in LOGITS]
    assert result.value == pytest.approx(sum(w * a.value for w, a in zip(WEIGHTS, alone, strict=True)), rel=1e-12)
    for gradient, w, a in zip(result.gradients, WEIGHTS, alone, strict=True):
        np.testing.assert_allclose(gradient, w * a.gradients[0], rtol=1e-12)
    assert (result.companions == 1).all()


def test_hinge_is_hinge_loss():
    assert Objective(WEIGHTS, loss="hinge")(LOGITS, LABELS).value == hinge_loss(LOGITS, LABELS, WEIGHTS).value


@pytest.mark.parametrize("loss", ["softmax", "hinge"])
def test_under_deep_supervision_the_top_classifier_predicts(loss):
    objective = Objective(WEIGHTS, loss=loss)
    predictions = objective.predictions(LOGITS)
    assert np.array_equal(predictions, LOGITS[-1].argmax(axis=1))
    assert (objective.deciding_exits(LOGITS, predictions) == 2).all()
    assert not objective.is_ensemble


@pytest.mark.parametrize("loss", ["softmax", "hinge"])
def test_a_classifier_of_weight_0_is_left_out_of_loss_and_gradient(loss):
    whole, top = Objective((0.0, 0.0, 1.0), loss=loss)(LOGITS, LABELS), Objective((1.0,), loss=loss)(LOGITS[2:], LABELS)
    assert whole.value == top.value
    assert np.array_equal(whole.gradients[2], top.gradients[0])
    assert not np.any(whole.gradients[:2])


@pytest.mark.parametrize("loss", ["softmax", "hinge"])
def test_the_companions_are_left_out_once_their_epochs_are_over(loss):
    objective = Objective(WEIGHTS, loss=loss, companion_epochs=1.5)
    assert objective.at(0) == objective.at(1.4) == objective
    assert objective.at(1.5) == objective.at(7) == Objective((0.0, 0.0, 2.0), loss=loss)
    assert Objective(WEIGHTS, loss=loss).at(1e9) == Objective(WEIGHTS, loss=loss)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_an_unweighted_share_mixes_cldl_with_deep_supervision(share):
    result = Objective(WEIGHTS, unweighted_share=share)(LOGITS, LABELS)
    cldl, supervised = Objective(WEIGHTS)(LOGITS, LABELS), Objective(WEIGHTS, loss="softmax")(LOGITS, LABELS)
    assert result.value == pytest.approx(share * supervised.value + (1 - share) * cldl.value, rel=1e-12)
    for found, own, other in zip(result.gradients, cldl.gradients, supervised.gradients, strict=True):
        np.testing.assert_allclose(found, share * other + (1 - share) * own, rtol=1e-12, atol=1e-15)
    assert np.array_equal(result.companions, cldl.companions)


def test_the_gradient_of_a_loss_with_an_unweighted_share_is_that_of_differences():
    objective = Objective(WEIGHTS, unweighted_share=0.3)

    def forward(*z):
        result = objective(z, LABELS)
        return np.array([result.value]), result.gradients

    report = check_gradients(forward, lambda dy, gradients: [dy[0] * g for g in gradients], [z.copy() for z in LOGITS])
    report.raise_if_failed()


def test_a_rising_exponent_begins_as_deep_supervision_and_ends_as_cldl():
    objective = Objective(WEIGHTS, exponent_epochs=4.0)
    assert [objective.at(epoch).g for epoch in (0, 1, 2, 4, 9)] == [0.0, 0.125, 0.25, 0.5, 0.5]
    assert objective.at(0)(LOGITS, LABELS).value == Objective(WEIGHTS, loss="softmax")(LOGITS, LABELS).value
    assert objective.at(4) == Objective(WEIGHTS, exponent=0.5)


def test_companions_go_when_their_time_is_over_though_the_exponent_rises():
    objective = Objective(WEIGHTS, exponent_epochs=4.0, companion_epochs=2.0)
    assert objective.at(1) == Objective(WEIGHTS, exponent=0.125, companion_epochs=2.0)
    assert objective.at(3) == Objective((0.0, 0.0, 2.0), exponent=0.375)


@pytest.mark.parametrize("epochs", [0, -1.0, float("nan")])
def test_an_exponent_that_never_rises_is_refused(epochs):
    with pytest.raises(
        UserError, match=f"the exponent is to rise over {epochs} epochs; give a number above 0, or None"
    ):
        Objective(WEIGHTS, exponent_epochs=epochs)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(UserError, match=f"the unweighted share is {share}; give a number from 0 to 1"):
        Objective(WEIGHTS, unweighted_share=share)


def test_probabilities_fall_with_the_loss_of_each_class():
    objective = Objective(WEIGHTS, 2.0)
    P, losses = objective.probabilities(LOGITS), class_losses(LOGITS, WEIGHTS, 2.0)
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(np.log(P[:, :1] / P), losses - losses[:, :1], atol=1e-12)
    assert np.array_equal(P.argmax(axis=1), objective.predictions(LOGITS))


@pytest.mark.parametrize("loss", ["softmax", "hinge"])
def test_probabilities_under_deep_supervision_are_those_of_the_top_classifier(loss):
    P = Objective(WEIGHTS, loss=loss).probabilities(LOGITS)
    np.testing.assert_allclose(P, np.exp(LOGITS[2]) / np.exp(LOGITS[2]).sum(axis=1, keepdims=True), rtol=1e-12)


def test_an_unknown_loss_is_refused():
    with pytest.raises(UserError, match="the loss 'squared' is unknown: choose one of cldl, softmax, hinge"):
        Objective(WEIGHTS, loss="squared")


def test_companion_weights_are_those_of_the_loss_and_1_under_deep_supervision():
    labels = np.array([0, 2])
    logits = [z[:2] for z in LOGITS]
    expected = cldl_loss(logits, labels, WEIGHTS, 2.0).companions
    np.testing.assert_array_equal(Objective(WEIGHTS, 2.0).companion_weights(logits, labels), expected)
    np.testing.assert_array_equal(Objective(WEIGHTS, loss="softmax").companion_weights(logits, labels), np.ones((3, 2)))
    assert Objective(WEIGHTS, loss="hinge").companion_weights(logits, labels) is None
