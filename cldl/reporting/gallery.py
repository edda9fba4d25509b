"""The poster's figure 1: images that the bottom classifier knows, beside those that only the top one gets right."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from cldl.reporting.poster import classifier_names
from cldl.training.evaluation import Evaluation
from data.dataset import Split, read_images
from engine.typing import Array

SHOWN = 20  # images of each kind
SURE = 0.9  # the probability from which a classifier knows an image
SIDE = 96  # pixels: larger images are made smaller
TOGETHER = ("The bottom classifier knows", "Only the top classifier gets right")
ALONE = ("Right, and most confident", "Wrong, and most confident")
NONE = "<p>None of the test images.</p>"


def easy_and_hard(evaluation: Evaluation, split: Split, class_names: Sequence[str]) -> str:
    """Both kinds of images as HTML, with captions: those of which the classifier is surest, from as many classes as possible.

    With one classifier: those that it gets right, and those that it gets wrong.
    """
    labels, bottom = evaluation.labels, evaluation.answers[0]
    easy, hard = chosen(evaluation)

    def on_target(i: int) -> str:
        return f"{class_names[labels[i]]}\n{100 * evaluation.on_target[0, i]:.0f} %"

    def mistaken(i: int) -> str:
        return f"{class_names[labels[i]]}\nnot {class_names[bottom[i]]}"

    parts = []
    for heading, which, confidences, caption in zip(
        TOGETHER if evaluation.classifiers > 1 else ALONE,
        (easy, hard),
        (evaluation.confidences[0], evaluation.confidences[-1]),
        (on_target, mistaken),
        strict=True,
    ):
        shown = most_confident(which, confidences, labels)
        items = [
            _item(image, caption(i), answers(evaluation, i, class_names))
            for i, image in zip(shown, read_images(split, shown), strict=True)
        ]
        images = ["<ul class='images'>", *items, "</ul>"] if items else [NONE]
        parts += [f"<h3>{heading}</h3>", *images]
    return "\n".join(parts)


def chosen(evaluation: Evaluation) -> tuple[Array, Array]:
    """Which images are easy, (N,): the bottom one is right, and sure; and which hard: only the top one is right.

    With one classifier: those it gets right, and those it gets wrong.
    """
    right = evaluation.answers == evaluation.labels  # (M, N)
    if len(right) == 1:
        return right[0], ~right[0]
    return right[0] & (evaluation.confidences[0] >= SURE), right[-1] & ~right[:-1].any(axis=0)


def most_confident(chosen: Array, confidence: Array, labels: Array) -> Array:
    """The indices of the most confident of the chosen images, taken from the classes in turn; sorted by class."""
    order = np.flatnonzero(chosen)
    order = order[np.argsort(-confidence[order], kind="stable")]
    turn = np.zeros(len(order))  # an image is the turn-th of its class
    for k in np.unique(labels[order]):
        mine = labels[order] == k
        turn[mine] = np.arange(mine.sum())
    order = order[np.argsort(turn, kind="stable")][:SHOWN]
    return order[np.argsort(labels[order], kind="stable")]


def answers(evaluation: Evaluation, i: int, class_names: Sequence[str]) -> str:
    """What every classifier says of image i."""
    parts = [
        f"{name}: {class_names[answer]}, {100 * confidence:.1f} %"
        for name, answer, confidence in zip(
            classifier_names(evaluation.classifiers),
            evaluation.answers[:, i],
            evaluation.confidences[:, i],
            strict=True,
        )
    ]
    return f"{class_names[evaluation.labels[i]]}, test image {i}; {'; '.join(parts)}"


def picture(image: Array) -> str:
    """The address of an image (H, W, C) uint8 that holds the image itself."""
    file, drawn = io.BytesIO(), Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    drawn.thumbnail((SIDE, SIDE))
    drawn.save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _item(image: Array, caption: str, title: str) -> str:
    text = "<br>".join(map(escape, caption.splitlines()))
    return f'<li><img src="{picture(image)}" alt="{escape(title)}" title="{escape(title)}">{text}</li>'
