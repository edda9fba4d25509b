"""A training step on a GPU: a CUDA graph that is fed with a key, a learning rate and the indices of its samples.

What changes from step to step lies at fixed addresses of the GPU's memory and is copied there before the graph is launched: the
key, the indices and labels of the batch, the optimiser's hyperparameters. All else is in the graph, from the bytes of the images
to the update; losses and predictions come back in one copy. The data set's images stay on the GPU where they take no more than
half of its free memory; otherwise each batch is copied there during the step before it. Images of files are read by threads
meanwhile.
"""

from __future__ import annotations

import math

import cupy
import numpy as np

from cldl.objective import Objective
from cldl.training.cuda.inference import predictions
from cldl.training.cuda.loss import stop_unless_finite
from cldl.training.step import InputPipeline, StepResult, loss_and_gradients
from data.dataset import BATCH, Split, read_images
from data.disk.read_ahead import ReadAhead
from engine.errors import UserError
from engine.kernels.cuda.images import gather
from engine.optim.optimisers import SHARED, Optimiser
from engine.random import Key
from engine.runtime.cuda import CudaBackend
from engine.runtime.cuda_context import CudaContext
from engine.runtime.graph import CapturedGraph
from engine.runtime.prefetch import Prefetcher
from engine.typing import CudaArray
from layers.network import Network

SHARE = 0.5  # of the free memory that a data set may take


class CudaStep:
    """A step on one GPU; a graph for each size of batch (the last of an epoch may be smaller) and each objective."""

    def __init__(
        self,
        network: Network,
        pipeline: InputPipeline,
        split: Split,
        backend: CudaBackend,
        optimiser: Optimiser,
        batch_size: int,
    ) -> None:
        self._network, self._pipeline, self._split = network, pipeline, split
        self._backend, self._optimiser = backend, optimiser
        self._images, self.prefetcher = None, None
        in_memory = not isinstance(split, ReadAhead)
        if in_memory and len(split) * math.prod(split.shape) <= SHARE * cupy.cuda.runtime.memGetInfo()[0]:
            self._images = _to_gpu(split)
        else:
            self.prefetcher = Prefetcher(split.read, split.shape, batch_size)
        self.captured: dict[tuple[int, Objective], CapturedStep] = {}

    def __call__(
        self, batch: np.ndarray, key: Key, learning_rate: float, objective: Objective, next_batch: np.ndarray
    ) -> StepResult:
        with self._backend.active():
            step = self.captured.get((len(batch), objective))
            if step is None:
                self.captured = {k: old for k, old in self.captured.items() if k[1] == objective}  # graphs hold memory
                self._check_memory(len(batch), objective)
                parts = self._network, self._pipeline, self._backend, self._optimiser, self._images
                step = CapturedStep(len(batch), objective, *parts)
                self.captured[len(batch), objective] = step
            if self.prefetcher:
                self.prefetcher.to_device(batch, step.images, self._backend.stream)
            hyperparameters = self._optimiser.step_hyperparameters(learning_rate)
            step.launch(batch, self._split.labels[batch], key, hyperparameters)
            if self.prefetcher and len(next_batch):
                self.prefetcher.start(next_batch)
            return step.result()

    def _check_memory(self, samples: int, objective: Objective) -> None:
        """Raise UserError unless the scratch memory of a pass over so many samples fits."""
        one, two = (self._scratch(n, objective) for n in (1, 2))
        each, free = max(two - one, 1), _free()
        needed, fits = one + (samples - 1) * each, max(0, (free - one) // each + 1)
        if needed > free:
            parameters = self._backend.gradients.buffer.nbytes * (2 + len(self._optimiser.state))
            data = sum(held.nbytes for held in (self._images, self.prefetcher) if held is not None)
            raise UserError(
                f"a step of {samples} images needs {_size(needed)} of the GPU's memory for what its layers write, beside "
                f"{_size(parameters)} for parameters, gradients and optimiser and {_size(data)} for the data set, which are "
                f"there already; {_size(free)} is free: give --batch-size {fits} or less."
            )

    def _scratch(self, samples: int, objective: Objective) -> int:
        """Bytes of scratch memory that a pass over so many samples takes."""
        ctx = self._backend.new_context()
        ctx.begin(training=True)
        images, labels = cupy.zeros((samples, *self._split.shape), np.uint8), cupy.zeros(samples, np.int64)
        loss_and_gradients(self._network, self._pipeline(images, ctx), labels, objective, samples, ctx)
        return ctx.nbytes


class CapturedStep:
    """The arrays and the graph of a step of `samples` samples; `source` has the images of the data set, if it is on the GPU."""

    def __init__(
        self,
        samples: int,
        objective: Objective,
        network: Network,
        pipeline: InputPipeline,
        backend: CudaBackend,
        optimiser: Optimiser,
        source: CudaArray | None,
    ) -> None:
        self._objective, self._network, self._pipeline = objective, network, pipeline
        self._backend, self._optimiser, self._source = backend, optimiser, source
        N, M, n = samples, len(objective.weights), SHARED + len(optimiser.parameters)
        self.images = cupy.empty((N, *network.input_shape), np.uint8)
        self._fed = cupy.empty(n + 2 * N, np.int64)  # one copy to the GPU a step
        self._hyperparameters = self._fed[:n].view(np.float64)
        self._index, self._labels = self._fed[n : n + N], self._fed[n + N :]
        self._out = cupy.empty(N * (3 * M + 1), np.int64)  # and one back
        self._losses = self._out[: N * M].view(np.float64).reshape(N, M)
        self._companions = self._out[N * M : 2 * N * M].view(np.float64).reshape(N, M)
        self._predictions = self._out[2 * N * M :].reshape(N, M + 1)
        self.graph = CapturedGraph(self._work, backend.new_context(), backend.stream)

    def launch(self, index: np.ndarray, labels: np.ndarray, key: Key, hyperparameters: np.ndarray) -> None:
        """Begin the step on these samples, with this key and the optimiser's hyperparameters."""
        self._backend.words.set(np.array(key.halves, np.uint64))
        self._fed.set(np.concatenate([hyperparameters.view(np.int64), index, labels]))
        self.graph()

    def result(self) -> StepResult:
        """What the step leaves, once it has ended."""
        out, (N, M) = cupy.asnumpy(self._out), self._losses.shape
        losses, companions = out[: 2 * N * M].view(np.float64).reshape(2, N, M)
        return StepResult(losses, companions, out[2 * N * M :].reshape(N, M + 1))

    def _work(self, ctx: CudaContext) -> None:
        gradients, objective = self._backend.gradients, self._objective
        N, K, weights = len(self._labels), self._network.classes, objective.weights
        ctx.begin(training=True)
        gradients.buffer.fill(0)
        if self._source is not None:
            gather(self._source.reshape(len(self._source), -1), self._index, self.images.reshape(N, -1))
        x = self._pipeline(self.images, ctx)
        logits, result = loss_and_gradients(self._network, x, self._labels, objective, N, ctx)
        self._losses[...], self._companions[...] = result.per_classifier.T, result.companions.T
        shapes = (N, K, len(weights)), (N, K), (N, K)
        margins, losses, preference = (ctx.empty(shape, np.float64) for shape in shapes)
        joint = objective.loss == "cldl"
        predictions(logits, weights, objective.g, joint, margins, losses, preference, self._predictions)
        stop_unless_finite(self._losses, weights, self._hyperparameters)
        self._optimiser.apply(gradients, self._hyperparameters)


def _to_gpu(split: Split) -> CudaArray:
    """All images of a split, copied to the GPU batch by batch."""
    images = cupy.empty((len(split), *split.shape), np.uint8)
    for start in range(0, len(split), BATCH):
        stop = min(start + BATCH, len(split))
        images[start:stop].set(read_images(split, range(start, stop)))
    return images


def _free() -> int:
    """Bytes that can still be allocated: the system's, and those that CuPy holds unused."""
    return cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"
