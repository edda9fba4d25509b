"""Training and predicting through the classifier."""

import pickle
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

import cldl
from cldl import CldlClassifier, load
from cldl.estimator.fitting import held_out
from cldl.models import build
from cldl.training.run import Run
from engine.errors import UserError
from engine.random import Key
from layers import Flatten, Linear, Network, Node, ReLU
from tests.cldl import tiny
from tests.cldl.synthetic import digits

LINEAR = {"hidden": (16, 16), "classifiers": 2, "epochs": 6, "learning_rate": 0.02, "threads": 1}


def blobs(count=80, offset=0.0):
    """Vectors in two heaps, and the heaps' names."""
    rng, k = np.random.default_rng(1), np.arange(count) % 2
    return rng.normal(size=(count, 3)) + 3 * k[:, None] + offset, np.where(k, "right", "left")


def small_network(shape=(28, 28, 1), classes=10):
    D = int(np.prod(shape))
    nodes = [
        Node("flat", Flatten(), ("x",)),
        Node("hidden", Linear(D, 24), ("flat",)),
        Node("relu", ReLU(), ("hidden",)),
        Node("low", Linear(D, classes), ("flat",)),
        Node("top", Linear(24, classes), ("relu",)),
    ]
    return Network(nodes, ("low", "top"), shape)


def images(count=60):
    part = digits(train=count).train
    return part.images, part.labels


def test_importing_cldl_imports_nothing_of_the_classifier():
    late = "('cldl.estimator', 'cldl.training')"
    code = f"import sys, cldl; cldl.__version__; sys.exit(any(name.startswith({late}) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
    with pytest.raises(AttributeError, match="module 'cldl' has no attribute 'Classifier'"):
        cldl.Classifier  # noqa: B018 -- to look it up is the test


def test_without_scikit_learn_it_fits_predicts_and_refuses(tmp_path):
    code = """
import sys
sys.modules["sklearn"] = None
from cldl import CldlClassifier
from cldl.estimator.conventions import UnfittedError
classifier = CldlClassifier(hidden=(), classifiers=1, epochs=2, threads=1)
try:
    classifier.predict([[1.0]])
except UnfittedError as error:
    assert isinstance(error, ValueError) and "call fit(X, y) first" in str(error)
    y = [[0], [1], [0], [1]]
    assert classifier.set_params(epochs=3).fit([[0.0], [1.0], [0.1], [0.9]], y).get_params()["epochs"] == 3
    assert len(classifier.predict([[0.5]])) == 1
    sys.exit(7)
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60).returncode == 7


def test_a_large_mean_of_a_feature_costs_no_accuracy():
    near, y = blobs()
    far, _ = blobs(offset=1e9)
    fitted = [CldlClassifier(**LINEAR, random_state=0).fit(X, y) for X in (near, far)]
    assert all(c.score(X, y) > 0.9 for c, X in zip(fitted, (near, far), strict=True))


def test_a_table_of_features_that_do_not_vary_or_are_tiny_is_learned():
    X, y = blobs()
    X = np.column_stack([1e-9 * X, np.full(len(X), 0.1)])
    assert CldlClassifier(**LINEAR, random_state=0).fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize("scale", [1, 1 / 255])
def test_images_in_bytes_or_floats_train_a_network_of_ones_own(scale):
    X, y = images()
    given = X if scale == 1 else X * scale
    own = small_network()
    classifier = CldlClassifier(own, epochs=12, learning_rate=0.003, threads=1, random_state=0).fit(given, y)
    assert classifier.score(given, y) > 0.9
    assert not any(parameter.is_drawn for parameter in own.parameters())  # a copy was trained
    rearranged = [given[..., 0], given.transpose(0, 3, 1, 2), given.reshape(len(given), -1)]
    for other in [*rearranged, X, X / 255]:
        assert np.array_equal(classifier.predict(other), classifier.predict(given))
    assert classifier.model_.class_names == tuple("0123456789")


def test_the_weights_that_a_network_has_are_where_training_begins():
    X, y = images()
    own = small_network()
    own.initialise(Key(5))
    settings = {"epochs": 1, "learning_rate": 0.0, "weight_decay": 0.0, "threads": 1}
    trained = CldlClassifier(own, **settings, random_state=1).fit(X, y).model_.network
    for before, after in zip(own.parameters(), trained.parameters(), strict=True):
        np.testing.assert_array_equal(before.value, after.value)
    drawn = [CldlClassifier(small_network(), **settings, random_state=s).fit(X, y).model_.network for s in (1, 1, 2)]
    first, again, other = (network.parameters()[0].value for network in drawn)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_best_epoch_is_kept_and_training_ends_where_nothing_gets_better(capsys):
    X, _ = blobs(200)
    y = np.random.default_rng(0).integers(0, 2, 200)  # nothing to learn
    settings = {**LINEAR, "epochs": 40, "validation_fraction": 0.2, "random_state": 0}
    stopped = CldlClassifier(**settings, patience=3, verbose=True).fit(X, y)
    assert len(stopped.history_) == stopped.best_epoch_ + 3 < 40
    scores = [(h["validation_error"]["fused"], h["validation_loss"]) for h in stopped.history_]
    assert min(scores) == scores[stopped.best_epoch_ - 1]
    shown = capsys.readouterr().out
    assert shown.count("held out") == len(stopped.history_)
    assert shown.endswith("stopped: the last 3 epochs brought nothing better\n")
    _, held = held_out(y, 0.2, Key(0))
    error = 100 * np.mean(stopped.predict(X[held]) != y[held])
    assert error == pytest.approx(stopped.history_[stopped.best_epoch_ - 1]["validation_error"]["fused"])


def test_each_classifiers_probabilities_and_which_of_them_decides_are_the_models():
    X, y = blobs()
    classifier = CldlClassifier(**LINEAR, random_state=0).fit(X, y)
    logits = classifier.model_.logits(X)
    each = classifier.predict_proba_each(X)
    for P, z in zip(each, logits, strict=True):
        np.testing.assert_allclose(P, np.exp(z) / np.exp(z).sum(1, keepdims=True), rtol=1e-5)
    predicted = np.searchsorted(classifier.classes_, classifier.predict(X))
    given = np.stack([P[np.arange(len(X)), predicted] for P in each])
    np.testing.assert_array_equal(classifier.decided_by(X), given.argmax(0))
    assert set(classifier.decided_by(X)) <= {0, 1}


def test_a_trained_model_takes_floats_where_it_was_trained_on_floats_and_bytes_where_on_bytes():
    X, y = blobs()
    of_floats = CldlClassifier(**LINEAR, random_state=0).fit(X, y)
    np.testing.assert_array_equal(of_floats.classes_[of_floats.model_.predict(X)], of_floats.predict(X))
    with pytest.raises(UserError, match="convert them to float32 or float64"):
        of_floats.model_.logits(X.astype(np.uint8))
    images_, names = images()
    of_bytes = CldlClassifier(small_network(), epochs=1, threads=1).fit(images_, names)
    with pytest.raises(UserError, match="convert them to uint8"):
        of_bytes.model_.logits(images_[..., None] / 255)


@pytest.mark.parametrize("verbose", [False, True])
def test_who_asks_for_lines_is_told_why_the_first_epoch_takes_long(verbose, monkeypatch, capsys):
    @contextmanager
    def compiling(tell):
        tell()
        yield

    monkeypatch.setattr("cldl.estimator.classifier.told_of_compilation", compiling)
    CldlClassifier(**LINEAR, verbose=verbose).fit(*blobs())
    shown = capsys.readouterr().out
    assert shown.startswith("compiling the kernels of this network") if verbose else shown == ""


def test_without_validation_all_is_trained_on_and_the_last_epoch_is_kept():
    X, y = blobs()
    classifier = CldlClassifier(**LINEAR, validation_fraction=0, random_state=0).fit(X, y)
    assert classifier.best_epoch_ == len(classifier.history_) == 6
    assert "validation_error" not in classifier.history_[0]


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_what_is_held_out_has_the_classes_in_proportion_and_leaves_some_of_each(fraction):
    labels = np.repeat([0, 1, 2], [60, 30, 1])
    trained, held = held_out(labels, fraction, Key(3))
    assert sorted([*trained, *held]) == list(range(91))
    counts = np.bincount(labels[held], minlength=3)
    assert np.abs(counts[:2] - fraction * np.array([60, 30])).max() <= 1
    assert counts[2] == 0
    assert not np.array_equal(held, held_out(labels, fraction, Key(4))[1])


def test_a_pickled_one_predicts_the_same():
    X, y = blobs()
    classifier = CldlClassifier(**LINEAR, random_state=0).fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict_proba(X), classifier.predict_proba(X))


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0; give a whole number of 1 or more."),
        ({"patience": 1.5}, "patience is 1.5; give a whole number of 1 or more, or None."),
        ({"validation_fraction": 1}, "validation_fraction is 1; give a number from 0 to 0.9."),
        ({"validation_fraction": 0, "patience": 2}, "patience needs samples that are held out"),
        ({"preprocessing": "zca"}, "preprocessing is 'zca'; choose one of standard, scale, gcn, gcn_zca."),
        ({"preprocessing": "gcn"}, "preprocessing is 'gcn', which is of images: choose 'standard' for vectors."),
        ({"classifiers": 4}, "the number of classifiers is 4, and 2 hidden layers have places for 1 to 2"),
        ({"hidden": (8, 0)}, r"the hidden layers are \(8, 0\); give sizes of 1 or more"),
        ({"hidden": 64}, "the hidden layers are 64; give sizes of 1 or more"),
        ({"threads": 2000}, "threads is 2000; give at most 1,024, or None."),
        ({"model": "nin", "model_options": ["width"]}, "model_options is .'width'.; give names and values"),
        (
            {"model": "nin", "model_options": {"classes": 3}},
            "model_options has 'classes', which X, y and `classifiers` give",
        ),
        ({"random_state": "a"}, "random_state is 'a'; give a whole number"),
        ({"model": "nine"}, "there is no network 'nine'; choose one of nin, nin_mnist"),
        ({"model": dict}, "there is no network <class 'dict'>; choose one of nin, nin_mnist"),
        ({"classifiers": 0}, "have places for 1 to 2: give such a number, or more layers"),
        (
            {"model": "nin", "model_options": {"widht": 0.5}},
            "nin_mnist has no option 'widht'; choose from initialisation, ",
        ),
        ({"model_options": {"width": 0.5}}, "model_options are of a network by name, such as 'nin': leave them out."),
        ({"model": small_network((2, 2, 1))}, "X has samples of shape"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused_when_it_is_used(parameters, sentence):
    X, y = blobs(20)
    classifier = CldlClassifier(**{**LINEAR, **parameters})
    images_too = isinstance(parameters.get("model"), str)
    with pytest.raises(UserError, match=sentence):
        classifier.fit(np.zeros((20, 8, 8)) if images_too else X, y)


def test_a_score_against_labels_that_are_no_classes_is_refused():
    X, y = blobs()
    classifier = CldlClassifier(**LINEAR).fit(X, y)
    with pytest.raises(
        ValueError, match="y has labels such as 0, and the classifier knows 'left', 'right': give these"
    ):
        classifier.score(X, np.zeros(len(X), int))
    assert classifier.score(X[:2], ["up", classifier.predict(X[1:2])[0]]) == 0.5


@pytest.mark.parametrize("weights", [[1.0, 2.0], np.zeros(40), 1.0], ids=repr)
def test_weights_of_samples_that_give_no_mean_are_refused(weights):
    X, y = blobs(40)
    classifier = CldlClassifier(**LINEAR, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"sample_weight has shape .*: give one weight to each of the 40 samples"):
        classifier.score(X, y, sample_weight=weights)
    assert classifier.score(X, y, sample_weight=classifier.predict(X) == y) == 1


def test_numbers_that_a_network_cannot_answer_finitely_are_refused():
    X, y = blobs(40)
    classifier = CldlClassifier(**LINEAR, random_state=0).fit(X, y)
    with (
        np.errstate(over="ignore"),
        pytest.raises(ValueError, match=r"X has numbers as large as .*e\+299, so far from"),
    ):
        classifier.predict_proba(X / np.abs(X).max() * 5e299)


def test_it_is_shown_with_the_parameters_that_differ():
    assert repr(CldlClassifier("nin", epochs=3)) == "CldlClassifier(model='nin', epochs=3)"
    deep = repr(CldlClassifier(build("vgg11", (64, 64, 3), 5, 1, width=1 / 32)))
    assert deep.startswith("CldlClassifier(model=Network(")
    assert len(deep) < 100


def test_a_run_is_loaded_as_a_classifier(tmp_path, monkeypatch):
    run = tiny.run(tmp_path / "run", monkeypatch)
    classifier = load(tmp_path / "run", threads=1, device="cpu")
    X = np.stack([tiny.bright(k) for k in (3, 7, 1)])
    assert classifier.classes_.tolist() == list(range(10))
    assert classifier.unweighted_share == run.model(threads=1).objective.unweighted_share == 0
    assert classifier.predict(X).tolist() == [3, 7, 1]
    np.testing.assert_array_equal(
        classifier.predict_proba(X), Run.open(run.folder).model(threads=1, device="cpu").predict_proba(X)
    )
    assert classifier.score(X[..., 0], [3, 7, 2]) == pytest.approx(2 / 3)
    half = X / 255 * 0.5  # floats from 0 to 1, a fraction among them
    assert classifier.predict(half).tolist() == [3, 7, 1]
    with pytest.raises(UserError, match="the pixels are all 0 or 1"):
        classifier.predict(X // 255)
    assert [line["epoch"] for line in classifier.history_] == [1, 2]
    assert classifier.fit(*images(40)).best_epoch_ >= 1  # trains on


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        load(tmp_path)
