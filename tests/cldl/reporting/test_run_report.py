import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from cldl.objective import Objective
from cldl.reporting import classes, figures, gallery
from cldl.reporting.poster import errors, listed, rows
from cldl.reporting.run_report import write_report
from cldl.training.evaluation import Evaluation
from data.dataset import Dataset
from engine.errors import UserError
from tests.cldl import tiny

CONFIG = {
    "format": 2,
    "recipe": {
        "name": "mnist_nin",
        "summary": "a <b>bold</b> plan",
        "data": {"type": "images", "augment": False},
        "loss": {"type": "cldl", "weights": [1.0, 0.5], "exponent": None},
    },
    "sources": {"loss.weights": "inferred & <i>open</i>"},
    "seed": 7,
    "limit_test": None,
    "versions": {"python": "3.12.1"},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for reports that are quickly drawn: coarse, and with few pictures."""
    monkeypatch.setattr("cldl.reporting.page.DPI", 30)
    monkeypatch.setattr(gallery, "ROWS", 1)
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


class Page(HTMLParser):
    """The page, read: its text, its pictures, and whether every tag that was opened is closed."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, path):
        super().__init__()
        self.text, self.pictures, self.titles, self.open = "", [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        assert not {"href", "onload", "onclick"} & dict(attributes).keys()
        if tag == "img":
            self.pictures.append(dict(attributes)["src"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)
        self.text += data


@pytest.mark.parametrize(
    ("M", "K", "C", "epochs", "count"),
    [(3, 10, 1, 2, 7), (1, 10, 1, 1, 3), (2, 10, 3, 0, 4), (3, 100, 3, 1, 7), (5, 10, 1, 150, 7)],
    ids=["three classifiers", "one classifier, one epoch", "no epoch", "100 classes in colour", "many epochs"],
)
def test_the_page_holds_all_its_figures_and_needs_no_other_file(folder, M, K, C, epochs, count):
    path = write_report(folder, tiny.metrics(epochs, M), evaluation(M, K), dataset(K, C=C), CONFIG)
    page = Page(path)
    assert path == folder / "report" / "index.html"
    assert page.open == []
    assert len(page.pictures) == len(page.titles) - 1 == count
    beside_it = {file.read_bytes() for file in path.parent.glob("*.png")}
    for source in page.pictures:
        data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
        assert data in beside_it
        Image.open(io.BytesIO(data)).load()
    figure = classes.confusion(evaluation(M, K), "abc"[:1] * K)
    assert Image.open(path.parent / "confusion.png").width == round(30 * figure.get_figwidth())
    assert {file.name for file in path.parent.iterdir()} - {"index.html"} == {f.name for f in path.parent.glob("*.png")}


def test_the_page_gives_the_result_and_the_posters(folder, undrawn):
    seen = evaluation()
    wrong = int((seen.predictions != seen.labels).sum())
    page = Page(write_report(folder, tiny.metrics(1), seen, dataset(), CONFIG))
    assert 0 < wrong < 200
    assert f"{wrong} wrong ({wrong / 2:.2f} %)" in page.text
    for name, error in errors("MNIST").items():
        assert f"{name} {error:.2f}" in page.text


def test_an_augmented_run_has_the_posters_augmented_errors(folder, undrawn):
    config = CONFIG | {"recipe": CONFIG["recipe"] | {"data": {"augment": True}}}
    seen, data = evaluation(M=1, K=100), dataset(100, C=3, name="CIFAR-100")
    text = Page(write_report(folder, [], seen, data, config)).text
    assert "29.05" in text
    assert "30.40" not in text
    assert "30.40" in Page(write_report(folder, [], seen, data, CONFIG)).text


def test_texts_of_the_configuration_and_of_the_data_cannot_break_the_page(folder, undrawn):
    text = write_report(folder, [], evaluation(M=1, K=12, sure=0), dataset(12), CONFIG).read_text()
    assert "a &lt;b&gt;bold&lt;/b&gt; plan" in text
    assert "inferred &amp; &lt;i&gt;open&lt;/i&gt;" in text
    assert "a class &lt;" in text
    assert not re.search(r"<b>|<i>|class <\d", text)


def small_report(folder, seed):
    return write_report(folder, [], evaluation(M=1), dataset(), CONFIG | {"seed": seed})


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
    page = Page(write_report(folder, tiny.metrics(2, 4), seen, dataset(), CONFIG))
    assert "3 companions" in page.text
    assert "the network gets" in page.text
    for word in ("asked together", "fused", "mean of T"):
        assert word not in page.text
    assert page.titles == ["How the error falls", "Easy and hard images", "Confusion matrix", "Settings"]
