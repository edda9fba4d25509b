"""One training step on the CPU: forward, loss, backward, update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cldl.objective import Objective
from data.dataset import Split
from data.transforms.augmentation import CropFlip
from data.transforms.preprocessing import Preprocessing
from engine.context import Context
from engine.optim.optimisers import Optimiser
from engine.random import Key
from engine.runtime.cpu import CpuBackend
from engine.typing import Array
from layers.network import Network


@dataclass(frozen=True)
class StepResult:
    """What a step leaves on the CPU, from before the update.

    losses, companions -- (N, M), the l^(m) and the T^(m)
    predictions        -- (N, M + 1), of each classifier, and of all together
    """

    losses: Array
    companions: Array
    predictions: Array


class TrainStep(Protocol):
    """A step on the samples `batch` (indices into the training images); no update where the loss is not finite.

    `next_batch` are the samples of the step after it, which a step may prefetch; none, where the epoch ends.
    """

    def __call__(
        self, batch: Array, key: Key, learning_rate: float, objective: Objective, next_batch: Array
    ) -> StepResult: ...


@dataclass(frozen=True)
class InputPipeline:
    """From bytes (n, H, W, C) to the network's input, in the memory of the pass."""

    preprocessing: Preprocessing
    augmentation: CropFlip | None = None

    def __call__(self, images: Array, ctx: Context) -> Array:
        x = self.preprocessing(images, ctx)
        return self.augmentation(x, ctx) if self.augmentation else x


class CpuStep:
    """A step on the CPU: threads take chunks of the batch through the network."""

    def __init__(
        self, network: Network, pipeline: InputPipeline, split: Split, backend: CpuBackend, optimiser: Optimiser
    ) -> None:
        self._network, self._pipeline, self._split = network, pipeline, split
        self._backend, self._optimiser = backend, optimiser

    def __call__(
        self, batch: Array, key: Key, learning_rate: float, objective: Objective, next_batch: Array
    ) -> StepResult:
        labels = self._split.labels[batch]
        N, M, K = len(batch), len(self._network.exits), self._network.classes
        losses, companions = np.empty((N, M)), np.empty((N, M))
        logits = [np.empty((N, K), np.float32) for _ in range(M)]

        def work(ctx: Context, start: int, stop: int) -> None:
            part = slice(start, stop)
            images = ctx.empty((stop - start, *self._split.shape), np.uint8)
            self._split.read(batch[part], images)
            z, cache = self._network.forward(self._pipeline(images, ctx), ctx)
            result = objective(z, labels[part], samples=N)
            self._network.backward(result.gradients, cache, ctx, need_dx=False)
            losses[part], companions[part] = result.per_classifier.T, result.companions.T
            for whole, own in zip(logits, z, strict=True):
                whole[part] = own

        self._backend.run(N, work, training=True, key=key)
        if np.isfinite((losses @ np.asarray(objective.weights)).sum()):
            self._optimiser.step(self._backend.gradients, learning_rate)
        with np.errstate(invalid="ignore"):  # it shows in the loss
            joint = objective.predictions(logits)
        return StepResult(losses, companions, np.stack([*(z.argmax(axis=1) for z in logits), joint], axis=1))
