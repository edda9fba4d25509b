"""What the figures say: their words, the ends of their axes, and bars that stand on one another."""

import numpy as np
import pytest

from cldl.objective import Objective
from cldl.reporting import classes, figures
from cldl.reporting.poster import errors
from cldl.training.evaluation import Evaluation
from tests.cldl import tiny

LEGEND = ["classifier 1 (bottom)", "classifier 2", "classifier 3 (top)"]
FUSED = "all together (fused)"


def words(axes):
    """Title, label of the x axis and of the y axis."""
    return axes.get_title(), axes.get_xlabel(), axes.get_ylabel()


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def evaluation(K, decided):
    """Two classifiers; image i is of class i % K, and decided by decided[i]."""
    labels = np.arange(len(decided)) % K
    sure, unsure = 9.0 * np.eye(K)[labels], 3.0 * np.eye(K)[labels]
    top = np.array(decided)[:, None] == 1
    return Evaluation([np.where(top, unsure, sure), np.where(top, sure, unsure)], labels, Objective((1.0, 1.0)))


def test_the_learning_curves_say_what_they_show_and_what_the_poster_reports():
    figure = figures.learning_curves(tiny.metrics(3), errors("MNIST"))
    test, train = figure.axes
    assert words(test) == ("test images", "epoch", "error in %")
    assert words(train) == ("training images", "epoch", "")
    assert legend(figure) == [*LEGEND, FUSED]
    assert [text.get_text() for text in test.texts] == ["CLDL on the poster: 0.28", "NIN on the poster: 0.42"]
    assert [text.get_position()[1] for text in test.texts] == [0.28, 0.42]
    assert test.get_xlim() == train.get_xlim() == (0.5, 3.5)
    assert test.get_ylim() == train.get_ylim()
    assert test.get_ylim()[1] == pytest.approx(120)
    assert not list(train.texts)


def test_without_a_joint_prediction_the_learning_curves_have_no_line_for_it():
    assert legend(figures.learning_curves(tiny.metrics(3), {}, fused=False)) == LEGEND


def test_the_marks_of_many_epochs_are_left_out():
    for epochs, size in ((50, 4), (51, 0)):
        test = figures.learning_curves(tiny.metrics(epochs), {}).axes[0]
        assert {line.get_markersize() for line in test.lines} == {size}


def test_the_companions_curves_say_what_they_show():
    figure = figures.companions(tiny.metrics(3))
    (axes,) = figure.axes
    assert words(axes) == ("", "epoch", "mean T (1: the companions are all wrong)")
    assert legend(figure) == LEGEND
    assert axes.get_ylim() == pytest.approx((0.09, 1.2))
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.8, 0.4, 0.8 / 3])


def bars(axes, side, length):
    """Where each part's bars begin, and how long they are, (M, positions)."""
    return [[[getattr(bar, f"get_{of}")() for bar in part] for part in axes.containers] for of in (side, length)]


def test_the_shares_of_an_epoch_stand_on_one_another_up_to_100():
    metrics = tiny.metrics(2)
    metrics[1]["test_share"] = {"1": 50.0, "2": 30.0, "3": 20.0}
    figure = figures.shares(metrics)
    (axes,) = figure.axes
    assert words(axes) == ("", "epoch", "share of the test images in %")
    assert legend(figure) == LEGEND
    assert axes.get_ylim() == (0, 100)
    starts, heights = bars(axes, "y", "height")
    np.testing.assert_allclose(starts, [[0, 0], [100 / 3, 50], [200 / 3, 80]])
    np.testing.assert_allclose(heights, [[100 / 3, 50], [100 / 3, 30], [100 / 3, 20]])


def test_bars_have_gaps_between_them_unless_there_are_many():
    for epochs, width in ((120, 0.8), (121, 1.0)):
        axes = figures.shares(tiny.metrics(epochs)).axes[0]
        assert axes.containers[0][0].get_width() == pytest.approx(width)


def test_the_shares_of_a_class_stand_side_by_side_up_to_100_with_the_first_class_on_top():
    figure = classes.shares_by_class(evaluation(3, [0, 0, 1, 1, 0, 1]), ("cat", "dog", "owl"))
    (axes,) = figure.axes
    assert words(axes) == ("", "share of the class's test images in %", "class")
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["cat", "dog", "owl"]
    assert axes.get_xlim() == (0, 100)
    bottom, top = axes.get_ylim()
    assert bottom > 2 > 0 > top
    starts, widths = bars(axes, "x", "width")
    np.testing.assert_allclose(starts, [[0, 0, 0], [50, 100, 0]])
    np.testing.assert_allclose(widths, [[50, 100, 0], [50, 0, 100]])


def test_a_class_of_one_image_has_a_whole_bar():
    axes = classes.shares_by_class(evaluation(2, [0, 1]), "ab").axes[0]
    np.testing.assert_allclose(bars(axes, "x", "width")[1], [[100, 0], [0, 100]])


def test_the_confusion_matrix_says_what_its_rows_and_columns_are():
    axes = classes.confusion(evaluation(3, [0] * 6), ("cat", "dog", "owl")).axes[0]
    assert words(axes) == ("", "predicted class", "true class")
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [tick.get_text() for tick in ticks] == ["cat", "dog", "owl"]
    assert {tick.get_rotation() for tick in axes.get_xticklabels()} == {90}
    assert {
        tick.get_rotation() for tick in classes.confusion(evaluation(3, [0] * 6), "abc").axes[0].get_xticklabels()
    } == {0}


def test_a_confusion_matrix_of_many_classes_has_no_numbers_but_a_scale():
    names = [str(k) for k in range(21)]
    few, many = (classes.confusion(evaluation(K, [0] * 42), names[:K]) for K in (20, 21))
    assert (len(few.axes), len(few.axes[0].texts)) == (1, 20)
    assert (len(many.axes), len(many.axes[0].texts)) == (2, 0)
    assert many.axes[1].get_ylabel() == "mistakes"
