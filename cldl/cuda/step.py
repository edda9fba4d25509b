"""A training step on a GPU: a CUDA graph that is fed with a key, a learning rate and the places of its samples.

What changes from step to step lies at fixed places in the GPU's memory and is copied there before the graph is launched: the
key, the indices of the batch, the optimiser's numbers. All else is in the graph, from the bytes of the images to the update. The
images stay on the GPU where they take no more than half of its free memory; otherwise each batch is copied there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np

from cldl.cuda.loss import stop_unless_finite
from cldl.step import Outcome, Pass
from data.dataset import Dataset
from engine.cuda.context import CudaContext, CudaMemory
from engine.cuda.graph import Replayed
from engine.cuda.images import gather
from engine.cuda.workers import CudaWorkers
from engine.errors import UserError
from engine.key import Key
from engine.optimisers import Optimiser

Array = Any  # CuPy's


class CudaStep:
    """A step on one GPU; a graph for each size of batch (the last of an epoch may be smaller)."""

    def __init__(self, once: Pass, dataset: Dataset, workers: CudaWorkers, optimiser: Optimiser) -> None:
        self._pass, self._dataset, self.workers, self._optimiser = once, dataset, workers, optimiser
        resident = dataset.train_images.nbytes <= cupy.cuda.runtime.memGetInfo()[0] // 2
        self._images = cupy.asarray(dataset.train_images) if resident else None
        self.forms: dict[int, _Form] = {}

    def __call__(self, batch: np.ndarray, key: Key, rate: float) -> Outcome:
        with self.workers.on():
            if len(batch) not in self.forms:
                self._check_memory(len(batch))
                self.forms[len(batch)] = _Form(len(batch), self._pass, self.workers, self._optimiser)
            form = self.forms[len(batch)]
            form.labels.set(self._dataset.train_labels[batch])
            if self._images is None:
                form.images.set(self._dataset.train_images[batch])
            else:
                form.index.set(batch.astype(np.int64))
                gather(self._images.reshape(len(self._images), -1), form.index, form.images.reshape(len(batch), -1))
            return form.take(key, self._optimiser.numbers(rate))

    def _check_memory(self, samples: int) -> None:
        """Raise UserError unless the scratch memory of a pass over so many samples fits."""
        one, two = (self._scratch(n) for n in (1, 2))
        each, free = max(two - one, 1), _free()
        needed, fits = one + (samples - 1) * each, max(0, (free - one) // each + 1)
        if needed > free:
            parameters = self.workers.gradients.buffer.nbytes * (2 + len(self._optimiser.state))
            data = 0 if self._images is None else self._images.nbytes
            raise UserError(
                f"a step of {samples} images needs {_size(needed)} of the GPU's memory for what its layers write, beside "
                f"{_size(parameters)} for parameters, gradients and optimiser and {_size(data)} for the data set, which are "
                f"there already; {_size(free)} is free: give --batch-size {fits} or less."
            )

    def _scratch(self, samples: int) -> int:
        """Bytes of scratch memory that a pass over so many samples takes."""
        ctx = CudaContext(self.workers.words, self.workers.gradients.views, CudaMemory())
        ctx.begin(training=True)
        images = cupy.zeros((samples, *self._dataset.train_images.shape[1:]), np.uint8)
        losses, companions = (cupy.empty((samples, len(self._pass.weights))) for _ in range(2))
        self._pass(images, cupy.zeros(samples, np.int64), losses, companions, samples, ctx)
        return ctx.nbytes


class _Form:
    """The arrays and the graph of a step of `samples` samples."""

    def __init__(self, samples: int, once: Pass, workers: CudaWorkers, optimiser: Optimiser) -> None:
        self._pass, self._workers, self._optimiser = once, workers, optimiser
        M = len(once.weights)
        self.images = cupy.empty((samples, *once.network.input_shape), np.uint8)
        self.index, self.labels = (cupy.empty(samples, np.int64) for _ in range(2))
        self._numbers = cupy.empty(4)  # of the optimiser
        self._losses, self._companions = (cupy.empty((samples, M)) for _ in range(2))
        self._logits: Sequence[Array] = []
        self.replayed = Replayed(self._work, workers.stream)

    def take(self, key: Key, numbers: np.ndarray) -> Outcome:
        """The step with this key, by these numbers."""
        self._workers.words.set(np.array(key.halves, np.uint64))
        self._numbers.set(numbers)
        self.replayed()
        logits = [cupy.asnumpy(z) for z in self._logits]
        return Outcome(cupy.asnumpy(self._losses), cupy.asnumpy(self._companions), logits)

    def _work(self) -> None:
        ctx, gradients = self._workers.context, self._workers.gradients
        ctx.begin(training=True)
        gradients.buffer.fill(0)
        samples = len(self.labels)
        self._logits = self._pass(self.images, self.labels, self._losses, self._companions, samples, ctx)
        stop_unless_finite(self._losses, ctx.constant(self._pass.weights), self._numbers)
        self._optimiser.apply(gradients, self._numbers)


def _free() -> int:
    """Bytes that can still be had: the system's, and those that CuPy holds and nobody uses."""
    return cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"
