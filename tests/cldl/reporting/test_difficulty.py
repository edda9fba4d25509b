"""Answers by difficulty: ten groups from the easiest images to the hardest, and in each the right answers by deciding exit."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cldl.objective import Objective
from cldl.reporting.difficulty import (
    GROUPS,
    answers_by_difficulty,
    companions_by_difficulty,
    difficulty,
    in_turn,
    shares_by_difficulty,
)
from cldl.reporting.style import MARKERS, colour
from cldl.training.evaluation import Evaluation
from tests.cldl.reporting.drawn import bars, legend, legend_is_clear, tick_texts

RIGHT = np.linspace(8, 1, 20)  # the logit of the right class, from the easiest image to the hardest
ORDER = np.random.default_rng(0).permutation(20)


def evaluation(decided_by_top, wrong=(), images=20):
    """Two classes and two classifiers, of which the top one decides where it says so, and some images are wrong."""
    own = np.where(np.isin(np.arange(20), wrong), -RIGHT, RIGHT)
    bottom, top = (np.where(decided_by_top == sure, own, own / 2)[ORDER] for sure in (False, True))
    logits = [np.stack([z, np.zeros(20)], axis=1)[:images] for z in (bottom, top)]
    return Evaluation.of(logits, np.zeros(images, np.int64), Objective((1.0, 1.0)))


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
    few = evaluation(np.zeros(20, bool), images=3)
    right, wrong = answers_by_difficulty(few)
    assert (right.sum(axis=0) + wrong).tolist() == [100] * 3 + [0] * 7
    assert np.isnan(companions_by_difficulty(few)).tolist() == [[False] * 3 + [True] * 7] * 2


def test_of_two_classifiers_each_is_left_what_the_other_gives_to_the_wrong_class():
    bottom, top = companions_by_difficulty(evaluation(np.zeros(20, bool)))
    wrong = 1 / (1 + np.exp(RIGHT)), 1 / (1 + np.exp(RIGHT / 2))  # of the bottom classifier, and the top one
    assert top == pytest.approx(wrong[0].reshape(GROUPS, 2).mean(axis=1))
    assert bottom == pytest.approx(wrong[1].reshape(GROUPS, 2).mean(axis=1))
    lines = shares_by_difficulty(evaluation(np.zeros(20, bool))).axes[1].lines
    assert [line.get_ydata().tolist() for line in lines] == [bottom.tolist(), top.tolist()]


def test_the_bars_are_the_shares_from_the_easiest_images_to_the_hardest():
    axes, below = (figure := shares_by_difficulty(evaluation(np.arange(20) >= 10, wrong=[19]))).axes
    starts, heights = bars(axes, "y", "height")
    assert heights == [[100] * 5 + [0] * 5, [0] * 5 + [100] * 4 + [50], [0] * 9 + [50]]
    assert starts == [[0] * GROUPS, [100] * 5 + [0] * 5, [100] * 9 + [50]]
    assert legend(figure) == ["classifier 1 (bottom), right", "classifier 2 (top), right", "wrong"]
    assert tick_texts(below.xaxis) == ["easiest tenth", *[""] * 8, "hardest tenth"]
    assert (axes.get_ylim(), axes.get_ylabel()) == ((0, 100), "share of the images in %")
    assert (below.get_ylim(), below.get_ylabel()) == ((0, 1.02), "mean T")


def test_the_lines_stand_under_the_bars_of_their_images():
    above, below = (figure := shares_by_difficulty(evaluation(np.arange(20) >= 10))).axes
    figure.draw_without_rendering()
    assert {tuple(line.get_xdata()) for line in below.lines} == {tuple(range(GROUPS))}
    assert above.get_xlim() == below.get_xlim()
    assert above.get_position().height > below.get_position().height
    assert above.get_position().y0 > below.get_position().y1
    assert {line.get_color() for line in below.get_ygridlines()} == {"0.9"}
    assert not any(line.get_visible() for line in below.get_xgridlines())


def test_wrong_answers_are_black_and_right_ones_in_the_colours_of_the_classifiers_without_edges():
    axes, below = (figure := shares_by_difficulty(evaluation(np.arange(20) >= 10, wrong=[19]))).axes
    assert [line.get_color() for line in below.lines] == [colour(0), colour(1)]
    assert [line.get_marker() for line in below.lines] == [*MARKERS[:2]]
    colours = [{bar.get_facecolor()[:3] for bar in part} for part in axes.containers]
    assert colours == [{to_rgb(c)} for c in (colour(0), colour(1), "black")]
    assert {bar.get_linewidth() for part in axes.containers for bar in part} == {0}
    assert legend_is_clear(figure)


def test_asked_in_turn_the_bottom_classifier_answers_where_it_is_sure():
    easy = np.log(999) < RIGHT  # P is 0.999 or more
    assert (easy.sum(), easy[:3].all()) == (3, True)
    sentence = in_turn(evaluation(np.zeros(20, bool), wrong=[2, 18, 19]))
    assert "gives a class 99.9 % or more" in sentence
    assert "classifier 1 15.0 % (1 wrong), classifier 2 85.0 % (2 wrong); 15.00 % wrong in all" in sentence
