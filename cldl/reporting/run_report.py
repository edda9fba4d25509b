"""The page of a run: it explains what came out, to someone who does not know the method.

The page holds its figures and needs no other file; the figures lie beside it too. Everything is drawn before anything is
written, every file replaces its older self in one move, and the page comes last: whatever happens, there is a whole page.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cldl.reporting import figures, poster
from cldl.reporting.html import document, table
from cldl.training.evaluation import Evaluation
from data.dataset import Dataset
from engine.io.files import atomic_write, make_folder

DPI = 180  # of the files
SURE = 0.9
PIXELS = 90  # of the page, to an inch of a figure
WIDTH = 832  # of the page, in its pixels; a wider figure reaches beyond the text

METHOD = """
The network is a stack of blocks of layers, and it has {M} classifiers: one on top of each of {M} blocks, from the bottom
(few layers, simple features) to the top (all layers). They are trained together. Each classifier's loss on an image is
the usual cross-entropy, multiplied by a factor T that says how badly the <em>other</em> classifiers do on that image: T is
1 where they are all lost, and 0 where one of them is certain and right. So a classifier need not learn what a companion can do
already. To label an image, all are asked together (the <em>fused</em> answer): the label is the one for which this loss,
summed over the classifiers, is smallest. This is Collaborative Layer-wise Discriminative Learning (CLDL) by Jin, Chen,
Dong, Feng and Yan, 2016."""

DEEP = """
The network is a stack of blocks of layers, and it has {M} classifiers: one on top, and {lower} companions on lower blocks. Each
has a loss of its own, and what the network learns from is their sum: the companions pull the lower layers directly. They are
there for the training only, and may be left out before its end; the top classifier alone gives the answer. This is deep
supervision (DSN: Lee, Xie, Gallagher, Zhang and Tu, 2015), with which networks trained by Collaborative Layer-wise
Discriminative Learning (CLDL: Jin, Chen, Dong, Feng and Yan, 2016) are compared."""

PLAIN = """
The network is a stack of blocks of layers with one classifier on top, trained with the usual cross-entropy. It is what
networks trained by Collaborative Layer-wise Discriminative Learning (CLDL: Jin, Chen, Dong, Feng and Yan, 2016), which have
classifiers on lower blocks too, are compared with."""


def write_report(folder: Path, metrics: list[dict], evaluation: Evaluation, dataset: Dataset, config: dict) -> Path:
    """Write the figures and the page of a run into `folder`/report; the path of the page.

    metrics    -- the lines of metrics.jsonl, of the finished epochs; there may be none
    evaluation -- the network on the test images of `dataset`
    config     -- that of the run

    Raises:    UserError when the files cannot be written.
    """
    theirs = poster.errors(dataset.name, config["recipe"]["data"]["augment"])
    sections = _sections(metrics, evaluation, dataset, theirs)
    drawn = {name: _png(figure) for name, _, figure, _ in sections}
    body = [_head(evaluation, dataset, config, theirs)]
    for name, title, figure, caption in sections:
        width = round(PIXELS * figure.get_figwidth())
        kind = ' class="wide"' if width > WIDTH else ""
        source = f"data:image/png;base64,{base64.b64encode(drawn[name]).decode()}"
        body.append(f'<h2>{title}</h2>\n<p>{caption}</p>\n<img alt="{title}" width="{width}"{kind} src="{source}">')
    body.append(_settings(config))
    page = document(config["recipe"]["name"], "\n".join(body))
    folder = make_folder(folder / "report")
    for name, data in drawn.items():
        with atomic_write(folder / f"{name}.png") as file:
            file.write(data)
    with atomic_write(folder / "index.html", "w") as file:
        file.write(page)
    return folder / "index.html"


def _sections(
    metrics: list[dict], evaluation: Evaluation, dataset: Dataset, theirs: dict[str, float]
) -> list[tuple[str, str, Figure, str]]:
    """File name, title, figure and caption of each section; what a single classifier has nothing to say about is left out."""
    several, is_ensemble, names = len(evaluation.logits) > 1, evaluation.objective.is_ensemble, dataset.class_names
    sections = []
    if metrics:
        caption = """
How many images {who}, after each epoch (one pass over the training images). Lower is better; the scale is logarithmic.
Left: images that the network never trains on, the ones that count. Right: the training images, counted while it learns from
them, and with part of the network switched off at random (dropout), so this error can be the larger one.{poster}""".format(
            who="each classifier gets wrong when it is asked alone, and how many all get wrong together"
            if is_ensemble
            else "each classifier gets wrong; the top one's answer counts"
            if several
            else "the network gets wrong",
            poster=" Dotted: what the poster reports." if theirs else "",
        )
        curves = figures.learning_curves(metrics, theirs, fused=is_ensemble)
        sections.append(("learning_curves", "How the error falls", curves, caption))
    if metrics and is_ensemble:
        caption = """
The mean of T over the test images: how much of each classifier's loss the others leave to it. Where a line falls, the
others have learned to answer more of the images, and less is left for this classifier to do. The lower its line, the less it
learns: a classifier whose line falls early may stay poor when it is asked alone, because the others do not need it. The scale
is logarithmic."""
        sections.append(("companions", "How much is left to each classifier", figures.companions(metrics), caption))
        caption = """
Every answer is put down to the classifier that gives it the highest probability. The bars show, after each epoch, what
share of the test images each classifier decides in this way."""
        sections.append(("shares", "Who answers", figures.shares(metrics), caption))
    if is_ensemble:
        told = ", ".join(f"classifier {m}: {share:.1f} %" for m, share in evaluation.shares.items())
        caption = f"""
Every answer of the network as it is now, class by class, put down to the classifier that gives it the highest probability:
some classes need more layers than others. Over all classes: {told}."""
        bars = figures.shares_by_class(evaluation, names)
        sections.append(("shares_by_class", "Who answers which class", bars, caption))
    pictures = figures.easy_and_hard(evaluation, dataset.test, names)
    sections.append(("easy_and_hard", "Easy and hard images", pictures, _easy_and_hard(evaluation)))
    confusion = figures.confusion(evaluation, names)
    sections.append(("confusion", "What is taken for what", confusion, _mistakes(evaluation, names)))
    return sections


def _head(evaluation: Evaluation, dataset: Dataset, config: dict, theirs: dict[str, float]) -> str:
    """The title, the result beside the poster's, and what the method is."""
    N, M = len(evaluation.labels), len(evaluation.logits)
    wrong = (
        f"{np.count_nonzero(evaluation.predictions != evaluation.labels):,} wrong ({evaluation.errors['fused']:.2f} %)"
    )
    is_ensemble = evaluation.objective.is_ensemble
    who = "the network's classifiers, asked together, get" if is_ensemble else "the network gets"
    method = METHOD.format(M=M) if is_ensemble else DEEP.format(M=M, lower=M - 1) if M > 1 else PLAIN
    heads = ("this run", "test error in %", "CLDL's poster", "test error in %")
    return f"""<h1>{escape(config["recipe"]["name"])}</h1>
<p>{escape(config["recipe"]["summary"])}</p>
<p>Of the {N:,} test images of {escape(dataset.name)}, {who} <strong>{wrong}</strong>.</p>
{table(heads if theirs else heads[:2], poster.beside(evaluation.errors, theirs, is_ensemble), numbers=(1, 3))}
<p>{method}</p>"""


def _easy_and_hard(evaluation: Evaluation) -> str:
    """What the galleries show."""
    if len(evaluation.logits) == 1:
        return """
Left: images that the network has right, with the probability it gives to the right class. Right: images that it has wrong, with
the right class and what it took it for. Each time those of which it is most sure, from as many classes as there are."""
    right = np.array([z.argmax(axis=1) == evaluation.labels for z in evaluation.logits])  # (M, N)
    easy, hard = np.count_nonzero(right[0]), np.count_nonzero(right[-1] & ~right[:-1].any(axis=0))
    sure = np.count_nonzero(right[0] & (evaluation.probabilities[0].max(axis=1) >= SURE))
    return f"""
Left: images that the bottom classifier gets right by itself ({easy:,} of {len(evaluation.labels):,}, {sure:,} of them
with a probability of {SURE:.0%} or more), with the probability that it gives to the right class. Right: images that
<em>only</em> the top classifier gets right ({hard:,}), with the right class and what the bottom classifier took it for. Each
time those that the classifier in question is most sure of, from as many classes as there are. It is the poster's first
figure, which says that simple images are for the bottom classifier, and difficult ones for the top one."""


def _mistakes(evaluation: Evaluation, names: Sequence[str]) -> str:
    """What the confusion matrix shows, and its largest cells in words."""
    caption = """
Rows are the true classes, columns the answers{fused}. The grey diagonal holds the right answers; everything beside it is a
mistake, the darker the more frequent.""".format(
        fused=" of all classifiers together" if evaluation.objective.is_ensemble else ""
    )
    counts = figures.confusions(evaluation, len(names))
    np.fill_diagonal(counts, 0)
    told = []
    for place in np.argsort(-counts, axis=None, kind="stable")[:5]:
        i, j = divmod(int(place), len(names))
        if counts[i, j] > 1:
            told.append(f"{escape(names[i])} for {escape(names[j])} ({counts[i, j]:,} times)")
    return f"{caption} Most often taken for another: {', '.join(told)}." if told else caption


def _settings(config: dict) -> str:
    """All that is needed to repeat the run."""
    sources, parts = config["sources"], [(s, part) for s, part in config["recipe"].items() if isinstance(part, dict)]
    values = {s if name == "type" else f"{s}.{name}": value for s, part in parts for name, value in part.items()}
    recipe = [(name, _text(value), sources.get(name, "")) for name, value in values.items()]
    rest = [(name, _text(value)) for name, value in config.items() if name not in ("recipe", "sources")]
    return f"""<h2>Settings</h2>
<p>The values of the recipe, and where each comes from.</p>
<div class="settings">{table(("setting", "value", "source"), recipe)}
<p>The run, and the machine it was made on.</p>
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


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
