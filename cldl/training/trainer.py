"""Training: a network, an objective, an optimiser, a data set and a schedule, one step at a time.

The trainer shows and saves nothing: `steps()` yields after every step of an epoch, and the loop that calls it decides what to
show, when to stop and what to save. Its state between two steps is a few arrays and numbers, so that a run can be stopped after
any step and resumed to the same bits. Every random number is derived from the seed and a position in the run:

    Key(seed).fold(0).fold(i)      the initial weights of parameter i (`Trainer.from_recipe`)
    Key(seed).fold(1).fold(e)      the order of the samples in epoch e
    Key(seed).fold(2).fold(s)      augmentation and dropout in step s of the run
    Key(seed).fold(3).fold(e)      how images on the disk are seen in epoch e, image i by the key's child i
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from cldl.objective import Objective
from cldl.training.evaluation import MANY_CLASSES, Evaluation, dead_units
from cldl.training.frozen import Features, learning_part
from cldl.training.metrics import EpochMetrics
from cldl.training.step import CpuStep, FeatureStep, InputPipeline, TrainStep
from cldl.training.trained import TrainedModel
from data.dataset import Dataset, Split, dtype_of, is_varied
from data.disk.read_ahead import ReadAhead
from data.transforms.augmentation import Augmentation
from data.transforms.preprocessing import Preprocessing, Scale
from engine.device import copy_from_host, to_host
from engine.errors import UserError
from engine.optim.optimisers import Optimiser
from engine.random import Key
from engine.runtime.backend import Backend, make_backend
from engine.runtime.communicator import ALONE, Communicator
from engine.runtime.cpu import CpuBackend, available_threads
from engine.typing import Array
from layers.network import Network

if TYPE_CHECKING:
    from cldl.recipes.recipe import Recipe

WEIGHTS, ORDER, STEP, VIEWS = range(4)


class DivergedError(UserError):
    """The loss is no longer a finite number."""


class TrainingSchedule(Protocol):
    """The course of a training; `engine.optim.schedules` has some."""

    @property
    def epochs(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    def learning_rate_at(self, epoch: float) -> float:
        """After `epoch` epochs, a fraction within one."""
        ...

    def momentum_at(self, epoch: float) -> float | None:
        """The same; None leaves the optimiser's own."""
        ...


class Trainer:
    """A network in training.

        for _ in range(schedule.epochs):
            for metrics in trainer.steps():         # after every step; metrics.means(): of the epoch so far
                ...
            line, evaluation = trainer.end_epoch()
        labels = trainer.model().predict(images)

    network       -- its weights are taken as they are: `network.initialise(Key(seed))` draws new ones
    objective     -- the loss, and the prediction
    optimiser     -- of `network.parameters()`
    dataset       -- uint8 images, or floats (`data.floats`), of the network's input shape, in as many classes as it has
    schedule      -- epochs, batch size, learning rate and momentum
    preprocessing -- from bytes to the network's input; None: pixels / 255
    augmentation  -- of preprocessed training images; None: no augmentation
    seed          -- every random number of the training is derived from it
    threads       -- of the CPU; None: one a processor
    device        -- "cpu" or "cuda" (see engine.device.choose)
    precision     -- of the matrix products on a GPU (see engine.kernels.cuda.gemm)
    comm          -- the processes that train together; each has such a trainer, and they call its methods in the same order

    Raises:    UserError where network, objective, optimiser and data set do not fit together.
    """

    def __init__(
        self,
        network: Network,
        objective: Objective,
        optimiser: Optimiser,
        dataset: Dataset,
        schedule: TrainingSchedule,
        *,
        preprocessing: Preprocessing | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        threads: int | None = None,
        device: str = "cpu",
        precision: str = "float32",
        comm: Communicator = ALONE,
    ) -> None:
        _check_fit(network, objective, dataset)
        # Where only the classifier on top learns, it is trained alone, on features that are computed once (cldl.training.frozen),
        # provided that the optimiser is of its parameters: `from_recipe` builds it so, another caller's may be of all.
        part = learning_part(network, dataset, augmentation, device)
        self.learner = part if optimiser.parameters == part.parameters() else network
        if optimiser.parameters != self.learner.parameters():
            raise UserError(
                "the optimiser is of other parameters than the network's: build it of network.parameters(), in that order."
            )
        self.network, self.objective, self.optimiser = network, objective, optimiser
        self.dataset, self.schedule, self.key, self.comm = dataset, schedule, Key(seed), comm
        self.preprocessing = preprocessing or Scale()
        self.backend = make_backend(
            device,
            self.learner.parameters(),
            threads=threads,
            precision=precision,
            sample_bytes=network.sample_bytes(),
            comm=comm,
        )
        optimiser.bind()  # to the parameters where they are now
        self.reader = _read_ahead(dataset.train, self.backend)
        self.features = Features(network, dataset, self.preprocessing, self.backend)
        self.train_step = self._make_step(InputPipeline(self.preprocessing, augmentation))
        self.epoch = 0  # epochs that are finished
        self.step = 0  # steps that are finished in the present epoch
        self.metrics = EpochMetrics.empty(len(network.exits))
        self._has_stepped = False  # in this process, whose first step may compile kernels

    @classmethod
    def from_recipe(
        cls,
        recipe: Recipe,
        dataset: Dataset,
        preprocessing: Preprocessing | None = None,
        *,
        seed: int = 0,
        threads: int | None = None,
        device: str = "cpu",
        precision: str = "float32",
        comm: Communicator = ALONE,
    ) -> Trainer:
        """The trainer of a recipe's parts, its weights drawn from the seed; a preprocessing that is fitted may be given."""
        network, objective = recipe.build_network(), recipe.build_objective()
        network.initialise(Key(seed).fold(WEIGHTS))
        _check_fit(network, objective, dataset)  # before anything is fitted
        augmentation = recipe.build_augmentation()
        return cls(
            network,
            objective,
            recipe.build_optimiser(learning_part(network, dataset, augmentation, device)),
            dataset,
            recipe.schedule,
            preprocessing=preprocessing or recipe.build_preprocessing(dataset),
            augmentation=augmentation,
            seed=seed,
            threads=threads,
            device=device,
            precision=precision,
            comm=comm,
        )

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.dataset.train) / self.schedule.batch_size)

    def steps(self) -> Iterator[EpochMetrics]:
        """Train to the end of the present epoch, from the present step; yields the epoch's metrics after every step.

        Raises:    UserError when all epochs of the schedule are over.
        """
        if self.epoch >= self.schedule.epochs:
            raise UserError(f"the {self.schedule.epochs} epochs of the schedule are over: train with a longer one.")
        order, size = self._order(self.epoch), self.schedule.batch_size
        if self.reader and not self.is_frozen:
            self.reader.vary(self.key.fold(VIEWS).fold(self.epoch))
        while self.step < self.steps_per_epoch:
            start = self.step * size
            self._train(order[start : start + size], order[start + size : start + 2 * size])
            yield self.metrics

    def end_epoch(self) -> tuple[dict, Evaluation]:
        """Evaluate on the test images and begin the next epoch; the line of metrics.jsonl, and the evaluation."""
        evaluation = self.evaluate()
        if not math.isfinite(evaluation.loss):
            raise DivergedError(
                f"the loss of the test images became {evaluation.loss} in epoch {self.epoch + 1}: lower the learning "
                "rate or lengthen the warm-up."
            )
        dead = {} if self.is_frozen else dead_units(self.network, self.dataset.test, self.preprocessing, self.backend)
        self.epoch += 1
        line = {
            "epoch": self.epoch,
            **self.metrics.means(),
            "test_loss": evaluation.loss,
            "test_error": evaluation.errors,
            "test_companions": evaluation.companions,
            "test_share": evaluation.shares,
            "dead_units": dead,
            "learning_rate": self.schedule.learning_rate_at(self.epoch),
            "images_per_second": self.metrics.images_per_second,
            "seconds": self.metrics.seconds,
        }
        if self.network.classes >= MANY_CLASSES:
            line["test_top5_error"] = evaluation.top_errors()
        if self.reader:
            line["waiting_seconds"] = self.metrics.waited
        self.step, self.metrics = 0, EpochMetrics.empty(len(self.network.exits))
        return line, evaluation

    def evaluate(self) -> Evaluation:
        """The present network on the test images."""
        if self.is_frozen:
            return self.features.evaluate(self.learner, self.objective.at(self.epoch))
        return self.model().evaluate(self.dataset.test)

    @property
    def is_frozen(self) -> bool:
        """Whether only the classifier on top learns, on features that are computed once."""
        return self.learner is not self.network

    def model(self) -> TrainedModel:
        """The network as it is, ready to predict; it changes when training goes on."""
        objective = self.objective.at(self.epoch)
        return TrainedModel(self.network, objective, self.preprocessing, self.backend, self.dataset.class_names)

    def state(self) -> tuple[dict[str, Array], dict[str, int | float | str]]:
        """Arrays and numbers from which `restore` continues to the same bits."""
        arrays = {name: to_host(array) for name, array in self._arrays().items()}
        numbers = {"samples": self.metrics.samples, "loss": self.metrics.loss, "seconds": self.metrics.seconds}
        return arrays, {"epoch": self.epoch, "step": self.step, "updates": self.optimiser.step_count, **numbers}

    def restore(self, arrays: dict[str, Array], numbers: dict[str, int | float | str]) -> None:
        """Return to a state; raises UserError if it is another network's."""
        own = self._arrays()
        epoch, step, steps = int(numbers["epoch"]), int(numbers["step"]), self.steps_per_epoch
        if {k: (v.shape, v.dtype) for k, v in own.items()} != {k: (v.shape, v.dtype) for k, v in arrays.items()}:
            raise UserError(
                "the checkpoint is of another network or optimiser than the run's config.json says: restore both."
            )
        if step > steps:
            raise UserError(f"the checkpoint is after step {step} of an epoch of {steps} steps: restore the run's own.")
        for name, array in own.items():
            copy_from_host(array, arrays[name])
        for parameter in self.network.parameters():
            parameter.touch()
        self.epoch, self.step = epoch, step
        self.optimiser.step_count = int(numbers["updates"])
        self.metrics.samples, self.metrics.loss = int(numbers["samples"]), float(numbers["loss"])
        self.metrics.seconds = float(numbers["seconds"])

    def take_over(self) -> None:
        """Give all ranks the state of rank 0."""
        if self.comm.size == 1:
            return
        arrays, numbers = self.state()
        for array in arrays.values():
            self.comm.broadcast(array)
        self.restore(arrays, self.comm.gather(numbers)[0])

    def checksum(self) -> int:
        """A number that differs where weights differ between ranks."""
        crc = 0
        for p in self.network.parameters() if self.comm.size > 1 else ():
            crc = zlib.crc32(to_host(p.value).data, crc)
        return crc

    def statistics(self) -> list[tuple[str, float, float, int]]:
        """For each parameter its name, the largest |weight|, the largest |gradient| of the last step, and how many of
        either are not finite: where to look when a run has diverged.
        """
        gradients = self.backend.gradients.views
        rows = []
        for p in self.learner.parameters():
            w, dw = to_host(p.value), to_host(gradients[p])
            bad = np.count_nonzero(~np.isfinite(w)) + np.count_nonzero(~np.isfinite(dw))
            rows.append((p.name, float(np.abs(w).max()), float(np.abs(dw).max()), int(bad)))
        return rows

    def _arrays(self) -> dict[str, Array]:
        """The arrays of `state`, where they are."""
        arrays = {f"weights/{p.name}": p.value for p in self.network.parameters()}
        for slot, flat in self.optimiser.state.items():
            arrays |= {f"optimiser/{slot}/{p.name}": view for p, view in flat.views.items()}
        return arrays | {"metrics/wrong": self.metrics.wrong, "metrics/companions": self.metrics.companions}

    def _order(self, epoch: int) -> Array:
        """The samples in the order of an epoch, indices into the training split."""
        return self.key.fold(ORDER).fold(epoch).permutation(len(self.dataset.train))

    def _prepare(self, reader: ReadAhead, batch: Array, next_batch: Array) -> None:
        """Have a batch read, and begin to read the next one: behind the last of an epoch, the first of the next epoch."""
        key = None
        if not len(next_batch) and self.epoch + 1 < self.schedule.epochs:
            key = self.key.fold(VIEWS).fold(self.epoch + 1)
            next_batch = self._order(self.epoch + 1)[: self.schedule.batch_size]
        reader.prepare(self._own(batch), self._own(next_batch), key)

    def _own(self, batch: Array) -> Array:
        """This rank's slice of a batch."""
        return batch[self.comm.share(len(batch))]

    def _train(self, batch: Array, next_batch: Array) -> None:
        """One step on the samples `batch` (indices into the training split), before the one on `next_batch`."""
        began = time.perf_counter()
        if self.reader and not self.is_frozen:
            self._prepare(self.reader, batch, next_batch)
        update = self.epoch * self.steps_per_epoch + self.step
        epoch, objective = update / self.steps_per_epoch, self.objective.at(self.epoch)
        if (momentum := self.schedule.momentum_at(epoch)) is not None:
            self.optimiser.momentum = momentum
        learning_rate, key = self.schedule.learning_rate_at(epoch), self.key.fold(STEP).fold(update)
        result = self.train_step(batch, key, learning_rate, objective, next_batch)
        N, labels = len(batch), self.dataset.train.labels[batch]
        loss = float((result.losses @ np.asarray(objective.weights)).sum())
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss became {loss / N} in epoch {self.epoch + 1}, step {self.step + 1}: "
                f"lower the learning rate ({learning_rate:g} in this step) or lengthen the warm-up."
            )
        self.metrics.samples += N
        self.metrics.loss += loss
        self.metrics.wrong += np.count_nonzero(result.predictions != labels[:, None], axis=0)
        self.metrics.companions += result.companions.sum(axis=0)
        seconds = time.perf_counter() - began
        self.metrics.seconds += seconds
        if not self._has_stepped:
            self.metrics.first_step, self._has_stepped = (N, seconds), True
        if self.reader:
            self.metrics.waited += self.reader.take_waited()
        self.step += 1

    def _make_step(self, pipeline: InputPipeline) -> TrainStep:
        """A step on the device of the backend."""
        parts = self.network, pipeline, self.reader or self.dataset.train
        if self.is_frozen:
            return FeatureStep(self.learner, self.features, self.dataset.train, cast(Any, self.backend), self.optimiser)
        if isinstance(self.backend, CpuBackend):
            return CpuStep(*parts, self.backend, self.optimiser)
        if dtype_of(self.dataset.train) != np.uint8:
            raise UserError(
                f"{self.dataset.name} holds floats, which are trained on by the CPU alone: choose device='cpu'."
            )
        from cldl.training.cuda.step import CudaStep

        return CudaStep(*parts, cast(Any, self.backend), self.optimiser, self.schedule.batch_size)


def _read_ahead(split: Split, backend: Backend) -> ReadAhead | None:
    """What reads the training images ahead, where they take long to read: a thread for each that trains, on a GPU all of them."""
    if not is_varied(split):
        return None
    return ReadAhead(split, backend.threads if isinstance(backend, CpuBackend) else available_threads())


def _check_fit(network: Network, objective: Objective, dataset: Dataset) -> None:
    """Raise UserError unless the network takes the data set's images and tells its classes apart, with a weight an exit."""
    if dataset.train.shape != network.input_shape:
        raise UserError(
            f"{dataset.name} has images of shape {dataset.train.shape}; the network takes {network.input_shape}: choose another "
            "recipe or network."
        )
    if len(dataset.class_names) != network.classes:
        raise UserError(
            f"{dataset.name} has {len(dataset.class_names)} classes; the network tells {network.classes} apart: choose another "
            "recipe or network, and count labels from 0."
        )
    if len(objective.weights) != len(network.exits):
        raise UserError(
            f"the objective has {len(objective.weights)} weights; the network has {len(network.exits)} exits: give one weight to "
            "each exit."
        )
