"""The report of a run: one page that explains the result to a reader who does not know the method."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from cldl.reporting import classes, figures, gallery, poster
from cldl.reporting.difficulty import in_turn, shares_by_difficulty
from cldl.reporting.html import table
from cldl.reporting.page import Section, write_page
from cldl.reporting.summary import number
from cldl.training.evaluation import Evaluation
from cldl.training.seen import Seen
from data.dataset import Dataset

SURE = 0.9

METHOD = """
The network is a stack of blocks of layers, and it has {M} classifiers: one on top of each of {M} blocks, from the bottom
(few layers, simple features) to the top (all layers). They are trained together. Each classifier's loss on an image is
the usual cross-entropy, multiplied by a factor T that says how badly the <em>other</em> classifiers do on that image: T is
near 1 where all of them are wrong, and near 0 where one of them is certain and right. So a classifier need not learn what
another already knows. The <em>joint prediction</em> ("fused" in the tables) is the class for which this loss, summed over
the classifiers, is smallest. This is Collaborative Layer-wise Discriminative Learning (CLDL) by Jin, Chen,
Dong, Feng and Yan, 2016."""

SHARE = """
In this run T scales {rest:.0%} of each loss only, and leaves {share:.0%} as it is, so that every classifier goes on learning: an
option of this project, which the paper does not have."""

DEEP = """
The network is a stack of blocks of layers, and it has {M} classifiers: one on top, and {companions} on lower blocks. Each
has a loss of its own, and training minimises their sum, so that the lower layers are supervised directly. The companions
serve the training only, and may be dropped before its end; the top classifier alone makes the prediction. This is deep
supervision (DSN: Lee, Xie, Gallagher, Zhang and Tu, 2015), with which networks trained by Collaborative Layer-wise
Discriminative Learning (CLDL: Jin, Chen, Dong, Feng and Yan, 2016) are compared."""

PLAIN = """
The network is a stack of blocks of layers with one classifier on top, trained with the usual cross-entropy. It is the
baseline for Collaborative Layer-wise Discriminative Learning (CLDL: Jin, Chen, Dong, Feng and Yan, 2016), whose networks
have classifiers on lower blocks too."""


def write_report(
    folder: Path,
    metrics: list[dict],
    evaluation: Evaluation,
    dataset: Dataset,
    config: dict,
    others: Sequence[dict] = (),
) -> Path:
    """Write the figures and the page of a run into `folder`/report; the path of the page.

    metrics    -- the lines of metrics.jsonl, of the finished epochs; there may be none
    evaluation -- the network on the test images of `dataset`
    config     -- that of the run
    others     -- the lines of evaluations.jsonl, of tests that saw the images in other ways

    Raises:    UserError when the files cannot be written.
    """
    published = poster.errors(dataset.name, config["recipe"]["data"]["augment"])
    sections = _sections(metrics, evaluation, dataset, published)
    head = [_head(evaluation, dataset, config, published), *([_others(others)] if others else [])]
    return write_page(folder / "report" / "index.html", config["recipe"]["name"], head, sections, [_settings(config)])


def _sections(
    metrics: list[dict], evaluation: Evaluation, dataset: Dataset, published: dict[str, float]
) -> list[Section]:
    """File name, title, figure and caption of each section; those that need several classifiers are left out for one."""
    several, is_ensemble, names = evaluation.classifiers > 1, evaluation.objective.is_ensemble, dataset.class_names
    sections = []
    if metrics:
        caption = """
The share of images that {who}, after each epoch (one pass over the training images). Lower is better; the scale is
logarithmic. Left: test images, which the network is never trained on. Right: training images, counted during training, with
dropout on, so this error can be the larger one.{poster}""".format(
            who="each classifier by itself gets wrong, and the share that their joint prediction gets wrong"
            if is_ensemble
            else "each classifier gets wrong; the prediction is the top one's"
            if several
            else "the network gets wrong",
            poster=" Dotted: what the poster reports." if published else "",
        )
        curves = figures.learning_curves(metrics, published, fused=is_ensemble)
        sections.append(("learning_curves", "How the error falls", curves, caption))
    if metrics and is_ensemble:
        caption = """
The mean of T over the test images: the factor by which the other classifiers scale this classifier's loss. Where a line
falls, the others have learned to classify more of the images, and this classifier's gradients shrink. A classifier whose line
falls early may stay poor by itself, because the joint prediction does not need it. The scale is logarithmic."""
        sections.append(("companions", "The companions' weight T on each loss", figures.companions(metrics), caption))
        caption = """
The classifier that gives the predicted class the highest probability decides it. The bars show, after each epoch, the share
of the test images that each classifier decides."""
        sections.append(("shares", "Which classifier decides", figures.shares(metrics), caption))
    if is_ensemble:
        shares = ", ".join(f"classifier {m}: {share:.1f} %" for m, share in evaluation.shares.items())
        caption = f"""
The same for the present network, class by class: some classes need more layers than others. Over all classes: {shares}."""
        bars = classes.shares_by_class(evaluation, names)
        sections.append(("shares_by_class", "Which classifier decides which class", bars, caption))
        shares = ", ".join(f"classifier {m}: {share:.1f} %" for m, share in evaluation.right_shares.items())
        caption = f"""
The test images, from the tenth to whose right class the classifiers give the highest probability, on average, to the tenth
with the lowest. A colour is the share that a classifier decides, and rightly; over all images: {shares}. Were the labour
divided by difficulty, the bottom classifier's colour would fill the left, and the top one's the right. Below: the mean of T,
the share of each classifier's loss that the others leave to it. {in_turn(evaluation)}"""
        bars = shares_by_difficulty(evaluation)
        sections.append(("shares_by_difficulty", "Which classifier decides how hard an image", bars, caption))
    pictures = gallery.easy_and_hard(evaluation, dataset.test, names)
    sections.append(("easy_and_hard", "Easy and hard images", pictures, _easy_and_hard(evaluation)))
    confusion = classes.confusion(evaluation, names)
    sections.append(("confusion", "Confusion matrix", confusion, _mistakes(evaluation, names)))
    return sections


def _head(evaluation: Evaluation, dataset: Dataset, config: dict, published: dict[str, float]) -> str:
    """The title, the result beside the poster's, and what the method is."""
    N, M = len(evaluation.labels), evaluation.classifiers
    wrong = (
        f"{np.count_nonzero(evaluation.predictions != evaluation.labels):,} wrong ({evaluation.errors['fused']:.2f} %)"
    )
    is_ensemble = evaluation.objective.is_ensemble
    who = "the network's classifiers together get" if is_ensemble else "the network gets"
    share = evaluation.objective.unweighted_share
    unweighted = SHARE.format(share=share, rest=1 - share) if share else ""
    method = (
        METHOD.format(M=M) + unweighted
        if is_ensemble
        else DEEP.format(M=M, companions=number(M - 1, "companion"))
        if M > 1
        else PLAIN
    )
    theirs = f"<p>Test errors in % {poster.listed(published)}. Each is a network of its own.</p>" if published else ""
    return f"""<h1>{escape(config["recipe"]["name"])}</h1>
<p>{escape(config["recipe"]["summary"])}</p>
<p>Of the {N:,} test images of {escape(dataset.name)}, {who} <strong>{wrong}</strong>.</p>
{table(("this run", "test error in %"), poster.rows(evaluation.errors, is_ensemble), numbers=(1,))}
{theirs}
<p>{method}</p>"""


def _others(lines: Sequence[dict]) -> str:
    """Tests that saw the images in other ways: a row each, a column for each classifier."""
    names = list(lines[0]["test_error"])
    rows = []
    for line in lines:
        for key, what in (("test_error", ""), ("test_top5_error", " (top-5)")):
            if key in line:
                rows.append((f"{Seen.of_line(line)}{what}", *(f"{line[key][name]:.2f}" for name in names)))
    head = ("the images are seen", *(f"classifier {name}" if name != "fused" else name for name in names))
    return "<p>Errors in % where predictions are averaged over several views of each image:</p>\n" + table(
        head, rows, numbers=range(1, len(head))
    )


def _easy_and_hard(evaluation: Evaluation) -> str:
    """What the galleries show."""
    if evaluation.classifiers == 1:
        return """
Left: images that the network gets right, with the probability of the right class. Right: images that it gets wrong, with
the right class and the predicted one. Shown are the most confident ones, from as many classes as possible."""
    easy, hard = gallery.chosen(evaluation)
    sure = easy & (evaluation.confidences[0] >= SURE)
    return f"""
Left: images that the bottom classifier gets right by itself ({easy.sum():,} of {len(evaluation.labels):,}, {sure.sum():,} of them
with a probability of {SURE:.0%} or more), with the probability of the right class. Right: images that <em>only</em> the top
classifier gets right ({hard.sum():,}), with the right class and the bottom classifier's prediction. Shown are the most confident
ones, from as many classes as possible. This is the poster's first figure: the bottom classifier handles simple images, the
top one difficult ones."""


def _mistakes(evaluation: Evaluation, names: Sequence[str]) -> str:
    """What the confusion matrix shows, and its most frequent mistakes in words."""
    caption = """
Rows are the true classes, columns the predictions{fused}. The grey diagonal holds the correct ones; every other cell is a
mistake, the darker the more frequent.""".format(
        fused=" of all classifiers jointly" if evaluation.objective.is_ensemble else ""
    )
    counts = classes.confusions(evaluation, len(names))
    np.fill_diagonal(counts, 0)
    mistakes = []
    for cell in np.argsort(-counts, axis=None, kind="stable")[:5]:
        i, j = divmod(int(cell), len(names))
        if counts[i, j] > 1:
            mistakes.append(f"{escape(names[i])} predicted as {escape(names[j])} ({counts[i, j]:,} times)")
    return f"{caption} Most frequent: {', '.join(mistakes)}." if mistakes else caption


def _settings(config: dict) -> str:
    """All that is needed to repeat the run."""
    sources, parts = config["sources"], [(s, part) for s, part in config["recipe"].items() if isinstance(part, dict)]
    values = {s if name == "type" else f"{s}.{name}": value for s, part in parts for name, value in part.items()}
    recipe = [(name, _text(value), sources.get(name, "")) for name, value in values.items()]
    rest = [(name, _text(value)) for name, value in config.items() if name not in ("recipe", "sources")]
    return f"""<h2>Settings</h2>
<p>The recipe's values, and the source of each.</p>
<div class="settings">{table(("setting", "value", "source"), recipe)}
<p>The run and its machine.</p>
{table(("setting", "value"), rest)}</div>"""


def _text(value: object) -> str:
    """A value of the configuration, for a reader."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    if value is None or value == "":
        return "-"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
