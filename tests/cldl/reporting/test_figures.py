"""What the figures over the epochs say: their words, the ends of their axes, and bars that stand on one another."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cldl.reporting import figures
from cldl.reporting.poster import errors
from cldl.reporting.style import FLOOR
from tests.cldl import tiny
from tests.cldl.reporting.drawn import bars, boxes, legend, legend_is_clear, tick_texts, words

LEGEND = ["classifier 1 (bottom)", "classifier 2", "classifier 3 (top)"]
FUSED = "all together (fused)"


def test_the_learning_curves_say_what_they_show_and_what_the_poster_reports():
    figure = figures.learning_curves(tiny.metrics(3), errors("MNIST"), fused=True)
    test, train = figure.axes
    assert words(test) == ("test images", "", "error in %")
    assert words(train) == ("training images", "epoch", "error in %")
    assert legend(figure) == [*LEGEND, FUSED]
    assert [text.get_text() for text in test.texts] == ["CLDL on the poster: 0.28", "NIN on the poster: 0.42"]
    assert [text.get_position()[1] for text in test.texts] == [0.28, 0.42]
    assert test.get_xlim() == train.get_xlim() == (0.5, 3.5)
    assert test.get_ylim() == train.get_ylim()
    assert test.get_ylim()[1] == pytest.approx(120)
    assert not list(train.texts)


def test_without_a_joint_prediction_the_learning_curves_have_no_line_for_it():
    assert legend(figures.learning_curves(tiny.metrics(3), {}, fused=False)) == LEGEND


def test_the_marks_of_many_epochs_are_not_seen_but_found_by_the_pointer():
    for epochs, seen in ((50, True), (51, False)):
        test = figures.learning_curves(tiny.metrics(epochs), {}, fused=True).axes[0]
        assert {line.get_markersize() for line in test.lines} == {4}
        assert all((line.get_markerfacecolor() != "none") == seen for line in test.lines)


def test_the_losses_are_those_of_the_metrics_over_the_learning_rate_of_the_whole_schedule():
    schedule = tiny.RECIPE.changed(epochs=4, warmup=1).schedule
    above, below = (figure := figures.losses(tiny.metrics(3), schedule)).axes
    assert legend(figure) == ["training images", "test images"]
    assert [line.get_ydata().tolist() for line in above.lines] == [[1, 1 / 2, 1 / 3]] * 2
    (rate,) = below.lines
    assert rate.get_xdata()[0] == 0
    assert 3.9 < rate.get_xdata()[-1] < 4
    assert rate.get_ydata().tolist() == [schedule.learning_rate_at(t) for t in rate.get_xdata()]
    assert (words(above), words(below)) == (("", "", "loss"), ("", "epoch", "learning rate"))
    assert above.get_xlim() == below.get_xlim()
    assert above.get_ylim()[0] == below.get_ylim()[0] == 0
    assert legend_is_clear(figure)


def test_the_companions_curves_say_what_they_show():
    figure = figures.companions(tiny.metrics(3))
    (axes,) = figure.axes
    assert words(axes) == ("", "epoch", "mean T (1: all others are wrong)")
    assert legend(figure) == LEGEND
    assert axes.get_ylim() == pytest.approx((0.09, 1.2))
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.8, 0.4, 0.8 / 3])


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


def test_the_learning_curves_are_the_errors_of_the_metrics_and_the_posters_lines():
    metrics = tiny.metrics(3)
    metrics[2]["test_error"]["1"] = 0.0
    test, train = figures.learning_curves(metrics, errors("MNIST"), fused=True).axes
    np.testing.assert_allclose(test.lines[0].get_ydata(), [50, 25, FLOOR])
    np.testing.assert_allclose(train.lines[3].get_ydata(), [80, 40, 80 / 3])
    assert test.get_yscale() == "log"
    assert [line.get_ydata()[0] for line in test.lines[4:]] == [0.28, 0.42]
    assert test.get_ylim()[0] < FLOOR


def test_every_classifier_has_its_own_line_of_both_errors():
    metrics = tiny.metrics(3)
    for axes, key in zip(
        figures.learning_curves(metrics, {}, fused=True).axes, ("test_error", "train_error"), strict=True
    ):
        lines = {line.get_label(): line.get_ydata() for line in axes.lines}
        assert {tuple(line.get_xdata()) for line in axes.lines} == {(1, 2, 3)}
        for label, name in zip([*LEGEND, FUSED], ("1", "2", "3", "fused"), strict=True):
            np.testing.assert_allclose(lines[label], [line[key][name] for line in metrics])


def test_classifiers_differ_in_colour_and_mark_and_the_joint_prediction_stands_out_in_black():
    *singles, fused = figures.learning_curves(tiny.metrics(3, 7), {}, fused=True).axes[0].lines
    for distinct in ("color", "marker"):
        assert len({getattr(line, f"get_{distinct}")() for line in (*singles, fused)}) == 8
    assert to_rgb(fused.get_color()) == (0, 0, 0)
    assert all(fused.get_linewidth() > line.get_linewidth() for line in singles)


@pytest.mark.parametrize(
    ("M", "labels"), [(1, ["the classifier"]), (2, ["classifier 1 (bottom)", "classifier 2 (top)", FUSED])]
)
def test_one_classifier_alone_has_no_joint_prediction(M, labels):
    assert legend(figures.learning_curves(tiny.metrics(2, M), {}, fused=True)) == labels


def test_beyond_seven_classifiers_colours_and_marks_begin_again():
    lines = figures.companions(tiny.metrics(2, 9)).axes[0].lines
    assert [lines[8].get_color(), lines[8].get_marker()] == [lines[1].get_color(), lines[1].get_marker()]


def test_test_and_training_images_are_one_above_the_other_on_one_grid():
    figure = figures.learning_curves(tiny.metrics(3), {}, fused=True)
    figure.draw_without_rendering()
    test, train = figure.axes
    assert test.get_position().y0 > train.get_position().y1
    assert test.get_xlim() == train.get_xlim()
    for axes in (test, train):
        assert axes.get_axisbelow()
        assert all(line.get_visible() for line in (*axes.get_xgridlines(), *axes.get_ygridlines()))
        assert {line.get_color() for line in axes.get_xgridlines()} == {"0.9"}


def test_the_posters_names_stand_in_the_figure_each_on_its_side_of_its_dotted_line():
    figure = figures.learning_curves(tiny.metrics(3), errors("MNIST"), fused=True)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    below, above = boxes(axes.texts)
    heights = [axes.transData.transform((1, error))[1] for error in (0.28, 0.42)]
    assert below.y1 <= heights[0] < heights[1] <= above.y0
    assert all(axes.bbox.x0 < box.x0 and box.x1 < axes.bbox.x1 for box in (below, above))
    assert {line.get_linestyle() for line in axes.lines[4:]} == {":"}
    assert {text.get_fontsize() for text in axes.texts} == {8}


@pytest.mark.parametrize(("epochs", "texts"), [(1, ["1"]), (3, ["1", "2", "3"])])
def test_the_marks_of_the_epochs_are_whole_numbers(epochs, texts):
    for figure in (figures.companions(tiny.metrics(epochs)), figures.shares(tiny.metrics(epochs))):
        assert tick_texts(figure.axes[0].xaxis) == texts
        assert figure.axes[0].get_xlabel() == "epoch"


def test_a_logarithmic_axis_has_plain_round_numbers():
    test = figures.learning_curves(tiny.metrics(3), {}, fused=True).axes[0]
    assert tick_texts(test.yaxis) == ["5", "10", "20", "50", "100"]
    assert tick_texts(figures.companions(tiny.metrics(3)).axes[0].yaxis) == ["0.1", "0.2", "0.5", "1"]


def test_the_legend_hides_nothing():
    metrics = tiny.metrics(3)
    assert legend_is_clear(figures.learning_curves(metrics, errors("MNIST"), fused=True))
    assert legend_is_clear(figures.companions(metrics))
    assert legend_is_clear(figures.shares(metrics))


def test_bars_have_no_edges():
    (axes,) = figures.shares(tiny.metrics(3)).axes
    assert {bar.get_linewidth() for part in axes.containers for bar in part} == {0}
