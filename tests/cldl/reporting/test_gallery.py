"""Figure 1 of the poster: images that the bottom classifier gets right, beside those that only the top one gets right."""

import numpy as np
import pytest

from cldl.objective import Objective
from cldl.reporting import gallery
from cldl.training.evaluation import Evaluation
from data.dataset import ArraySplit


def shown(gallery):
    return [axes.images[0].get_array()[0, 0] for axes in gallery.axes if axes.images]


def test_figure_1_shows_what_the_bottom_has_right_beside_what_only_the_top_has_right():
    labels = np.array([0, 0, 1, 1, 2])
    bottom = np.array([[5, 0, 0], [9, 0, 0], [0, 3, 0], [4, 0, 0], [0, 4.0, 0]])  # right: 0, 1 and 2
    middle = np.array([[5, 0, 0], [9, 0, 0], [0, 3, 0], [4, 0, 0], [0, 0, 4.0]])  # right: 0, 1, 2 and 4
    top = np.array([[5, 0, 0], [9, 0, 0], [3, 0, 0], [0, 4, 0], [0, 0, 4.0]])  # right: 0, 1, 3 and 4
    images = np.broadcast_to(np.arange(5, dtype=np.uint8)[:, None, None, None], (5, 4, 4, 1))
    figure = gallery.easy_and_hard(
        Evaluation.of([bottom, middle, top], labels, Objective((1.0,) * 3)), ArraySplit(images, labels), "abc"
    )
    left, right = figure.subfigs
    assert shown(left) == [1, 0, 2]  # by class, the surest first
    assert shown(right) == [3]
    assert right.axes[0].get_xlabel() == "b\nnot a"


def test_figure_1_takes_the_classes_in_turn():
    labels = np.arange(300) % 10
    z = 5.0 * np.eye(10)[labels]
    z[labels == 4] *= 2  # all of these are surer than any other
    images = np.broadcast_to(labels.astype(np.uint8)[:, None, None, None], (300, 4, 4, 1))
    evaluation, split = Evaluation.of([z, z], labels, Objective((1.0, 1.0))), ArraySplit(images, labels)
    left, _ = gallery.easy_and_hard(evaluation, split, "0123456789").subfigs
    assert shown(left) == sorted([*range(10)] * 2)


def test_figure_1_says_so_where_there_are_no_such_images():
    z = 5.0 * np.eye(3)[[0, 1, 2]]
    split = ArraySplit(np.zeros((3, 4, 4, 3), np.uint8), np.arange(3))
    figure = gallery.easy_and_hard(Evaluation.of([z, z], np.arange(3), Objective((1.0, 1.0))), split, "abc")
    assert "none of the test images" in [text.get_text() for text in figure.subfigs[1].texts]


@pytest.fixture
def one_row(monkeypatch):
    """Halves that are drawn quickly."""
    monkeypatch.setattr(gallery, "ROWS", 1)


def answers(*answers, K=3):
    """Logits of a classifier that gives these answers, with a probability of 90 %."""
    return np.log(0.9 * np.eye(K)[list(answers)] + 0.1 / (K - 1) * (1 - np.eye(K)[list(answers)]))


def drawn(logits, labels, names="abc", C=1):
    images = np.broadcast_to(np.arange(len(labels), dtype=np.uint8)[:, None, None, None], (len(labels), 4, 4, C))
    evaluation = Evaluation.of(logits, np.array(labels), Objective((1.0,) * len(logits)))
    return gallery.easy_and_hard(evaluation, ArraySplit(images, np.array(labels)), names)


def captions(half):
    return [axes.get_xlabel() for axes in half.axes if axes.images]


def title(half):
    return half.get_suptitle()


def test_of_several_classifiers_the_captions_tell_the_bottoms_probability_and_its_mistake(one_row):
    left, right = drawn([answers(0, 1, 0), answers(0, 1, 2)], [0, 1, 2]).subfigs
    assert (title(left), title(right)) == ("the bottom classifier is right", "only the top classifier is right")
    assert captions(left) == ["a\n90 %", "b\n90 %"]
    assert captions(right) == ["c\nnot a"]


def test_of_one_classifier_the_halves_are_what_it_has_right_and_wrong(one_row):
    left, right = drawn([answers(0, 1, 0)], [0, 1, 2]).subfigs
    assert (title(left), title(right)) == ("right, and most confident", "wrong, and most confident")
    assert (shown(left), shown(right)) == ([0, 1], [2])
    assert captions(right) == ["c\nnot a"]


def test_what_both_of_two_classifiers_have_wrong_is_in_neither_half():
    left, right = drawn([answers(0, 0, 0), answers(0, 1, 0)], [0, 1, 2]).subfigs
    assert (shown(left), shown(right)) == ([0], [1])


def test_the_hard_images_are_those_of_which_the_top_classifier_is_surest():
    bottom, top = answers(*[0] * 30), answers(*[1] * 30)
    top[7] *= 2
    _, right = drawn([bottom, top], [1] * 30).subfigs
    assert shown(right)[0] == 7
    assert len(shown(right)) == gallery.ROWS * gallery.COLUMNS


def test_of_equally_sure_images_the_first_of_each_class_are_shown():
    left, _ = drawn([answers(*[0, 1, 2] * 20)], [0, 1, 2] * 20).subfigs
    assert shown(left) == [*range(0, 20, 3), *range(1, 20, 3), *range(2, 20, 3)]


def test_a_long_name_has_a_line_of_its_own(one_row):
    for name, caption in (("orchid", "c\nnot orchid"), ("orchids", "c\nnot\norchids")):
        _, right = drawn([answers(0)], [2], (name, "b", "c")).subfigs
        assert captions(right) == [caption]


def test_pictures_are_shown_as_they_are_without_marks_or_empty_frames(one_row):
    grey, colour = (drawn([answers(0, 1, 0)], [0, 1, 2], C=C).subfigs[0] for C in (1, 3))
    (image,) = grey.axes[1].images
    assert image.get_clim() == (0, 255)
    assert image.cmap(0)[:3] == (0, 0, 0)
    assert image.cmap(255)[:3] == (1, 1, 1)
    assert colour.axes[1].images[0].get_array().shape == (4, 4, 3)
    for half in (grey, colour):
        assert not any(len(ticks) for axes in half.axes[:2] for ticks in (axes.get_xticks(), axes.get_yticks()))
        assert [axes.axison for axes in half.axes] == [True] * 2 + [False] * 3


def test_the_halves_are_side_by_side_and_of_the_same_size_with_a_gap(one_row):
    figure = drawn([answers(0, 1, 2)], [0, 1, 2])
    figure.draw_without_rendering()
    left, right = figure.subfigs
    assert left.bbox.x1 < right.bbox.x0
    assert left.bbox.width == pytest.approx(right.bbox.width)
    (nothing,) = (text for text in right.texts if text.get_text() == "none of the test images")
    x, y = nothing.get_window_extent().get_points().mean(axis=0)
    middle = right.bbox.get_points().mean(axis=0)
    assert abs(x - middle[0]) < 5
    assert abs(y - middle[1]) < 10


def test_no_caption_lies_on_a_picture():
    figure = drawn([answers(*[0] * 40)], [0] * 20 + [1] * 20)
    figure.draw_without_rendering()
    for half in figure.subfigs:
        frames = [axes.get_window_extent() for axes in half.axes]
        texts = [axes.xaxis.label.get_window_extent() for axes in half.axes]
        assert not any(text.overlaps(frame) for text in texts for frame in frames)
