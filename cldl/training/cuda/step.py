"""A training step on a GPU: a CUDA graph that is fed with a key, a learning rate and the places of its samples.

What changes from step to step lies at fixed places in the GPU's memory and is copied there before the graph is launched: the
key, the places and labels of the batch, the optimiser's numbers. All else is in the graph, from the bytes of the images to the
update; losses and answers come back in one copy. The data set's images stay on the GPU where they take no more than half of its
free memory; otherwise each batch is copied there during the step before it.
"""

from __future__ import annotations

import cupy
import numpy as np

from cldl.objective import Objective
from cldl.training.cuda.inference import predictions
from cldl.training.cuda.loss import stop_unless_finite
from cldl.training.step import Pass, StepResult
from data.dataset import Dataset
from engine.errors import UserError
from engine.kernels.cuda.images import gather
from engine.optim.optimisers import NUMBERS, Optimiser
from engine.random import Key
from engine.runtime.cuda import CudaBackend
from engine.runtime.cuda_context import CudaContext
from engine.runtime.graph import CapturedGraph
from engine.runtime.prefetch import Prefetcher
from engine.typing import CudaArray

SHARE = 0.5  # of the free memory that a data set may take


class CudaStep:
    """A step on one GPU; a graph for each size of batch (the last of an epoch may be smaller) and each objective."""

    def __init__(self, once: Pass, dataset: Dataset, backend: CudaBackend, optimiser: Optimiser) -> None:
        self._pass, self._dataset, self._workers, self._optimiser = once, dataset, backend, optimiser
        self._images, self.prefetcher = None, None
        if dataset.train_images.nbytes <= SHARE * cupy.cuda.runtime.memGetInfo()[0]:
            self._images = cupy.asarray(dataset.train_images)
        else:
            self.prefetcher = Prefetcher(dataset.train_images, once.batch_size)
        self.forms: dict[tuple[int, Objective], CapturedStep] = {}

    def __call__(self, batch: np.ndarray, key: Key, rate: float, objective: Objective, then: np.ndarray) -> StepResult:
        with self._workers.active():
            form = self.forms.get((len(batch), objective))
            if form is None:
                self.forms = {key: old for key, old in self.forms.items() if key[1] == objective}  # graphs hold memory
                self._check_memory(len(batch), objective)
                form = CapturedStep(len(batch), objective, self._pass, self._workers, self._optimiser, self._images)
                self.forms[len(batch), objective] = form
            if self.prefetcher:
                self.prefetcher.to_device(batch, form.images, self._workers.stream)
            form.launch(batch, self._dataset.train_labels[batch], key, self._optimiser.numbers(rate))
            if self.prefetcher and len(then):
                self.prefetcher.start(then)
            return form.outcome()

    def _check_memory(self, samples: int, objective: Objective) -> None:
        """Raise UserError unless the scratch memory of a pass over so many samples fits."""
        one, two = (self._scratch(n, objective) for n in (1, 2))
        each, free = max(two - one, 1), _free()
        needed, fits = one + (samples - 1) * each, max(0, (free - one) // each + 1)
        if needed > free:
            parameters = self._workers.gradients.buffer.nbytes * (2 + len(self._optimiser.state))
            data = sum(held.nbytes for held in (self._images, self.prefetcher) if held is not None)
            raise UserError(
                f"a step of {samples} images needs {_size(needed)} of the GPU's memory for what its layers write, beside "
                f"{_size(parameters)} for parameters, gradients and optimiser and {_size(data)} for the data set, which are "
                f"there already; {_size(free)} is free: give --batch-size {fits} or less."
            )

    def _scratch(self, samples: int, objective: Objective) -> int:
        """Bytes of scratch memory that a pass over so many samples takes."""
        ctx = self._workers.new_context()
        ctx.begin(training=True)
        images = cupy.zeros((samples, *self._dataset.train_images.shape[1:]), np.uint8)
        losses, companions = (cupy.empty((samples, self._pass.classifiers)) for _ in range(2))
        self._pass(images, cupy.zeros(samples, np.int64), losses, companions, samples, objective, ctx)
        return ctx.nbytes


class CapturedStep:
    """The arrays and the graph of a step of `samples` samples; `source` has the images of the data set, if it is on the GPU."""

    def __init__(
        self,
        samples: int,
        objective: Objective,
        once: Pass,
        backend: CudaBackend,
        optimiser: Optimiser,
        source: CudaArray | None,
    ) -> None:
        self._objective = objective
        self._pass, self._workers, self._optimiser, self._source = once, backend, optimiser, source
        N, M, n = samples, once.classifiers, NUMBERS + len(optimiser.parameters)
        self.images = cupy.empty((N, *once.network.input_shape), np.uint8)
        self._fed = cupy.empty(n + 2 * N, np.int64)  # one copy to the GPU a step
        self._numbers = self._fed[:n].view(np.float64)  # the optimiser's
        self._index, self._labels = self._fed[n : n + N], self._fed[n + N :]
        self._left = cupy.empty(N * (3 * M + 1), np.int64)  # and one back
        self._losses = self._left[: N * M].view(np.float64).reshape(N, M)
        self._companions = self._left[N * M : 2 * N * M].view(np.float64).reshape(N, M)
        self._answers = self._left[2 * N * M :].reshape(N, M + 1)
        self.graph = CapturedGraph(self._work, backend.new_context(), backend.stream)

    def launch(self, index: np.ndarray, labels: np.ndarray, key: Key, numbers: np.ndarray) -> None:
        """Begin the step on these samples, with this key, by the optimiser's numbers."""
        self._workers.words.set(np.array(key.halves, np.uint64))
        self._fed.set(np.concatenate([numbers.view(np.int64), index, labels]))
        self.graph()

    def outcome(self) -> StepResult:
        """What the step leaves, once it has ended."""
        left, (N, M) = cupy.asnumpy(self._left), self._losses.shape
        losses, companions = left[: 2 * N * M].view(np.float64).reshape(2, N, M)
        return StepResult(losses, companions, left[2 * N * M :].reshape(N, M + 1))

    def _work(self, ctx: CudaContext) -> None:
        gradients, once = self._workers.gradients, self._pass
        N, K = len(self._labels), once.network.classes
        ctx.begin(training=True)
        gradients.buffer.fill(0)
        if self._source is not None:
            gather(self._source.reshape(len(self._source), -1), self._index, self.images.reshape(N, -1))
        logits = once(self.images, self._labels, self._losses, self._companions, N, self._objective, ctx)
        weights = ctx.to_device_cached(once.weights(self._objective))
        shapes = (N, K, len(weights)), (N, K), (N, K)
        margins, losses, preference = (ctx.empty(shape, np.float64) for shape in shapes)
        fused = self._objective.loss == "cldl"
        predictions(logits, weights, self._objective.g, fused, margins, losses, preference, self._answers)
        stop_unless_finite(self._losses, weights, self._numbers)
        self._optimiser.apply(gradients, self._numbers)


def _free() -> int:
    """Bytes that can still be had: the system's, and those that CuPy holds and nobody uses."""
    return cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"
