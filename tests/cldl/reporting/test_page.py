"""What the report's page says, sentence by sentence."""

import re
from html import unescape

import numpy as np
import pytest

from cldl.objective import Objective
from cldl.recipes.families.nin import MNIST_NIN
from cldl.reporting.run_report import write_report
from cldl.reporting.settings import settings
from cldl.training.evaluation import Evaluation
from data.dataset import Dataset
from tests.cldl import tiny

pytestmark = pytest.mark.usefixtures("undrawn")


def page(folder, M, loss="cldl", epochs=2, K=10, name="MNIST", taken=(), planned=None, **options):
    """The page of a run with 3 K test images; two of class 0 are taken for class 1: one by all, the other by all but the top.

    taken -- other pairs of classes: two images of the first are taken for the second by all
    Of several classifiers the bottom one is less sure of one image.
    """
    labels = np.arange(3 * K) % K
    z = [np.log(0.95 * np.eye(K)[labels] + 0.05 / K) for _ in range(M)]
    mistaken = np.log(0.95 * np.eye(K)[1] + 0.05 / K)
    for logits in z:
        logits[[0, K]] = mistaken
        for i, j in taken:
            logits[[i, K + i]] = np.log(0.95 * np.eye(K)[j] + 0.05 / K)
    if M > 1:
        z[0][5] /= 2
        z[-1][K] = 2 * z[-1][2 * K]
    images = np.zeros((3 * K, 4, 4, 1), np.uint8)
    names = tuple(f"<{k}>" for k in range(K))
    data = Dataset.from_arrays(name, images, labels, images, labels, names)
    objective = Objective((1.0,) * M, loss=loss, **options)
    weights = {} if loss == "cldl" else {"loss": loss, "loss.weights": (1.0,) * M}
    recipe = MNIST_NIN.changed(classifiers=M, epochs=planned or max(epochs, 1), summary="a plan", **weights)
    run = tiny.opened(folder, recipe, 7)
    return write_report(run, tiny.metrics(epochs, M), Evaluation.of(z, labels, objective), data).read_text()


def titles(text):
    return [unescape(title) for title in re.findall(r"<h2>(.*?)</h2>", text)]


def words(text):
    """The text without its tags, line breaks and pictures."""
    text = re.sub(r"</?(em|strong)>", "", text)
    return " ".join(unescape(re.sub(r"<style>.*?</style>|<[^>]*>", " ", text, flags=re.DOTALL)).split())


TRAINED, CURVES, LOSSES = "What was trained", "How the error falls", "Loss and learning rate"
IMAGES, MATRIX, RUN, SETTINGS = "Easy and hard images", "Confusion matrix", "The run", "Settings"
COMPANIONS = "The companions' weight T on each loss"
SHARES, CLASSES = "Which classifier decides", "Which classifier decides which class"
DIFFICULTY = "Which classifier decides how hard an image"
FILES = {
    **{TRAINED: "network", CURVES: "learning_curves", LOSSES: "losses", COMPANIONS: "companions", SHARES: "shares"},
    **{CLASSES: "shares_by_class", DIFFICULTY: "shares_by_difficulty", MATRIX: "confusion"},
}


@pytest.mark.parametrize(
    ("M", "loss", "epochs", "expected"),
    [
        (3, "cldl", 2, [TRAINED, CURVES, LOSSES, COMPANIONS, SHARES, CLASSES, DIFFICULTY, IMAGES, MATRIX, RUN]),
        (3, "cldl", 1, [TRAINED, CURVES, LOSSES, SHARES, CLASSES, DIFFICULTY, IMAGES, MATRIX, RUN]),
        (3, "cldl", 0, [TRAINED, CLASSES, DIFFICULTY, IMAGES, MATRIX, RUN]),
        (3, "softmax", 2, [TRAINED, CURVES, LOSSES, IMAGES, MATRIX, RUN]),
        (1, "cldl", 2, [TRAINED, CURVES, LOSSES, IMAGES, MATRIX, RUN]),
    ],
    ids=["CLDL", "one epoch", "no epoch", "deep supervision", "one classifier"],
)
def test_the_page_has_a_section_for_each_thing_that_there_is_to_see(tmp_path, M, loss, epochs, expected):
    text = page(tmp_path, M, loss, epochs)
    assert titles(text) == [*expected, SETTINGS]
    drawn = {FILES[title] for title in expected if title in FILES} - ({"learning_curves"} if epochs == 1 else set())
    assert len(re.findall(r'<svg aria-label="[^"]+"', text)) == len(drawn)
    assert {path.stem for path in (tmp_path / "report").glob("*.png")} == drawn
    assert ("There is one epoch so far, and no curve yet." in text) == (epochs == 1)


SENTENCES = {
    (3, "cldl"): [
        "mnist_nin a plan; 2 epochs. Of the 30 test images of MNIST, the network's classifiers together get 1 wrong (3.33 %), "
        "with a standard error of 3.28.",
        "this run test error in % classifier 1 (bottom) 6.67 classifier 2",
        "Test errors in % on the poster: CLDL 0.28, DSN 0.39, NIN 0.42, Maxout 0.47. Each is a network of its own.",
        "all together (fused) 3.33",
        "What the numbers say Neither is ahead: all classifiers together get 3.33 % wrong,",
        "What would be next This was a trial of 2 of the recipe's 12 epochs. The whole recipe (about 21 min on two cores): "
        "python -m cldl.train mnist_nin --seed 7 --threads 1",
        "and it has 3 classifiers: one on top of each of 3 blocks,",
        "the classifiers, is smallest. This is Collaborative Layer-wise Discriminative Learning (CLDL) by Jin, Chen, "
        "Dong, Feng and Yan, 2016.",
        "its weight, the exponent g = 0.5, and N the number of images.",
        "Read on in the project: docs/derivation.md : the gradient, derived and proven",
        "The share of images that each classifier by itself gets wrong, and the share that their joint prediction gets wrong",
        "so this error can be the larger one. Dotted: what the poster reports. The numbers, epoch by epoch epoch learning rate",
        "The mean of T over the test images:",
        "the joint prediction does not need it. The scale is logarithmic.",
        "The classifier that gives the predicted class the highest probability decides it: here the share",
        "The same for the present network, class by class: some classes need more layers than others. "
        "Over all classes: classifier 1: 93.3 %, classifier 2: 3.3 %, classifier 3: 3.3 %.",
        "A colour is the share that a classifier decides, and rightly; over all images: "
        "classifier 1: 90.0 %, classifier 2: 3.3 %, classifier 3: 3.3 %.",
        "right by itself, with a probability of 90% or more. There are 27 of them among 30; it gets 28 right in all.",
        "Then images that only the top one gets right (1), with the right class",
        "columns the predictions of all classifiers jointly. The grey diagonal holds the correct ones;",
        "The run epochs 2 of 2 training 2 min 2 s, 1 min 1 s an epoch, without the tests speed 1,234 images a second "
        "network 467,294 parameters, 50,817,312 multiply-adds an image",
        "python -m cldl.train mnist_nin --epochs 2 --seed 7 --threads 1",
    ],
    (4, "softmax"): [
        "the network gets 1 wrong (3.33 %)",
        "and it has 4 classifiers: one on top, and 3 companions on lower blocks.",
        "The share of images that each classifier gets wrong; the prediction is the top one's, after each epoch",
        "columns the predictions. The grey diagonal",
    ],
    (2, "softmax"): [
        "and it has 2 classifiers: one on top, and 1 companion on lower blocks.",
        "The share of images that each classifier gets wrong; the prediction is the top one's, after each epoch",
    ],
    (1, "cldl"): [
        "the network gets 2 wrong (6.67 %)",
        "a stack of blocks of layers with one classifier on top, trained with the usual cross-entropy.",
        "The share of images that the network gets wrong, after each epoch",
        "the darker the more frequent. Most frequent: <0> predicted as <1> (2 times).",
        "First images that the network gets right, with the probability of the right class, then images that it gets wrong,",
    ],
}


@pytest.mark.parametrize(("M", "loss"), SENTENCES, ids=["CLDL", "deep supervision", "one companion", "one classifier"])
def test_the_page_says_what_each_figure_shows(tmp_path, M, loss):
    text = words(page(tmp_path, M, loss))
    for sentence in SENTENCES[M, loss]:
        assert sentence in text


def test_a_data_set_that_is_not_on_the_poster_has_no_poster_on_the_page(tmp_path):
    text = page(tmp_path, 1, name="squares")
    assert "Dotted" not in text
    assert "so this error can be the larger one. The numbers," in words(text)
    assert '<tr><th>this run</th><th class="number">test error in %</th></tr>' in text
    assert "on the poster" not in text


def test_the_settings_are_all_that_the_run_was_made_with():
    config = {
        "recipe": {
            "name": "mine",
            "data": {"type": "images", "augment": False},
            "loss": {"type": "cldl", "weights": [1.0, 0.5], "exponent": None},
        },
        "sources": {"data": "a page", "loss.weights": "inferred"},
        **{"seed": 7, "resumed": True, "note": "", "versions": {"python": "3.12.1", "numpy": "2.3"}},
    }
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", settings(config))]
    assert [row for row in rows if row] == [
        ["data", "images", "a page"],
        ["data.augment", "no", ""],
        ["loss", "cldl", ""],
        ["loss.weights", "1.0, 0.5", "inferred"],
        ["loss.exponent", "-", ""],
        ["seed", "7"],
        ["resumed", "yes"],
        ["note", "-"],
        ["versions", "python 3.12.1, numpy 2.3"],
    ]


def test_the_settings_are_folded_away(tmp_path):
    text = page(tmp_path, 1)
    assert re.search(r"<h2>Settings</h2>\n<details><summary>.*</summary>.*<td>model.dropout</td>", text, re.DOTALL)


def test_a_run_that_was_stopped_says_after_how_many_epochs_and_how_to_go_on(tmp_path):
    text = words(page(tmp_path, 3, epochs=2, planned=12))
    assert "a plan; 2 of 12 epochs." in text
    assert "The run was stopped after 2 of 12 epochs: these are numbers on the way, not its result." in text
    assert f"Finish the run: python -m cldl.train --resume --run {tmp_path}" in text
    assert "stopped" not in words(page(tmp_path, 3, epochs=2))


def test_the_five_most_frequent_mistakes_are_named_in_the_order_of_the_classes(tmp_path):
    text = words(page(tmp_path, 1, taken=[(2, 3), (8, 9), (4, 5), (5, 4), (7, 6)]))
    named = [f"<{i}> predicted as <{j}> (2 times)" for i, j in ((0, 1), (2, 3), (4, 5), (5, 4), (7, 6))]
    assert f"Most frequent: {', '.join(named)}." in text


def test_a_mistake_that_was_made_once_is_not_named(tmp_path):
    assert "Most frequent" not in page(tmp_path, 3)


def test_what_was_changed_of_the_recipe_stands_beside_its_summary(tmp_path):
    assert "mnist_nin a plan; changed: classifiers 2; 2 epochs." in words(page(tmp_path, 2))


def test_the_page_of_a_run_beyond_the_papers_loss_says_so(tmp_path):
    plain, shared = (words(page(tmp_path / str(s), 3, unweighted_share=s)) for s in (0.0, 0.25))
    assert "In this run T scales 75% of each loss only, and leaves 25% as it is" in shared
    assert "In this run" not in plain
