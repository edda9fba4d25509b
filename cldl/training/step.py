"""One training step: forward, loss, backward, update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np

from cldl.objective import Objective
from cldl.recipes.recipe import Recipe
from data.dataset import Dataset
from data.transforms.preprocessing import Preprocessing
from engine.context import Context
from engine.optim.optimisers import Optimiser
from engine.random import Key
from engine.runtime.backend import Backend
from engine.runtime.cpu import CpuBackend
from engine.typing import Array
from layers.network import Network


@dataclass(frozen=True)
class StepResult:
    """What a step leaves on the CPU, from before the update.

    losses, companions -- (N, M), the l^(m) and the T^(m)
    answers            -- (N, M + 1), of each classifier, and of all together
    """

    losses: Array
    companions: Array
    predictions: Array


class Step(Protocol):
    """A step on the samples `batch` (indices into the training images); no update where the loss is not finite.

    `then` are the samples of the step after it, which a step may begin to fetch; none, where the epoch ends.
    """

    def __call__(self, batch: Array, key: Key, rate: float, objective: Objective, then: Array) -> StepResult: ...


class Pass:
    """From a chunk's images to its gradients, wherever its arrays are."""

    def __init__(self, recipe: Recipe, network: Network, preprocessing: Preprocessing) -> None:
        self.network, self.preprocessing, self.augmentation = network, preprocessing, recipe.make_augmentation()
        self.classifiers, self.batch_size = recipe.classifiers, recipe.batch_size
        self._weights: dict[Objective, Array] = {}

    def weights(self, objective: Objective) -> Array:
        """Lambda (M,), the same array every time."""
        return self._weights.setdefault(objective, np.array(objective.weights, np.float64))

    def __call__(
        self,
        images: Array,
        labels: Array,
        losses: Array,
        companions: Array,
        samples: int,
        objective: Objective,
        ctx: Context,
    ) -> Sequence[Array]:
        """The scores; losses and companions (n, M) are written, gradients added to `ctx`, for a batch of `samples`."""
        x = self.preprocessing(images, ctx)
        if self.augmentation:
            x = self.augmentation(x, ctx)
        logits, cache = self.network.forward(x, ctx)
        dlogits = tuple(ctx.empty(z.shape, z.dtype) for z in logits)
        weights = ctx.to_device_cached(self.weights(objective))
        objective.into(logits, labels, weights, losses, companions, dlogits, 1 / samples)
        self.network.backward(dlogits, cache, ctx, need_dx=False)
        return logits


class CpuStep:
    """A step on the CPU: threads take chunks of the batch through the network."""

    def __init__(self, once: Pass, dataset: Dataset, backend: CpuBackend, optimiser: Optimiser) -> None:
        self.once, self._dataset, self._workers, self._optimiser = once, dataset, backend, optimiser

    def __call__(self, batch: Array, key: Key, rate: float, objective: Objective, then: Array) -> StepResult:
        images, labels = self._dataset.train_images[batch], self._dataset.train_labels[batch]
        N, M, K = len(batch), self.once.classifiers, self.once.network.classes
        losses, companions = np.empty((N, M)), np.empty((N, M))
        logits = [np.empty((N, K), np.float32) for _ in range(M)]

        def work(ctx: Context, start: int, stop: int) -> None:
            part = slice(start, stop)
            scores = self.once(images[part], labels[part], losses[part], companions[part], N, objective, ctx)
            for whole, z in zip(logits, scores, strict=True):
                whole[part] = z

        self._workers.run(N, work, training=True, key=key)
        if np.isfinite((losses @ self.once.weights(objective)).sum()):
            self._optimiser.step(self._workers.gradients, rate)
        with np.errstate(invalid="ignore"):  # it shows in the loss
            fused = objective.predictions(logits)
        return StepResult(losses, companions, np.stack([*(z.argmax(axis=1) for z in logits), fused], axis=1))


def make_step(once: Pass, dataset: Dataset, backend: Backend, optimiser: Optimiser) -> Step:
    """A step on the CPU or on a GPU, wherever the workers are."""
    if isinstance(backend, CpuBackend):
        return CpuStep(once, dataset, backend, optimiser)
    from cldl.training.cuda.step import CudaStep

    return CudaStep(once, dataset, cast(Any, backend), optimiser)
