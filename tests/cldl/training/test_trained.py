"""A run opened from Python: labels and probabilities of NumPy images."""

import copy
import pickle

import numpy as np
import pytest

from cldl.inference import softmax
from cldl.objective import Objective
from cldl.training.run import Run
from cldl.training.trained import TrainedModel
from cldl.training.trainer import Trainer
from data.dataset import ArraySplit, Dataset
from data.transforms.preprocessing import Scale
from engine.errors import UserError
from engine.optim.optimisers import SGD
from engine.optim.schedules import Constant
from engine.random import Key
from engine.runtime.backend import make_backend
from tests.cldl import tiny

IMAGES = np.stack([tiny.bright(k) for k in (3, 1, 4, 1, 5)])


@pytest.fixture
def run(tmp_path, monkeypatch):
    return tiny.run(tmp_path / "run", monkeypatch)


def model(objective):
    """A tiny network with random weights under an objective."""
    network = tiny.network(len(objective.weights))
    for i, parameter in enumerate(network.parameters()):
        parameter.value[...] = 0.2 * Key(i).normal(parameter.shape)
    backend = make_backend("cpu", network.parameters(), threads=1)
    return TrainedModel(network, objective, Scale(), backend, tuple("0123456789"))


def noise(N):
    return np.random.default_rng(0).integers(0, 256, (N, 28, 28, 1)).astype(np.uint8)


def test_an_opened_run_predicts_labels_probabilities_and_logits(run):
    model = Run.open(run.folder).model(threads=1, device="cpu")
    assert model.predict(IMAGES).tolist() == [3, 1, 4, 1, 5]
    P = model.predict_proba(IMAGES)
    assert P.shape == (5, 10)
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-12)
    assert [z.shape for z in model.logits(IMAGES)] == [(5, 10), (5, 10)]
    assert model.logits(IMAGES)[1][0].tolist() == [0, 0, 0, 5, 0, 0, 0, 0, 0, 0]
    assert model.class_names[3] == "3"


def test_it_has_the_weights_of_the_checkpoint(run):
    loaded = Run.open(run.folder).model(device="cpu").network
    for own, stored in zip(loaded.parameters(), tiny.network().parameters(), strict=True):
        assert own.name == stored.name
        np.testing.assert_array_equal(own.value, stored.value)


@pytest.mark.parametrize("loss", ["cldl", "softmax", "hinge"])
@pytest.mark.parametrize("M", [1, 2, 3])
def test_the_predicted_class_is_the_most_probable_one(loss, M):
    trained, images = model(Objective((1.0, 0.5, 2.0)[:M], loss=loss)), noise(200)
    labels, P = trained.predict(images), trained.predict_proba(images)
    assert len(np.unique(labels)) > 2
    assert np.array_equal(P[np.arange(200), labels], P.max(axis=1))


@pytest.mark.parametrize("loss", ["cldl", "softmax"])
def test_the_probabilities_of_one_classifier_are_its_softmax(loss):
    trained, images = model(Objective((1.0,), loss=loss)), noise(20)
    expected = softmax(trained.logits(images)[0].astype(np.float64))
    np.testing.assert_allclose(trained.predict_proba(images), expected, rtol=1e-10)


def test_an_evaluation_on_a_split_has_its_labels_and_the_same_predictions():
    trained, images = model(Objective((1.0, 1.0))), noise(30)
    evaluation = trained.evaluate(ArraySplit(images, np.arange(30) % 10))
    assert np.array_equal(evaluation.predictions, trained.predict(images))
    assert evaluation.labels.tolist() == [k % 10 for k in range(30)]


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (np.zeros((2, 28, 28, 1)), "images have dtype float64: convert them to uint8"),
        (np.zeros((2, 28, 28), np.uint8), r"images have shape \(2, 28, 28\), expected \(N, H, W, C\)"),
        (np.zeros((2, 20, 28, 1), np.uint8), r"images have shape \(20, 28, 1\); the network takes \(28, 28, 1\)"),
    ],
)
def test_images_of_another_form_are_refused(images, sentence):
    with pytest.raises(UserError, match=sentence):
        model(Objective((1.0,))).predict(images)


COPIES = {"copied": copy.deepcopy, "pickled": lambda thing: pickle.loads(pickle.dumps(thing))}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_of_a_run_and_of_its_model_predicts_the_same_and_shares_nothing(run, way):
    opened = Run.open(run.folder)
    other = COPIES[way](opened)
    assert (other.folder, other.config, other.recipe) == (opened.folder, opened.config, opened.recipe)
    assert other.recipe.sources == opened.recipe.sources
    loaded = opened.model(threads=2, device="cpu")
    again = COPIES[way](loaded)
    images = noise(30)
    before = again.logits(images)
    for a, b in zip(loaded.logits(images), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (again.class_names, again.backend.threads) == (loaded.class_names, 2)
    for parameter in loaded.network.parameters():
        parameter.value[...] = 0
    for a, b in zip(again.logits(images), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_of_a_trainers_model_stays_as_it_is_when_training_goes_on(way):
    images, labels = noise(20), np.arange(20) % 10
    data = Dataset.from_arrays("noise", images, labels, images, labels)
    network, schedule = tiny.network(), Constant(learning_rate=0.1, epochs=1, batch_size=10)
    optimiser = SGD(network.parameters(), momentum=0.9)
    trainer = Trainer(network, Objective((1.0, 1.0)), optimiser, data, schedule, threads=1)
    kept = COPIES[way](trainer.model())
    before = kept.logits(images)
    list(trainer.steps())
    assert not np.array_equal(trainer.model().logits(images)[0], before[0])
    np.testing.assert_array_equal(kept.logits(images)[0], before[0])


def test_a_run_without_a_checkpoint_has_no_model(run):
    (run.folder / "checkpoint.h5").unlink()
    with pytest.raises(UserError, match=r"checkpoint\.h5 is not there"):
        run.model()


def test_a_run_with_names_for_other_than_its_classes_is_refused(run):
    run.config["classes"] = ["only one"]
    with pytest.raises(UserError, match=r"config\.json has 1 classes, expected 10: restore it"):
        run.model()


@pytest.mark.parametrize("change", ["missing", "shape", "dtype"])
def test_a_checkpoint_of_another_network_is_refused(run, change):
    arrays, numbers = run.load()
    name = "weights/head2.1.weight"
    arrays[name] = {"shape": arrays[name][:-1], "dtype": arrays[name].astype(np.float64)}.get(change)
    run.save({k: v for k, v in arrays.items() if v is not None}, numbers)
    with pytest.raises(UserError, match=r"checkpoint\.h5 does not hold .*head2\.1\.weight is not there or differs"):
        run.model()
