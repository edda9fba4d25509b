"""Training: from a recipe, a data set and a seed to a trained network, one step at a time.

The trainer calls nobody: `steps()` yields after every step of an epoch, and whoever runs the loop decides what to show,
when to stop and what to keep. Its state between two steps is a handful of arrays and numbers, so that a run can stop
after any step and go on to the same bits. Every random number comes from the seed and a place in the run:

    Key(seed).fold(0).fold(i)      the initial weights of parameter i
    Key(seed).fold(1).fold(e)      the order of the samples in epoch e
    Key(seed).fold(2).fold(s)      augmentation and dropout in step s of the run
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cldl.recipes.recipe import Recipe
from cldl.training.evaluation import Evaluation, dead_units, score
from cldl.training.step import Pass, make_step
from data.dataset import Dataset
from data.transforms.preprocessing import Preprocessing
from engine.device import copy_from_host, to_host
from engine.errors import UserError
from engine.parameters import initialise
from engine.random import Key
from engine.runtime.backend import make_backend
from engine.typing import Array

WEIGHTS, ORDER, STEP = range(3)


class DivergedError(UserError):
    """The loss is no longer a finite number."""


@dataclass
class EpochMetrics:
    """Sums over the steps of an epoch."""

    samples: int
    loss: float
    wrong: Array  # (M + 1,): of each classifier, and of all together
    companions: Array  # (M,): of the T^(m)
    seconds: float

    @classmethod
    def empty(cls, classifiers: int) -> EpochMetrics:
        return cls(0, 0.0, np.zeros(classifiers + 1), np.zeros(classifiers), 0.0)

    def means(self) -> dict:
        """The epoch's line in metrics.jsonl, as far as training goes."""
        n = max(self.samples, 1)
        M = len(self.companions)
        names = [*(str(m + 1) for m in range(M)), "fused"]
        return {
            "train_loss": self.loss / n,
            "train_error": dict(zip(names, (100 * self.wrong / n).tolist(), strict=True)),
            "train_companions": dict(zip(names, (self.companions / n).tolist(), strict=False)),
        }


class Trainer:
    """A network in training.

    preprocessing -- from bytes to the network's input; None: the recipe's, fitted on the data set if it must be
    device        -- "cpu" or "cuda" (see engine.device.choose)
    precision     -- of the products on a GPU (see engine.kernels.cuda.gemm)
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        preprocessing: Preprocessing | None = None,
        *,
        seed: int = 0,
        threads: int | None = None,
        device: str = "cpu",
        precision: str = "float32",
    ) -> None:
        self.recipe, self.dataset, self.key = recipe, dataset, Key(seed)
        self.network = recipe.build()
        if dataset.train_images.shape[1:] != self.network.input_shape:
            raise UserError(
                f"{dataset.name} has images of shape {dataset.train_images.shape[1:]}; the network takes "
                f"{self.network.input_shape}: choose another recipe."
            )
        if len(dataset.class_names) != self.network.classes:
            raise UserError(
                f"{dataset.name} has {len(dataset.class_names)} classes; the network tells {self.network.classes} apart: "
                "choose another recipe."
            )
        initialise(self.network.parameters(), self.key.fold(WEIGHTS))
        self.preprocessing = preprocessing or recipe.make_preprocessing(dataset)
        self.backend = make_backend(device, self.network.parameters(), threads=threads, precision=precision)
        self.optimiser = recipe.make_optimiser(self.network)
        once = Pass(recipe, self.network, self.preprocessing)
        self.take = make_step(once, dataset, self.backend, self.optimiser)
        self.epoch = 0  # epochs that are finished
        self.step = 0  # steps that are finished in the present epoch
        self.metrics = EpochMetrics.empty(recipe.classifiers)

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.dataset.train_labels) / self.recipe.batch_size)

    def steps(self) -> Iterator[EpochMetrics]:
        """Train to the end of the present epoch, from wherever it stands; yields the epoch's tally after every step."""
        order = self.key.fold(ORDER).fold(self.epoch).permutation(len(self.dataset.train_labels))
        size = self.recipe.batch_size
        while self.step < self.steps_per_epoch:
            start = self.step * size
            self._train(order[start : start + size], order[start + size : start + 2 * size])
            yield self.metrics

    def end_epoch(self) -> tuple[dict, Evaluation]:
        """Evaluate on the test images and go on to the next epoch; the line of metrics.jsonl, and the evaluation."""
        evaluation = self.evaluate()
        dead = dead_units(self.network, self.dataset.test_images, self.preprocessing, self.backend)
        self.epoch += 1
        line = {
            "epoch": self.epoch,
            **self.metrics.means(),
            "test_loss": evaluation.loss.value,
            "test_error": evaluation.errors,
            "test_companions": evaluation.companions,
            "test_share": evaluation.shares,
            "dead_units": dead,
            "learning_rate": self.recipe.rate(self.epoch),
            "images_per_second": self.metrics.samples / max(self.metrics.seconds, 1e-9),
            "seconds": self.metrics.seconds,
        }
        self.step, self.metrics = 0, EpochMetrics.empty(self.recipe.classifiers)
        return line, evaluation

    def evaluate(self) -> Evaluation:
        """The network's present answers on the test images."""
        logits = score(self.network, self.dataset.test_images, self.preprocessing, self.backend)
        return Evaluation(logits, self.dataset.test_labels, self.recipe.objective(self.epoch))

    def state(self) -> tuple[dict[str, Array], dict[str, int | float | str]]:
        """Arrays and numbers from which `restore` goes on to the same bits."""
        arrays = {name: to_host(array) for name, array in self._arrays().items()}
        numbers = {"samples": self.metrics.samples, "loss": self.metrics.loss, "seconds": self.metrics.seconds}
        return arrays, {"epoch": self.epoch, "step": self.step, "updates": self.optimiser.steps, **numbers}

    def restore(self, arrays: dict[str, Array], numbers: dict[str, int | float | str]) -> None:
        """Go back to a state; raises UserError if it is another network's."""
        mine = self._arrays()
        if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in arrays.items()}:
            raise UserError(
                "the checkpoint is of another network or optimiser than the run's config.json says: restore both."
            )
        for name, array in mine.items():
            copy_from_host(array, arrays[name])
        self.epoch, self.step = int(numbers["epoch"]), int(numbers["step"])
        self.optimiser.steps = int(numbers["updates"])
        self.metrics.samples, self.metrics.loss = int(numbers["samples"]), float(numbers["loss"])
        self.metrics.seconds = float(numbers["seconds"])

    def _arrays(self) -> dict[str, Array]:
        """The arrays of `state`, where they are."""
        arrays = {f"weights/{p.name}": p.value for p in self.network.parameters()}
        for slot, flat in self.optimiser.state.items():
            arrays |= {f"optimiser/{slot}/{p.name}": view for p, view in flat.views.items()}
        return arrays | {"tally/wrong": self.metrics.wrong, "tally/companions": self.metrics.companions}

    def _train(self, batch: Array, then: Array) -> None:
        """One step on the samples `batch` (indices into the training images), before the one on the samples `then`."""
        began = time.perf_counter()
        update = self.epoch * self.steps_per_epoch + self.step
        epoch, objective = update / self.steps_per_epoch, self.recipe.objective(self.epoch)
        self.optimiser.momentum = self.recipe.momentum_after(epoch)
        outcome = self.take(batch, self.key.fold(STEP).fold(update), self.recipe.rate(epoch), objective, then)
        N, labels = len(batch), self.dataset.train_labels[batch]
        loss = float((outcome.losses @ np.asarray(objective.weights)).sum())
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss became {loss / N} in epoch {self.epoch + 1}, step {self.step + 1}: "
                f"lower the learning rate ({self.recipe.learning_rate:g}) or lengthen the warm-up."
            )
        self.metrics.samples += N
        self.metrics.loss += loss
        self.metrics.wrong += np.count_nonzero(outcome.predictions != labels[:, None], axis=0)
        self.metrics.companions += outcome.companions.sum(axis=0)
        self.metrics.seconds += time.perf_counter() - began
        self.step += 1

    def statistics(self) -> list[tuple[str, float, float, int]]:
        """For each parameter its name, the largest |weight|, the largest |gradient| of the last step, and how many of
        either are not finite: where to look when a run has diverged.
        """
        gradients = self.backend.gradients.views
        rows = []
        for p in self.network.parameters():
            w, g = to_host(p.value), to_host(gradients[p])
            bad = np.count_nonzero(~np.isfinite(w)) + np.count_nonzero(~np.isfinite(g))
            rows.append((p.name, float(np.abs(w).max()), float(np.abs(g).max()), int(bad)))
        return rows
