"""scikit-learn's own checks of an estimator, and what it does with one."""

import numpy as np
import pytest

from cldl import CldlClassifier

pytest.importorskip("sklearn")
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

SMALL = {"hidden": (16, 16), "classifiers": 2, "epochs": 8, "learning_rate": 0.02, "threads": 1}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([CldlClassifier(**SMALL)])  # all of them: none is expected to fail
def test_the_checks_of_scikit_learn_pass(estimator, check):
    check(estimator)


def blobs(count=60):
    """Vectors in three heaps, and the names of these."""
    rng, k = np.random.default_rng(0), np.arange(count) % 3
    return rng.normal(size=(count, 4)) + 4 * np.eye(3, 4)[k], np.array(["a", "b", "c"])[k]


def test_it_is_a_classifier_and_is_cloned_with_its_parameters():
    classifier = CldlClassifier(**SMALL, random_state=3)
    assert is_classifier(classifier)
    assert clone(classifier).get_params() == classifier.get_params()


def test_folds_and_a_grid_are_searched_and_the_best_is_refitted():
    X, y = blobs()
    assert cross_val_score(CldlClassifier(**SMALL, random_state=0), X, y, cv=3).mean() > 0.8
    scaled = make_pipeline(StandardScaler(), CldlClassifier(**SMALL, random_state=0))
    search = GridSearchCV(scaled, {"cldlclassifier__exponent": [0.0, 1.0]}, cv=2).fit(X, y)
    assert set(search.predict(X)) <= {"a", "b", "c"}
    assert "cldlclassifier__exponent" in search.best_params_
