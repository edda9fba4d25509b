"""A training step on a GPU: a CUDA graph that is fed with a key, a learning rate and the indices of its samples.

What changes from step to step lies at fixed addresses of the GPU's memory and is copied there before the graph is launched: the
key, the indices and labels of the batch, the optimiser's hyperparameters. All else is in the graph, from the bytes of the images
to the update; losses and predictions come back in one copy. The data set's images stay on the GPU where they take no more than
half of its free memory; otherwise each batch is copied there during the step before it. Images of files are read by threads
meanwhile.

Of several ranks each takes its slice of the batch. The sums over the ranks, of gradients, losses and predictions, are in the
graph, so that all make the same update, or none where the batch's loss is not finite.
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
            self.prefetcher = Prefetcher(split.read, split.shape, -(-batch_size // backend.comm.size))
        self.captured: dict[tuple[int, Objective], CapturedStep] = {}

    def __call__(
        self, batch: np.ndarray, key: Key, learning_rate: float, objective: Objective, next_batch: np.ndarray
    ) -> StepResult:
        own, own_next = (indices[self._backend.comm.share(len(indices))] for indices in (batch, next_batch))
        with self._backend.active():
            step = self.captured.get((len(batch), objective))
            if step is None:
                self.captured = {k: old for k, old in self.captured.items() if k[1] == objective}  # graphs hold memory
                self._check_memory(len(own), objective)
                parts = self._network, self._pipeline, self._backend, self._optimiser, self._images
                step = CapturedStep(len(batch), objective, *parts)
                self.captured[len(batch), objective] = step
            if self.prefetcher:
                self.prefetcher.to_device(own, step.images, self._backend.stream)
            hyperparameters = self._optimiser.step_hyperparameters(learning_rate)
            step.launch(own, self._split.labels[own], key, hyperparameters)
            if self.prefetcher and len(own_next):
                self.prefetcher.start(own_next)
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
                f"there already; {_size(free)} is free: give --batch-size {fits * self._backend.comm.size} or less."
            )

    def _scratch(self, samples: int, objective: Objective) -> int:
        """Bytes of scratch memory that a pass over so many samples takes."""
        ctx = self._backend.new_context()
        ctx.begin(training=True)
        images, labels = cupy.zeros((samples, *self._split.shape), np.uint8), cupy.zeros(samples, np.int64)
        loss_and_gradients(self._network, self._pipeline(images, ctx), labels, objective, samples, ctx)
        return ctx.nbytes


class CapturedStep:
    """The arrays and the graph of a step of `samples` samples, of which this rank takes its slice.

    source -- the images of the data set, if they are on the GPU
    """

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
        N, M, h = samples, len(objective.weights), SHARED + len(optimiser.parameters)
        own = backend.comm.share(N)
        n = own.stop - own.start
        self.images = cupy.empty((n, *network.input_shape), np.uint8)
        self._fed = cupy.empty(h + 2 * n, np.int64)  # one copy to the GPU a step
        self._hyperparameters = self._fed[:h].view(np.float64)
        self._index, self._labels = self._fed[h : h + n], self._fed[h + n :]
        self._out = cupy.empty(N * (3 * M + 1), np.int64)  # and one back
        self._losses = self._out[: N * M].view(np.float64).reshape(N, M)
        self._companions = self._out[N * M : 2 * N * M].view(np.float64).reshape(N, M)
        self._predictions = self._out[2 * N * M :].reshape(N, M + 1)
        self.graph = CapturedGraph(self._work, backend.new_context(), backend.stream, backend.comm)

    def launch(self, index: np.ndarray, labels: np.ndarray, key: Key, hyperparameters: np.ndarray) -> None:
        """Begin the step on these samples, with this key and the optimiser's hyperparameters."""
        self._backend.words.set(np.array(key.halves, np.uint64))
        self._fed.set(np.concatenate([hyperparameters.view(np.int64), index, labels]))
        self.graph()

    def result(self) -> StepResult:
        """What the step leaves, once it has ended."""
        self._backend.wait()
        out, (N, M) = cupy.asnumpy(self._out), self._losses.shape
        losses, companions = out[: 2 * N * M].view(np.float64).reshape(2, N, M)
        return StepResult(losses, companions, out[2 * N * M :].reshape(N, M + 1))

    def _work(self, ctx: CudaContext) -> None:
        self._out.fill(0)  # the rows of other ranks: what is added are bits
        self._backend.launch(ctx, len(self._losses), self._pass)
        self._backend.add(self._out)
        stop_unless_finite(self._losses, self._objective.weights, self._hyperparameters)
        self._optimiser.apply(self._backend.gradients, self._hyperparameters)

    def _pass(self, ctx: CudaContext, start: int, stop: int) -> None:
        """Forward and backward; this rank's rows of losses and predictions."""
        n, own, objective = stop - start, slice(start, stop), self._objective
        N, K, weights = len(self._losses), self._network.classes, objective.weights
        if self._source is not None:
            gather(self._source.reshape(len(self._source), -1), self._index, self.images.reshape(n, -1))
        x = self._pipeline(self.images, ctx)
        logits, result = loss_and_gradients(self._network, x, self._labels, objective, N, ctx)
        self._losses[own], self._companions[own] = result.per_classifier.T, result.companions.T
        shapes = (n, K, len(weights)), (n, K), (n, K)
        margins, losses, preference = (ctx.empty(shape, np.float64) for shape in shapes)
        joint = objective.loss == "cldl"
        predictions(logits, weights, objective.g, joint, margins, losses, preference, self._predictions[own])


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
