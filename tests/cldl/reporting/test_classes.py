"""What the figures with a row for each class say: who decides a class, and what it is taken for."""

import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cldl.objective import Objective
from cldl.reporting import classes
from cldl.reporting.svg import svg
from cldl.training.evaluation import Evaluation
from tests.cldl.reporting.drawn import bars, boxes, evaluation, legend_is_clear, overlap, tick_texts, words


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


def test_the_confusion_matrix_counts_the_true_class_in_its_row():
    z = np.eye(3)[[0, 0, 1, 2, 2, 2]] * 9  # the answers
    seen = Evaluation.of([z], np.array([0, 1, 1, 2, 2, 0]), Objective((1.0,)))
    np.testing.assert_array_equal(classes.confusions(seen, 3), [[1, 0, 1], [1, 1, 0], [0, 0, 2]])
    texts = {t.get_position(): t.get_text() for t in classes.confusion(seen, "abc").axes[0].texts}
    assert texts == {(0, 0): "1", (2, 0): "1", (0, 1): "1", (1, 1): "1", (2, 2): "2"}  # (column, row)


def taken(counts):
    """One classifier that takes counts[i][j] images of class i for class j."""
    pairs = [(i, j) for i, row in enumerate(counts) for j, n in enumerate(row) for _ in range(n)]
    labels, answers = np.array(pairs).T
    return Evaluation.of([9.0 * np.eye(len(counts))[answers]], labels, Objective((1.0,)))


def places(cells):
    """The row and the column of each cell."""
    return [tuple(path.vertices[:4].mean(axis=0).round().astype(int).tolist()[::-1]) for path in cells.get_paths()]


def brightness(colour):
    return float(np.dot(colour[:3], (0.3, 0.6, 0.1)))


COUNTS = [[50, 1, 2, 3], [4, 50, 5, 6], [7, 8, 50, 9], [10, 0, 0, 50]]


def test_mistakes_are_the_darker_the_more_frequent_and_the_diagonal_is_grey():
    diagonal, cells = classes.confusion(taken(COUNTS), "abcd").axes[0].collections
    assert places(diagonal) == [(k, k) for k in range(4)]
    counts = dict(zip(places(cells), cells.get_array().tolist(), strict=True))
    assert counts == {(i, j): COUNTS[i][j] for i in range(4) for j in range(4) if i != j and COUNTS[i][j]}
    assert cells.get_clim() == (0, 10)
    shades = [brightness(cells.cmap(cells.norm(count))) for count in range(11)]
    assert shades == sorted(set(shades), reverse=True)
    red, green, blue, _ = diagonal.get_facecolor()[0]
    assert 0.5 < red == green == blue < 1


def test_every_number_can_be_read_on_its_cell():
    axes = classes.confusion(taken(COUNTS), "abcd").axes[0]
    diagonal, cells = axes.collections
    for text in axes.texts:
        column, row = text.get_position()
        cell = diagonal.get_facecolor()[0] if row == column else cells.cmap(cells.norm(COUNTS[row][column]))
        assert abs(brightness(cell) - brightness(to_rgb(text.get_color()))) > 0.4
        assert (text.get_ha(), text.get_va()) == ("center", "center")


def test_a_single_mistake_is_as_dark_as_can_be_and_no_mistake_is_as_light():
    one, none = (
        classes.confusion(taken(counts), "ab").axes[0].collections[1] for counts in ([[1, 1], [0, 1]], [[1, 0], [0, 1]])
    )
    assert one.get_clim() == none.get_clim() == (0, 1)
    assert places(none) == []


def test_names_of_two_letters_stand_upright():
    ticks = classes.confusion(taken(COUNTS), ("a", "b", "ab", "cd")).axes[0].get_xticklabels()
    assert {tick.get_rotation() for tick in ticks} == {0}


def test_the_scale_of_the_mistakes_has_whole_numbers():
    K = 21
    counts = np.eye(K, dtype=int)
    counts[0, 1] = 2
    scale = classes.confusion(taken(counts), [str(k) for k in range(K)]).axes[1]
    assert tick_texts(scale.yaxis) == ["0", "1", "2"]


@pytest.mark.parametrize("K", [2, 20, 21, 100])
def test_the_names_of_the_classes_do_not_lie_on_one_another(K):
    names = [f"class {k}" for k in range(K)]
    bars, matrix = (draw(evaluation(K, [0, 1] * K), names) for draw in (classes.shares_by_class, classes.confusion))
    for figure in (bars, matrix):
        figure.draw_without_rendering()
        assert not overlap(boxes(figure.axes[0].get_yticklabels()))
    assert not overlap(boxes(matrix.axes[0].get_xticklabels()))
    assert legend_is_clear(bars)


def test_few_classes_have_larger_letters_and_wider_rows_than_many():
    for draw in (classes.shares_by_class, classes.confusion):
        few, many = (draw(evaluation(K, [0] * K), [str(k) for k in range(K)]) for K in (20, 21))
        sizes = [{tick.get_fontsize() for tick in figure.axes[0].get_yticklabels()} for figure in (few, many)]
        assert len(sizes[0]) == len(sizes[1]) == 1
        assert min(sizes[0]) > max(sizes[1])
    heights = [classes.shares_by_class(evaluation(K, [0] * K), ["a"] * K).get_figheight() for K in (10, 20, 30, 40)]
    assert heights[1] - heights[0] > heights[3] - heights[2] > 1


def test_every_bar_of_the_classes_is_whole():
    for K in (3, 30):
        axes = classes.shares_by_class(evaluation(K, [0, 1] * K), ["a"] * K).axes[0]
        bottom, top = axes.get_ylim()
        assert K - 1 + 0.4 < bottom < K
        assert -1 < top < -0.4


def test_a_page_shows_what_was_taken_for_what_where_the_pointer_rests():
    text = svg(classes.confusion(taken([[1, 2], [1, 1]]), ("cat", "dog")), "confusion", "mistakes")
    assert re.findall("<title>(.*?)</title>", text) == ["cat taken for dog: 2 times", "dog taken for cat: 1 time"]
