"""Training with a validation set: it can end early, and the weights of the best epoch are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cldl.estimator.conventions import DataError
from cldl.training.trainer import Trainer
from data.dataset import ArraySplit, Split
from data.fetch.download import Say
from data.floats import FloatSplit
from engine.device import copy_from_host, to_host
from engine.random import Key
from engine.typing import Array

HELD_OUT = 4  # of the key's children, beside those of `cldl.training.trainer`


@dataclass(frozen=True)
class Fit:
    """The history of a training, an entry per epoch, and the number of the epoch whose weights were kept."""

    history: list[dict]
    best_epoch: int


def split_of(X: Array, labels: Array) -> Split:
    """Samples in memory: bytes or floats."""
    return ArraySplit(X, labels) if X.dtype == np.uint8 else FloatSplit(X, labels)


def held_out(labels: Array, fraction: float, key: Key) -> tuple[Array, Array]:
    """A stratified split: the indices of the training samples, and of those that are held out, a fraction of each class.

    Every class keeps a training sample.

    Raises:    DataError where none is left to be held out.

    >>> trained, held = held_out(np.array([0] * 6 + [1] * 4), 0.2, Key(0))
    >>> len(trained), np.bincount(np.array([0] * 6 + [1] * 4)[held]).tolist()
    (8, [1, 1])
    """
    order = key.fold(HELD_OUT).permutation(len(labels))
    rank, quantile = np.empty(len(labels), np.int64), np.empty(len(labels))
    for k in np.unique(labels):
        own = order[labels[order] == k]
        rank[own] = np.arange(len(own))
        quantile[own] = (rank[own] + 0.5) / len(own)
    candidates = order[rank[order] > 0]
    last_first = candidates[np.argsort(-quantile[candidates], kind="stable")]
    held = last_first[: max(1, round(fraction * len(labels)))]
    if fraction and not len(held):
        raise DataError("no class has a second sample that could be held out: give validation_fraction=0.")
    held = held if fraction else held[:0]
    return np.sort(np.setdiff1d(order, held)), np.sort(held)


def train_to_best(trainer: Trainer, patience: int | None, *, validates: bool, say: Say) -> Fit:
    """Train to the end, or until `patience` epochs have brought nothing better; the network has the best epoch's weights.

    The best epoch has the fewest errors of the joint prediction on what is held out, and of those with equally few the smallest
    loss there. Where nothing is held out it is the last.
    """
    history, best, best_epoch, weights = list[dict](), (np.inf, np.inf), 0, list[Array]()
    parameters = trainer.network.parameters()
    for epoch in range(1, trainer.schedule.epochs + 1):
        for _ in trainer.steps():
            pass
        line, _ = trainer.end_epoch()
        history.append(dict(_entry(line, validates)))
        say(_sentence(history[-1], trainer.schedule.epochs))
        score = (line["test_error"]["fused"], line["test_loss"])
        if not validates or score < best:
            best, best_epoch = score, epoch
            weights = [to_host(p.value).copy() for p in parameters] if validates else []
        elif patience is not None and epoch - best_epoch >= patience:
            say(f"stopped: the last {patience} epochs brought nothing better")
            break
    for parameter, value in zip(parameters, weights, strict=False):
        copy_from_host(parameter.value, value)
        parameter.touch()
    return Fit(history, best_epoch)


def _entry(line: dict, validates: bool) -> Iterator[tuple[str, object]]:
    """What of an epoch's metrics is kept; errors in %."""
    for name in ("epoch", "train_loss", "train_error"):
        yield name, line[name]
    if validates:
        yield from (("validation_loss", line["test_loss"]), ("validation_error", line["test_error"]))
    yield from ((name, line[name]) for name in ("learning_rate", "seconds"))


def _sentence(entry: dict, epochs: int) -> str:
    held = f", held out {entry['validation_error']['fused']:.2f}%" if "validation_error" in entry else ""
    return (
        f"epoch {entry['epoch']}/{epochs}: loss {entry['train_loss']:.4f}, error {entry['train_error']['fused']:.2f}%{held}, "
        f"{entry['seconds']:.1f} s"
    )
