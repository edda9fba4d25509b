"""Errors of the five best classes, and predictions averaged over the crops of a photograph."""

from dataclasses import replace

import numpy as np
import pytest

from cldl.inference import softmax
from cldl.objective import Objective
from cldl.training.evaluation import Evaluation
from cldl.training.seen import CROPS, Seen
from cldl.training.trained import TrainedModel
from data.dataset import read_images
from data.transforms.preprocessing import Scale
from engine.errors import UserError
from engine.runtime.cpu import CpuBackend
from tests.cldl.synthetic import digits
from tests.cldl.training.conftest import VIEW
from tests.cldl.training.test_own_training import small_network


def case(N=300, K=12, M=2, loss="cldl", seed=0):
    """Logits, labels and an objective."""
    rng = np.random.default_rng(seed)
    logits = [rng.normal(0, 2, (N, K)).astype(np.float32) for _ in range(M)]
    return logits, rng.integers(0, K, N), Objective((1.0,) * M, loss=loss)


@pytest.mark.parametrize("loss", ["cldl", "softmax", "hinge"])
def test_of_one_class_the_error_is_the_usual_one(loss):
    e = Evaluation.of(*case(loss=loss))
    assert e.top_errors(1) == pytest.approx(e.errors)


@pytest.mark.parametrize("loss", ["cldl", "softmax", "hinge"])
@pytest.mark.parametrize("k", [1, 2, 5, 12])
def test_a_sample_is_right_if_its_class_is_among_the_k_best(loss, k):
    logits, labels, objective = case(loss=loss)
    e = Evaluation.of(logits, labels, objective)
    scores = {"1": logits[0], "2": logits[1], "fused": objective.probabilities(logits)}
    for name, z in scores.items():
        best = np.argsort(-z, axis=1)[:, :k]
        assert e.top_errors(k)[name] == pytest.approx(100 * np.mean(~(best == labels[:, None]).any(axis=1)))


def test_where_all_classes_are_equal_or_nothing_is_finite_no_sample_is_right():
    labels, objective = np.arange(8), Objective((1.0,))
    for value in (0.0, np.nan):
        e = Evaluation.of([np.full((8, 8), value, np.float32)], labels, objective)
        assert set(e.top_errors().values()) == {100.0}


def model(loss="cldl", shape=(12, 12, 3), classes=2):
    network = small_network(shape=shape, classes=classes)
    backend = CpuBackend(network.parameters(), threads=2)
    return TrainedModel(network, Objective((1.0, 1.0), loss=loss), Scale(), backend, ("cat", "dog"))


def assert_same(found, logits, split, objective):
    """The evaluation is that of these logits."""
    expected = Evaluation.of(logits, split.labels, objective)
    for name in ("on_target", "confidences", "losses", "T"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found.answers, expected.answers)
    assert found.errors == expected.errors
    assert found.loss == pytest.approx(expected.loss, rel=1e-4)


def mean_of(every):
    """The logarithms of the mean probabilities of each classifier."""
    return [np.log(np.mean([softmax(z) for z in logits], axis=0)) for logits in zip(*every, strict=True)]


@pytest.mark.parametrize("crops", [5, 10, 36])
def test_probabilities_are_averaged_over_the_crops(photos, crops):
    m, split = model(), photos.dataset(VIEW).test
    each = [m.logits(read_images(split.cropped(number))) for number in CROPS[crops]]
    assert_same(m.evaluate(split, crops), mean_of(each), split, m.objective)


def test_of_hinge_losses_it_is_the_scores_that_are_averaged(photos):
    m, split = model("hinge"), photos.dataset(VIEW).test
    each = [m.logits(read_images(split.cropped(number))) for number in range(5)]
    assert_same(m.evaluate(split, 5), [np.mean(z, axis=0) for z in zip(*each, strict=True)], split, m.objective)


def test_they_are_averaged_over_scales_and_the_crops_at_each(photos):
    m, split = model(), photos.dataset(VIEW).test
    views = [photos.dataset(replace(VIEW, test_scale=scale)).test for scale in (12, 20)]
    each = [m.logits(read_images(view.cropped(number))) for view in views for number in range(5)]
    assert_same(m.evaluate(split, 5, scales=(12, 20)), mean_of(each), split, m.objective)


def test_one_crop_is_the_one_in_the_middle(photos):
    m, split = model(), photos.dataset(VIEW).test
    for found in (m.evaluate(split), m.evaluate(split, 1), m.evaluate(split, scales=(VIEW.test_scale,))):
        assert_same(found, m.logits(read_images(split)), split, m.objective)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"crops": 5},
            "5 crops are taken of photographs, and these images have the network's size: leave such options out",
        ),
        (
            {"scales": (32,)},
            "whole images and other scales are taken of photographs, and these images have the network's",
        ),
        ({"crops": 7}, "the number of crops is 7; choose one of 1, 5, 10, 36."),
        ({"crops": 5, "dense": True}, "5 crops are taken, or the image is seen whole (dense): leave one of them out."),
    ],
)
def test_crops_of_what_is_no_photograph_and_another_number_of_them_are_refused(options, message):
    with pytest.raises(UserError) as refused:
        model(shape=(28, 28, 1), classes=10).evaluate(digits().test, **options)
    assert str(refused.value).startswith(message)


def test_a_scale_smaller_than_the_crop_is_refused(photos):
    with pytest.raises(
        UserError, match="crops of 12 pixels are taken of images resized to 12 to 16 pixels in training and to 8"
    ):
        model().evaluate(photos.dataset(VIEW).test, scales=(8,))


def test_what_is_seen_is_told_in_words():
    assert str(Seen(10)) == "10 crops of each"
    assert str(Seen(5, (256, 384))) == "5 crops of each, resized to 256 and 384 pixels"
    assert str(Seen(dense=True, scales=(256,))) == "whole, and mirrored, resized to 256 pixels"
