"""Figure 1 of the poster: images that the bottom classifier knows, beside those that only the top one gets right."""

import base64
import io
import re
from html import unescape

import numpy as np
import pytest
from PIL import Image

from cldl.objective import Objective
from cldl.reporting import gallery
from cldl.training.evaluation import Evaluation
from data.dataset import ArraySplit

ITEM = re.compile(r'<li><img src="data:image/png;base64,(.*?)" alt="(.*?)" title="(.*?)">(.*?)</li>')


def answers(*answers, K=3, sure=0.95):
    """Logits of a classifier that gives these answers, with this probability."""
    right = np.eye(K)[list(answers)]
    return np.log(sure * right + (1 - sure) / (K - 1) * (1 - right))


def shown(logits, labels, names="abc", C=1):
    """Both halves, {heading: [(first pixel, caption, what it tells)]}; image i is of brightness i."""
    images = np.broadcast_to(np.arange(len(labels), dtype=np.uint8)[:, None, None, None], (len(labels), 4, 4, C))
    evaluation = Evaluation.of(logits, np.array(labels), Objective((1.0,) * len(logits)))
    text = gallery.easy_and_hard(evaluation, ArraySplit(images, np.array(labels)), names)
    halves = {}
    for part in text.split("<h3>")[1:]:
        heading, _, rest = part.partition("</h3>")
        halves[heading] = [
            (pixel(data), unescape(caption).replace("<br>", " "), unescape(title))
            for data, _, title, caption in ITEM.findall(rest)
        ]
        assert bool(halves[heading]) != (gallery.NONE in rest)
    return halves


def pixel(data):
    return int(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).ravel()[0])


def pixels(half):
    return [first for first, _, _ in half]


def captions(half):
    return [caption for _, caption, _ in half]


def test_it_shows_what_the_bottom_knows_beside_what_only_the_top_has_right():
    labels = np.array([0, 0, 1, 1, 2])
    bottom = np.array([[5, 0, 0], [9, 0, 0], [0, 4, 0], [4, 0, 0], [0, 4.0, 0]])  # right: 0, 1 and 2
    middle = np.array([[5, 0, 0], [9, 0, 0], [0, 3, 0], [4, 0, 0], [0, 0, 4.0]])  # right: 0, 1, 2 and 4
    top = np.array([[5, 0, 0], [9, 0, 0], [3, 0, 0], [0, 4, 0], [0, 0, 4.0]])  # right: 0, 1, 3 and 4
    easy, hard = shown([bottom, middle, top], labels).values()
    assert pixels(easy) == [1, 0, 2]  # by class, the surest first
    assert captions(easy)[:2] == ["a 100 %", "a 99 %"]
    assert pixels(hard) == [3]
    assert captions(hard) == ["b not a"]


def test_what_the_bottom_classifier_has_right_without_being_sure_it_does_not_know():
    halves = shown([answers(0, 1, sure=0.89), answers(0, 1)], [0, 1])
    assert halves == {"The bottom classifier knows": [], "Only the top classifier gets right": []}


def test_an_image_tells_what_every_classifier_says_of_it():
    ((_, _, title),) = shown([answers(0), answers(1)], [1])["Only the top classifier gets right"]
    assert title == "b, test image 0; classifier 1 (bottom): a, 95.0 %; classifier 2 (top): b, 95.0 %"


def test_it_takes_the_classes_in_turn():
    labels = np.arange(250) % 10
    z = 6.0 * np.eye(10)[labels]
    z[labels == 4] *= 2  # all of these are surer than any other
    easy, _ = shown([z, z], labels, "0123456789").values()
    assert captions(easy) == [f"{k} {100 if k == 4 else 98} %" for k in range(10) for _ in range(2)]


def test_of_one_classifier_the_halves_are_what_it_has_right_and_wrong():
    halves = shown([answers(0, 1, 0)], [0, 1, 2])
    assert list(halves) == ["Right, and most confident", "Wrong, and most confident"]
    right, wrong = halves.values()
    assert (pixels(right), pixels(wrong)) == ([0, 1], [2])
    assert captions(wrong) == ["c not a"]


def test_what_both_of_two_classifiers_have_wrong_is_in_neither_half():
    easy, hard = shown([answers(0, 0, 0), answers(0, 1, 0)], [0, 1, 2]).values()
    assert (pixels(easy), pixels(hard)) == ([0], [1])


def test_the_hard_images_are_those_of_which_the_top_classifier_is_surest():
    bottom, top = answers(*[0] * 30), answers(*[1] * 30)
    top[7] *= 2
    _, hard = shown([bottom, top], [1] * 30).values()
    assert pixels(hard)[0] == 7
    assert len(hard) == gallery.SHOWN


def test_of_equally_sure_images_the_first_of_each_class_are_shown():
    easy, _ = shown([answers(*[0, 1, 2] * 20)], [0, 1, 2] * 20).values()
    assert pixels(easy) == [*range(0, 20, 3), *range(1, 20, 3), *range(2, 20, 3)]


def test_names_cannot_break_the_page():
    evaluation = Evaluation.of([answers(0)], np.array([2]), Objective((1.0,)))
    split = ArraySplit(np.zeros((1, 4, 4, 1), np.uint8), np.array([2]))
    text = gallery.easy_and_hard(evaluation, split, ('<a "quoted">', "b", "<c>"))
    assert "&lt;c&gt;<br>not &lt;a &quot;quoted&quot;&gt;</li>" in text


@pytest.mark.parametrize(("shape", "size", "mode"), [((28, 28, 1), (28, 28), "L"), ((200, 100, 3), (48, 96), "RGB")])
def test_a_picture_is_shown_as_it_is_but_for_its_size(shape, size, mode):
    data = gallery.picture(np.full(shape, 100, np.uint8)).removeprefix("data:image/png;base64,")
    drawn = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (drawn.size, drawn.mode) == (size, mode)
    assert set(np.unique(np.asarray(drawn))) == {100}
