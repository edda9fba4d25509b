"""One training step: forward, loss, backward, update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cldl.loss import CldlResult
from cldl.objective import Objective
from cldl.training.frozen import Features
from data.dataset import Split, dtype_of
from data.transforms.augmentation import Augmentation
from data.transforms.preprocessing import Preprocessing, Scale
from engine.context import Context
from engine.optim.optimisers import Optimiser
from engine.random import Key
from engine.runtime.cpu import CpuBackend
from engine.typing import Array
from layers.network import Network


@dataclass(frozen=True)
class StepResult:
    """What a step computed before its update, on the CPU.

    losses, companions -- (N, M), the l^(m) and the T^(m)
    predictions        -- (N, M + 1), of each classifier by itself, then of the objective
    """

    losses: Array
    companions: Array
    predictions: Array


class TrainStep(Protocol):
    """A step on the samples `batch` (indices into the training split); no update where the loss is not finite.

    `next_batch` are the samples of the next step, so that they can be prefetched; none at the end of an epoch.
    """

    def __call__(
        self, batch: Array, key: Key, learning_rate: float, objective: Objective, next_batch: Array
    ) -> StepResult: ...


@dataclass(frozen=True)
class InputPipeline:
    """From bytes (n, H, W, C) to the network's input, in the memory of the pass."""

    preprocessing: Preprocessing
    augmentation: Augmentation | None = None

    def __call__(self, images: Array, ctx: Context) -> Array:
        x = self.preprocessing(images, ctx)
        return self.augmentation(x, ctx) if self.augmentation else x


def loss_and_gradients(
    network: Network, x: Array, labels: Array, objective: Objective, samples: int, ctx: Context
) -> tuple[list[Array], CldlResult]:
    """The logits and the loss of a chunk x (n, H, W, C) of a batch of `samples`; gradients of parameters are added to `ctx`."""
    logits, cache = network.forward(x, ctx)  # M arrays (n, K)
    result = objective(logits, labels, samples=samples, empty=ctx.empty)  # of CLDL: cldl.loss.cldl_loss
    network.backward(result.gradients, cache, ctx, need_dx=False)
    return logits, result


class CpuStep:
    """A step on the CPU: threads read chunks of this rank's slice of the batch and take them through the network."""

    def __init__(
        self, network: Network, pipeline: InputPipeline, split: Split, backend: CpuBackend, optimiser: Optimiser
    ) -> None:
        self._network, self._pipeline, self._split = network, pipeline, split
        self._backend, self._optimiser = backend, optimiser

    def _input(self, batch: Array, ctx: Context) -> Array:
        """The network's input for the samples `batch` (n,)."""
        images = ctx.empty((len(batch), *self._split.shape), dtype_of(self._split))
        self._split.read(batch, images)
        return self._pipeline(images, ctx)

    def __call__(
        self, batch: Array, key: Key, learning_rate: float, objective: Objective, next_batch: Array
    ) -> StepResult:
        labels = self._split.labels[batch]
        N, M, K = len(batch), len(self._network.exits), self._network.classes
        losses, companions, predictions = np.empty((N, M)), np.empty((N, M)), np.empty((N, M + 1), np.int64)
        logits = [np.empty((N, K), np.float32) for _ in range(M)]

        def work(ctx: Context, start: int, stop: int) -> None:
            part = slice(start, stop)
            x = self._input(batch[part], ctx)
            chunk, result = loss_and_gradients(self._network, x, labels[part], objective, N, ctx)
            losses[part], companions[part] = result.per_classifier.T, result.companions.T
            for whole, z in zip(logits, chunk, strict=True):
                whole[part] = z

        self._backend.run(N, work, training=True, key=key)
        own = self._backend.comm.share(N)
        with np.errstate(invalid="ignore"):  # of logits that are not finite: the loss below shows them
            joint = objective.predictions([z[own] for z in logits])
        predictions[own] = np.stack([*(z[own].argmax(axis=1) for z in logits), joint], axis=1)
        self._backend.comm.gather_rows(losses, companions, predictions)
        if np.isfinite((losses @ np.asarray(objective.weights)).sum()):
            self._optimiser.step(self._backend.gradients, learning_rate)
        return StepResult(losses, companions, predictions)


class FeatureStep(CpuStep):
    """A step of a classifier on features that were computed before (see `cldl.training.frozen`)."""

    def __init__(
        self, network: Network, features: Features, split: Split, backend: CpuBackend, optimiser: Optimiser
    ) -> None:
        super().__init__(network, InputPipeline(Scale()), split, backend, optimiser)
        self._features = features

    def __call__(
        self, batch: Array, key: Key, learning_rate: float, objective: Objective, next_batch: Array
    ) -> StepResult:
        self._features.train  # noqa: B018 -- computed here, by all threads, and not by those that take the batch
        return super().__call__(batch, key, learning_rate, objective, next_batch)

    def _input(self, batch: Array, ctx: Context) -> Array:
        return self._features.train[batch]
