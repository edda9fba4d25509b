"""Errors of the five best classes, and predictions averaged over the crops of a photograph."""

import numpy as np
import pytest

from cldl.inference import softmax
from cldl.objective import Objective
from cldl.training.evaluation import Evaluation
from cldl.training.trained import TrainedModel
from data.dataset import read_images
from data.transforms.preprocessing import Scale
from engine.errors import UserError
from engine.runtime.cpu import CpuBackend
from tests.cldl.synthetic import digits
from tests.cldl.training.conftest import VIEW
from tests.cldl.training.test_own_training import small_network


def evaluation(N=300, K=12, M=2, loss="cldl", seed=0):
    rng = np.random.default_rng(seed)
    logits = [rng.normal(0, 2, (N, K)).astype(np.float32) for _ in range(M)]
    return Evaluation(logits, rng.integers(0, K, N), Objective((1.0,) * M, loss=loss))


@pytest.mark.parametrize("loss", ["cldl", "softmax", "hinge"])
def test_of_one_class_the_error_is_the_usual_one(loss):
    e = evaluation(loss=loss)
    assert e.top_errors(1) == pytest.approx(e.errors)


@pytest.mark.parametrize("loss", ["cldl", "softmax", "hinge"])
@pytest.mark.parametrize("k", [1, 2, 5, 12])
def test_a_sample_is_right_if_its_class_is_among_the_k_best(loss, k):
    e = evaluation(loss=loss)
    scores = {"1": e.logits[0], "2": e.logits[1], "fused": e.objective.probabilities(e.logits)}
    for name, z in scores.items():
        best = np.argsort(-z, axis=1)[:, :k]
        assert e.top_errors(k)[name] == pytest.approx(100 * np.mean(~(best == e.labels[:, None]).any(axis=1)))


def test_it_does_not_matter_how_many_samples_are_ranked_at_a_time(monkeypatch):
    e = evaluation()
    whole = e.top_errors()
    monkeypatch.setattr("cldl.training.evaluation.ROWS", 7)
    assert e.top_errors() == pytest.approx(whole)


def test_where_all_classes_are_equal_or_nothing_is_finite_no_sample_is_right():
    labels, objective = np.arange(8), Objective((1.0,))
    for value in (0.0, np.nan):
        e = Evaluation([np.full((8, 8), value, np.float32)], labels, objective)
        with np.errstate(invalid="ignore"):
            assert set(e.top_errors().values()) == {100.0}


def model(loss="cldl", shape=(12, 12, 3), classes=2):
    network = small_network(shape=shape, classes=classes)
    backend = CpuBackend(network.parameters(), threads=2)
    return TrainedModel(network, Objective((1.0, 1.0), loss=loss), Scale(), backend, ("cat", "dog"))


@pytest.mark.parametrize("crops", [5, 10])
def test_probabilities_are_averaged_over_the_crops(photos, crops):
    m, split = model(), photos.dataset(VIEW).test
    each = [m.logits(read_images(split.cropped(number))) for number in range(crops)]
    averaged = m.evaluate(split, crops)
    for i, z in enumerate(averaged.logits):
        np.testing.assert_allclose(softmax(z), np.mean([softmax(one[i]) for one in each], axis=0), rtol=1e-5)
    assert set(averaged.errors) == {"1", "2", "fused"}
    assert np.isfinite(averaged.loss.value)


def test_of_hinge_losses_it_is_the_scores_that_are_averaged(photos):
    m, split = model("hinge"), photos.dataset(VIEW).test
    each = [m.logits(read_images(split.cropped(number))) for number in range(5)]
    for i, z in enumerate(m.evaluate(split, 5).logits):
        np.testing.assert_allclose(z, np.mean([one[i] for one in each], axis=0), rtol=1e-5, atol=1e-6)


def test_one_crop_is_the_one_in_the_middle(photos):
    m, split = model(), photos.dataset(VIEW).test
    for a, b in zip(m.evaluate(split).logits, m.evaluate(split, 1).logits, strict=True):
        np.testing.assert_array_equal(a, b)


def test_crops_of_what_is_no_photograph_and_another_number_of_them_are_refused(photos):
    with pytest.raises(
        UserError, match="5 crops are taken of photographs, and these images have the network's size: leave"
    ):
        model(shape=(28, 28, 1), classes=10).evaluate(digits().test, 5)
    with pytest.raises(UserError, match="the number of crops is 7; choose one of 1, 5, 10"):
        model().evaluate(photos.dataset(VIEW).test, 7)
