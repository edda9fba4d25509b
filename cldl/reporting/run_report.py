"""The report of a run: one page that tells its story to a reader who does not know the method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cldl.reporting import classes, drawing, figures, gallery, method, poster, repeat, story
from cldl.reporting.claims import claims
from cldl.reporting.difficulty import in_turn, shares_by_difficulty
from cldl.reporting.html import folded, table
from cldl.reporting.page import Section, write_page
from cldl.reporting.settings import evaluations, how_it_ran, numbers, settings
from cldl.reporting.style import is_one_colour
from cldl.reporting.summary import number
from cldl.training.evaluation import Evaluation
from cldl.training.run import Run
from data.dataset import Dataset
from engine.io.files import explained
from engine.typing import Array

# figures that not every report has
FIGURES = {"learning_curves", "companions", "shares", "shares_by_class", "confusion", "easy_and_hard"}


def write_report(run: Run, metrics: list[dict], evaluation: Evaluation, dataset: Dataset) -> Path:
    """Write the figures and the page of a run into its folder's report/; the path of the page.

    metrics    -- the lines of metrics.jsonl, of the finished epochs; there may be none
    evaluation -- the network on the test images of `dataset`

    Raises:    UserError when the files cannot be written.
    """
    published = poster.errors(dataset.name, run.recipe.data.augment)
    folder = run.folder / "report"
    sections = [
        _result(run, metrics, evaluation, dataset, published),
        _method(run, evaluation, folder),
        *_epochs(run, metrics, evaluation, published),
        *(_answers(evaluation, dataset.class_names) if evaluation.objective.is_ensemble else ()),
        _images(evaluation, dataset),
        _confusion(evaluation, dataset.class_names),
        Section("The run", how_it_ran(run, metrics)),
        Section(
            "Settings", folded("The recipe's values with their sources, the run and its machine", settings(run.config))
        ),
    ]
    path = write_page(folder / "index.html", run.recipe.name, sections)
    for name in FIGURES - {section.name for section in sections}:  # of an earlier report
        with explained(folder / f"{name}.png"):
            (folder / f"{name}.png").unlink(missing_ok=True)
    return path


def _result(
    run: Run, metrics: list[dict], evaluation: Evaluation, dataset: Dataset, published: dict[str, float]
) -> Section:
    """The error beside the poster's, what the numbers say, and the next step."""
    facts = story.facts(run, metrics, evaluation)
    joint, step = evaluation.objective.is_ensemble, story.next_step(run, facts)
    count = np.count_nonzero(evaluation.predictions != evaluation.labels)
    error = f"<strong>{count:,} wrong ({evaluation.errors['fused']:.2f} %)</strong>"
    wrong = f"{error}, with a standard error of {facts.uncertainty:.2f}"
    who = "the network's classifiers together get" if joint else "the network gets"
    done = f"{len(metrics)} of {facts.planned} epochs" if facts.is_stopped else number(facts.planned, "epoch")
    given = ", ".join(f"{name} {value}" for name, value in repeat.changes(run.recipe).items() if name != "epochs")
    changed = [f"changed: {given}"] if given else []
    theirs = f"<p>Test errors in % {poster.listed(published)}. Each is a network of its own.</p>" if published else ""
    said = "".join(f"\n<li>{escape(sentence)}</li>" for sentence in claims(facts))
    parts = [
        f"<p>{escape('; '.join([run.recipe.summary, *changed, done]))}.</p>",
        f"<p>Of the {len(evaluation.labels):,} test images of {escape(dataset.name)}, {who} {wrong}.</p>",
        table(("this run", "test error in %"), poster.rows(evaluation.errors, joint), numbers=(1,)),
        theirs,
        f"<h3>What the numbers say</h3>\n<ul>{said}\n</ul>" if said else "",
        f"<h3>What would be next</h3>\n<p>{escape(step.reason)}</p>\n{_command(step.arguments)}" if step else "",
        evaluations(run.evaluations()),
    ]
    return Section(run.recipe.name, "\n".join(filter(None, parts)))


def _method(run: Run, evaluation: Evaluation, folder: Path) -> Section:
    network = run.recipe.build_network()
    text = method.explained(evaluation.objective) + method.links(folder)
    return Section("What was trained", text, drawing.draw(network), "network", drawing.described(network))


def _epochs(run: Run, metrics: list[dict], evaluation: Evaluation, published: dict[str, float]) -> Iterator[Section]:
    """What changed from epoch to epoch."""
    if not metrics:
        return
    joint, several = evaluation.objective.is_ensemble, evaluation.classifiers > 1
    table_of_all = folded("The numbers, epoch by epoch", numbers(metrics, joint))
    if len(metrics) == 1:
        yield Section("How the error falls", f"<p>There is one epoch so far, and no curve yet.</p>\n{table_of_all}")
    else:
        text = _falling(joint, several, bool(published)) + table_of_all
        alt = "The test and training errors after each epoch; the numbers are in the table above."
        curves = figures.learning_curves(metrics, published, fused=joint)
        yield Section("How the error falls", text, curves, "learning_curves", alt)
    text = """<p>What is minimised, as a mean over the images, and the learning rate: how far a step goes. A loss on test images
that rises while that on training images falls is over-fitting.</p>"""
    yield Section("Loss and learning rate", text, figures.losses(metrics, run.recipe.schedule), "losses")
    if not joint:
        return
    text = """<p>The mean of T over the test images: the factor by which the other classifiers scale this classifier's loss. Where
a line falls, the others have learned to classify more of the images, and this classifier's gradients shrink. A classifier whose
line falls early may stay poor by itself, because the joint prediction does not need it. The scale is logarithmic.</p>"""
    if len(metrics) > 1:
        yield Section("The companions' weight T on each loss", text, figures.companions(metrics), "companions")
    text = """<p>The classifier that gives the predicted class the highest probability decides it: here the share of the test
images that each decides, after each epoch.</p>"""
    parts = figures.shares_by_epoch(metrics)
    yield _unless_one_colour(parts, "Which classifier decides", text, lambda: figures.shares(metrics), "shares")


def _falling(joint: bool, several: bool, with_poster: bool) -> str:
    """What the learning curves show."""
    if joint:
        who = "each classifier by itself gets wrong, and the share that their joint prediction gets wrong"
    elif several:
        who = "each classifier gets wrong; the prediction is the top one's"
    else:
        who = "the network gets wrong"
    return f"""<p>The share of images that {who}, after each epoch (one pass over the training images). Lower is better; the scale
is logarithmic. Above: test images, which the network is never trained on. Below: training images, counted during training,
with dropout on, so this error can be the larger one.{" Dotted: what the poster reports." if with_poster else ""}</p>"""


def _answers(evaluation: Evaluation, names: Sequence[str]) -> Iterator[Section]:
    """Which classifier decides, by class and by difficulty."""
    shares = ", ".join(f"classifier {m}: {share:.1f} %" for m, share in evaluation.shares.items())
    text = f"""<p>The same for the present network, class by class: some classes need more layers than others. Over all classes:
{shares}.</p>"""
    yield _unless_one_colour(
        classes.decided(evaluation, len(names)),
        "Which classifier decides which class",
        text,
        lambda: classes.shares_by_class(evaluation, names),
        "shares_by_class",
    )
    shares = ", ".join(f"classifier {m}: {share:.1f} %" for m, share in evaluation.right_shares.items())
    text = f"""<p>The test images, from the tenth to whose right class the classifiers give the highest probability, on average,
to the tenth with the lowest. A colour is the share that a classifier decides, and rightly; over all images: {shares}. Were the
labour divided by difficulty, the bottom classifier's colour would fill the left, and the top one's the right. Below: the mean
of T, by which the others scale each classifier's loss. {escape(in_turn(evaluation))}</p>"""
    yield Section(
        "Which classifier decides how hard an image", text, shares_by_difficulty(evaluation), "shares_by_difficulty"
    )


def _unless_one_colour(parts: Array, title: str, text: str, draw: Callable[[], Figure], name: str) -> Section:
    """A section with stacked bars, parts (M, positions) in %; a sentence in their place where they are of one colour."""
    if not is_one_colour(parts):
        return Section(title, text, draw(), name)
    m = int(parts[:, 0].argmax())
    name = poster.classifier_names(len(parts))[m]
    alone = f"<p>It is {name} throughout, for {parts[m].min():.1f} % at least, so there is nothing to draw.</p>"
    return Section(title, f"{text}\n{alone}")


def _images(evaluation: Evaluation, dataset: Dataset) -> Section:
    """The poster's first figure."""
    text = """<p>First images that the network gets right, with the probability of the right class, then images that it gets
wrong, with the right class and the predicted one. Shown are the most confident ones, from as many classes as possible.</p>"""
    if evaluation.classifiers > 1:
        easy, hard = gallery.chosen(evaluation)
        right = int(np.count_nonzero(evaluation.answers[0] == evaluation.labels))
        text = f"""<p>First images that the bottom classifier knows: it gets them right by itself, with a probability of
{gallery.SURE:.0%} or more. There are {easy.sum():,} of them among {len(evaluation.labels):,}; it gets {right:,} right in all.
Then images that <em>only</em> the top one gets right ({hard.sum():,}), with the right class and the bottom one's answer.
Shown are the most confident ones, from as many classes as possible; each tells what every classifier says. This is the
poster's first figure: the bottom classifier handles simple images, the top one difficult ones.</p>"""
    return Section(
        "Easy and hard images", f"{text}\n{gallery.easy_and_hard(evaluation, dataset.test, dataset.class_names)}"
    )


def _confusion(evaluation: Evaluation, names: Sequence[str]) -> Section:
    """The confusion matrix, with the most frequent mistakes in words; without a mistake there is no figure."""
    title = "Confusion matrix"
    counts = classes.confusions(evaluation, len(names))
    np.fill_diagonal(counts, 0)
    if not counts.any():
        return Section(title, "<p>No image was taken for another class, so there is nothing to draw.</p>")
    mistakes = []
    for cell in np.argsort(-counts, axis=None, kind="stable")[:5]:
        i, j = divmod(int(cell), len(names))
        if counts[i, j] > 1:
            mistakes.append(f"{escape(names[i])} predicted as {escape(names[j])} ({counts[i, j]:,} times)")
    jointly = " of all classifiers jointly" if evaluation.objective.is_ensemble else ""
    text = f"""<p>Rows are the true classes, columns the predictions{jointly}. The grey diagonal holds the correct ones; every
other cell is a mistake, the darker the more frequent.{f" Most frequent: {', '.join(mistakes)}." if mistakes else ""}</p>"""
    return Section(title, text, classes.confusion(evaluation, names), "confusion")


def _command(arguments: Sequence[str]) -> str:
    return f"<pre>{escape(repeat.line(arguments))}</pre>"
