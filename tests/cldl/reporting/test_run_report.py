"""The page of a run as a file: complete, without other files or hosts, never half written, its figures beside it."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from cldl.objective import Objective
from cldl.recipes.families.nin import MNIST_NIN
from cldl.reporting import classes, figures, gallery
from cldl.reporting.poster import errors, listed, rows
from cldl.reporting.run_report import write_report
from cldl.reporting.style import WIDTH
from cldl.training.evaluation import Evaluation
from data.dataset import Dataset
from engine.errors import UserError
from tests.cldl import tiny


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for reports that are quickly drawn: coarse, and with few pictures."""
    monkeypatch.setattr("cldl.reporting.page.DPI", 30)
    monkeypatch.setattr(gallery, "SHOWN", 5)
    return tmp_path


def evaluation(M=3, K=10, N=200, sure=1.0, loss="cldl"):
    """Classifiers that are the surer of the right class the higher they are."""
    rng = np.random.default_rng(3)
    labels = rng.permutation(N) % K
    logits = [rng.normal(size=(N, K)).astype(np.float32) for _ in range(M)]
    for m, z in enumerate(logits, 1):
        z[np.arange(N), labels] += sure * m
    return Evaluation.of(logits, labels, Objective((1.0,) * M, loss=loss))


def dataset(K=10, N=200, C=1, name="MNIST"):
    images = np.random.default_rng(5).integers(0, 256, (N, 8, 8, C), dtype=np.uint8)
    names = tuple(map(str, range(K))) if K <= 10 else tuple(f"a class <{k}>" for k in range(K))
    return Dataset.from_arrays(name, images, np.arange(N) % K, images, np.arange(N) % K, names)


def run(folder, M=3, seed=0, **changes):
    """A run whose folder is given, of MNIST's recipe with M classifiers."""
    changes = {"classifiers": M, "summary": "a <b>bold</b> plan", "epochs": 2} | changes
    return tiny.opened(folder, MNIST_NIN.changed(**changes), seed)


def report(folder, M=3, metrics=(), seen=None, data=None, **values):
    return write_report(run(folder, M, **values), list(metrics), seen or evaluation(M), data or dataset())


class Page(HTMLParser):
    """The page, read: its text, its figures, what it links to, and whether every tag that was opened is closed."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, path):
        super().__init__()
        self.text, self.addresses, self.labels, self.alt, self.titles, self.open = "", [], [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(self.text.split())

    def handle_startendtag(self, tag, attributes):
        self.look_at(tag, dict(attributes))

    def handle_starttag(self, tag, attributes):
        self.look_at(tag, dict(attributes))
        if tag not in self.VOID:
            self.open.append(tag)

    def look_at(self, tag, attributes):
        assert not any(name.startswith("on") for name in attributes)
        assert tag != "script"
        self.addresses += [value for name, value in attributes.items() if name in ("href", "src", "xlink:href")]
        if tag == "svg":
            self.labels.append(attributes["aria-label"])
        if tag == "img":
            self.alt.append(attributes["alt"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)
        self.text += data


@pytest.mark.parametrize(
    ("M", "K", "C", "epochs", "count"),
    [(3, 10, 1, 2, 8), (1, 10, 1, 1, 3), (2, 10, 3, 0, 4), (3, 100, 3, 2, 8), (5, 10, 1, 150, 7)],
    ids=[
        "three classifiers",
        "one classifier, one epoch",
        "no epoch",
        "100 classes in colour",
        "many epochs, no mistake",
    ],
)
def test_the_page_holds_all_its_figures_and_needs_no_other_file(folder, M, K, C, epochs, count):
    path = report(folder, M, tiny.metrics(epochs, M), evaluation(M, K), dataset(K, C=C))
    page = Page(path)
    assert path == folder / "report" / "index.html"
    assert page.open == []
    assert len(page.labels) == count
    assert all(label.strip() for label in (*page.labels, *page.alt))
    for address in page.addresses:
        assert address.startswith(("data:image/png;base64,", "#", "../"))  # "../": the project's docs
    pictures = list(path.parent.glob("*.png"))
    assert len(pictures) == count
    for picture in pictures:
        Image.open(picture).load()
    assert Image.open(path.parent / "network.png").width == round(30 * WIDTH)
    assert {file.name for file in path.parent.iterdir()} - {"index.html"} == {picture.name for picture in pictures}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The text of a page with two classifiers, all of its figures drawn."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("cldl.reporting.page.DPI", 30)
        return report(tmp_path_factory.mktemp("run"), 2, tiny.metrics(2, 2), evaluation(2)).read_text()


def test_a_figure_shows_its_values_where_the_pointer_rests(drawn):
    drawings = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", drawn, re.DOTALL)]
    titles = [[title.text for title in drawing.iter("title")] for drawing in drawings]
    _, curves, losses, companions, shares, by_class, by_difficulty, confusion = titles
    assert {"classifier 1 (bottom), epoch 2: 25", "all together (fused), epoch 1: 16.67"} <= set(curves)
    assert "test images, epoch 2: 0.5" in losses
    assert "classifier 2 (top), epoch 2: 0.4" in companions
    assert "epoch 1: classifier 1 (bottom), 50.0 %" in shares
    assert len(by_class) == 2 * 10
    assert len(by_difficulty) == 2 * 10 + 10 + 2 * 10
    assert all(re.fullmatch(r"\d taken for \d: \d+ times?", title) for title in confusion)


def test_nothing_on_the_page_is_wider_than_a_telephone_unless_it_scrolls_by_itself(drawn):
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in drawn
    assert not re.search(r'<(svg|img)[^>]* width="', drawn)
    assert drawn.count("<table>") == drawn.count('<div class="wide"><table>') > 3


def test_ink_and_paper_are_the_pages_own_in_the_dark_too(drawn):
    assert "prefers-color-scheme: dark" in drawn
    for drawing in re.findall(r"<svg.*?</svg>", drawn, re.DOTALL):
        assert not re.search("#(000000|ffffff)", drawing)


def test_what_an_earlier_report_drew_and_this_one_does_not_is_removed(folder, undrawn):
    report(folder, 3, tiny.metrics(2), evaluation(3))
    assert (folder / "report" / "shares.png").exists()
    lines = tiny.metrics(2)
    for line in lines:
        line["test_share"] = {"1": 0.5, "2": 0.5, "3": 99.0}
    text = Page(report(folder, 3, lines, evaluation(3))).text
    assert "It is classifier 3 (top) throughout, for 99.0 % at least, so there is nothing to draw." in text
    assert not (folder / "report" / "shares.png").exists()


def test_the_page_gives_the_result_and_the_posters(folder, undrawn):
    seen = evaluation()
    wrong = int((seen.predictions != seen.labels).sum())
    page = Page(report(folder, 3, tiny.metrics(1), seen))
    assert 0 < wrong < 200
    assert f"{wrong} wrong ({wrong / 2:.2f} %)" in page.text
    for name, error in errors("MNIST").items():
        assert f"{name} {error:.2f}" in page.text


def test_an_augmented_run_has_the_posters_augmented_errors(folder, undrawn):
    seen, data = evaluation(M=1, K=100), dataset(100, C=3, name="CIFAR-100")
    text = Page(report(folder, 1, [], seen, data, augment=True)).text
    assert "29.05" in text
    assert "30.40" not in text
    assert "30.40" in Page(report(folder, 1, [], seen, data)).text


def test_texts_of_the_configuration_and_of_the_data_cannot_break_the_page(folder, undrawn):
    changed = run(folder, 1)
    changed.config["sources"] = changed.config["sources"] | {"loss.weights": "inferred & <i>open</i>"}
    text = write_report(changed, [], evaluation(M=1, K=12, sure=0), dataset(12)).read_text()
    assert "a &lt;b&gt;bold&lt;/b&gt; plan" in text
    assert "inferred &amp; &lt;i&gt;open&lt;/i&gt;" in text
    assert "a class &lt;" in text
    assert not re.search(r"<b>|<i>|class <\d", text)


def small_report(folder, seed):
    return report(folder, 1, [], evaluation(M=1), seed=seed)


def test_a_new_report_takes_the_place_of_the_old_one(folder, undrawn):
    assert "12345" in Page(small_report(folder, seed=12345)).text
    assert "12345" not in Page(small_report(folder, seed=7)).text


def test_an_interruption_in_drawing_leaves_the_old_report_as_it_was(folder, monkeypatch):
    path = small_report(folder, seed=12345)
    old = {file: file.read_bytes() for file in path.parent.iterdir()}

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(classes, "confusion", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_report(folder, seed=7)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == old


def test_a_figure_that_cannot_be_written_leaves_the_old_page_and_is_told_in_a_sentence(folder):
    path = small_report(folder, seed=12345)
    (path.parent / "confusion.png").unlink()
    (path.parent / "confusion.png").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*confusion\.png"):
        small_report(folder, seed=7)
    assert "12345" in Page(path).text


def test_a_classifier_has_the_same_colour_in_every_figure():
    metrics, seen = tiny.metrics(3), evaluation()
    curves = [
        {line.get_label(): line.get_color() for line in axes.lines[:3]}
        for axes in figures.learning_curves(metrics, {}, fused=True).axes
    ]
    falling = {line.get_label(): line.get_color() for line in figures.companions(metrics).axes[0].lines}
    bars = [
        {part.get_label(): to_hex(part[0].get_facecolor()).upper() for part in figure.axes[0].containers}
        for figure in (figures.shares(metrics), classes.shares_by_class(seen, "0123456789"))
    ]
    assert len(set(falling.values())) == 3
    assert curves + bars == [falling] * 4


def test_the_shares_of_every_class_add_up_to_all_of_it_and_a_class_without_images_has_no_bar():
    seen = evaluation(K=10)
    bars = classes.shares_by_class(seen, [str(k) for k in range(12)]).axes[0].containers
    widths = np.array([[bar.get_width() for bar in part] for part in bars])  # (M, K)
    np.testing.assert_allclose(widths.sum(axis=0), [100] * 10 + [0, 0])
    third = seen.labels == 3
    np.testing.assert_allclose(widths[:, 3], [100 * np.mean(seen.deciding_exits[third] == m) for m in range(3)])


def test_our_errors_are_rows_and_the_posters_a_list_apart():
    assert rows({"1": 1.0, "fused": 1.0}) == [("the classifier", "1.00")]
    assert rows({"1": 2.0, "2": 1.5, "fused": 1.0}) == [
        ("classifier 1 (bottom)", "2.00"),
        ("classifier 2 (top)", "1.50"),
        ("all together (fused)", "1.00"),
    ]
    assert listed({"CLDL": 0.28, "NIN": 0.42}) == "on the poster: CLDL 0.28, NIN 0.42"
    assert listed({}) == ""


@pytest.mark.parametrize("loss", ["softmax", "hinge"])
def test_under_deep_supervision_the_page_speaks_of_companions_and_of_no_fused_answer(folder, loss, undrawn):
    seen = evaluation(M=4, loss=loss)
    values = {"loss": loss, "loss.weights": (1.0,) * 4}
    page = Page(report(folder, 4, tiny.metrics(2, 4), seen, **values))
    assert "3 companions" in page.text
    assert "the network gets" in page.text
    for word in ("asked together", "fused", "mean of T"):
        assert word not in page.text
    assert page.titles == [
        *("What was trained", "How the error falls", "Loss and learning rate", "Easy and hard images"),
        *("Confusion matrix", "The run", "Settings"),
    ]
