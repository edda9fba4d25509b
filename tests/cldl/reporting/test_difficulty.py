"""Who answers what: ten groups from the easiest images to the hardest, and in each the right answers by who decided."""

import numpy as np
import pytest

from cldl.objective import Objective
from cldl.reporting.difficulty import (
    GROUPS,
    answers_by_difficulty,
    companions_by_difficulty,
    difficulty,
    shares_by_difficulty,
)
from cldl.training.evaluation import Evaluation

RIGHT = np.linspace(8, 1, 20)  # the logit of the right class, from the easiest image to the hardest
ORDER = np.random.default_rng(0).permutation(20)


def evaluation(decided_by_top, wrong=()):
    """Two classes and two classifiers, of which the top one decides where it says so, and some images are wrong."""
    own = np.where(np.isin(np.arange(20), wrong), -RIGHT, RIGHT)
    bottom, top = (np.where(decided_by_top == sure, own, own / 2)[ORDER] for sure in (False, True))
    labels = np.zeros(20, np.int64)
    return Evaluation([np.stack([z, np.zeros(20)], axis=1) for z in (bottom, top)], labels, Objective((1.0, 1.0)))


def test_the_less_probable_the_right_class_is_on_average_the_harder_the_image():
    seen = evaluation(np.zeros(20, bool))
    assert np.array_equal(np.argsort(difficulty(seen)), np.argsort(ORDER))
    P = [1 / (1 + np.exp(-RIGHT[3])), 1 / (1 + np.exp(-RIGHT[3] / 2))]
    assert difficulty(seen)[ORDER == 3] == pytest.approx(1 - np.mean(P))


def test_the_bottom_classifier_answers_easy_images_and_the_top_one_hard_ones_where_it_is_so():
    right, wrong = answers_by_difficulty(evaluation(np.arange(20) >= 14))
    assert right.tolist() == [[100] * 7 + [0] * 3, [0] * 7 + [100] * 3]
    assert not wrong.any()


def test_the_shares_that_are_decided_rightly_leave_out_what_is_wrong():
    assert evaluation(np.arange(20) >= 14, wrong=[18, 19]).right_shares == {"1": 70.0, "2": 20.0}


def test_wrong_answers_are_nobodys():
    right, wrong = answers_by_difficulty(evaluation(np.zeros(20, bool), wrong=[17, 18, 19]))
    assert wrong.tolist() == [0] * 8 + [50, 100]
    assert np.array_equal(right.sum(axis=0) + wrong, [100] * GROUPS)


def test_fewer_images_than_groups_leave_groups_empty():
    whole = evaluation(np.zeros(20, bool))
    few = Evaluation([z[:3] for z in whole.logits], whole.labels[:3], whole.objective)
    right, wrong = answers_by_difficulty(few)
    assert (right.sum(axis=0) + wrong).tolist() == [100] * 3 + [0] * 7
    assert np.isnan(companions_by_difficulty(few)).tolist() == [[False] * 3 + [True] * 7] * 2


def test_of_two_classifiers_each_is_left_what_the_other_gives_to_the_wrong_class():
    bottom, top = companions_by_difficulty(
        evaluation(np.zeros(20, bool))
    )  # the bottom one is the surer by twice the logit
    wrong = 1 / (1 + np.exp(RIGHT)), 1 / (1 + np.exp(RIGHT / 2))
    assert top == pytest.approx(wrong[0].reshape(GROUPS, 2).mean(axis=1))
    assert bottom == pytest.approx(wrong[1].reshape(GROUPS, 2).mean(axis=1))
    lines = shares_by_difficulty(evaluation(np.zeros(20, bool))).axes[1].lines
    assert [line.get_ydata().tolist() for line in lines] == [bottom.tolist(), top.tolist()]


def test_the_bars_stand_on_one_another():
    axes = (figure := shares_by_difficulty(evaluation(np.arange(20) >= 10, wrong=[19]))).axes[0]
    tops = [bar.get_y() + bar.get_height() for bar in axes.containers[-1]]
    assert tops == [100] * GROUPS
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["classifier 1 (bottom), right", "classifier 2 (top), right", "wrong"]
