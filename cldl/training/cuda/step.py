"""A training step on a GPU: a CUDA graph that is fed with a key, a learning rate and the indices of its samples.

What changes from step to step lies at fixed addresses of the GPU's memory and is copied there before the graph is launched: the
key, the indices and labels of the batch, the optimiser's hyperparameters. All else is in the graph, from the bytes of the images
to the update; losses and predictions come back in one copy. The data set's images stay on the GPU where they take no more than
half of its free memory; otherwise each batch is copied there during the step before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cupy
import numpy as np

from cldl.objective import Objective
from cldl.training.cuda.inference import predictions
from cldl.training.cuda.loss import stop_unless_finite
from cldl.training.step import InputPipeline, StepResult
from data.dataset import Split, read_images
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


class LossAndGradients:
    """From a batch's bytes to its losses and all gradients."""

    def __init__(self, network: Network, pipeline: InputPipeline) -> None:
        self.network, self.pipeline = network, pipeline
        self._weights: dict[Objective, np.ndarray] = {}

    def weights(self, objective: Objective, ctx: CudaContext) -> CudaArray:
        """Lambda (M,), copied to the GPU once."""
        host = self._weights.setdefault(objective, np.array(objective.weights, np.float64))
        return ctx.to_device_cached(host)

    def __call__(
        self,
        images: CudaArray,
        labels: CudaArray,
        losses: CudaArray,
        companions: CudaArray,
        objective: Objective,
        ctx: CudaContext,
    ) -> Sequence[CudaArray]:
        """The logits; losses and companions (N, M) are written, gradients added to `ctx`."""
        logits, cache = self.network.forward(self.pipeline(images, ctx), ctx)
        dlogits = tuple(ctx.empty(z.shape, z.dtype) for z in logits)
        weights = self.weights(objective, ctx)
        objective.write_loss_and_gradients(logits, labels, weights, losses, companions, dlogits, 1 / len(labels))
        self.network.backward(dlogits, cache, ctx, need_dx=False)
        return logits


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
        self._loss_and_gradients, self._split = LossAndGradients(network, pipeline), split
        self._backend, self._optimiser = backend, optimiser
        self._images, self.prefetcher = None, None
        if len(split) * math.prod(split.shape) <= SHARE * cupy.cuda.runtime.memGetInfo()[0]:
            self._images = cupy.asarray(read_images(split))
        else:
            self.prefetcher = Prefetcher(split.read, split.shape, batch_size)
        self.captured: dict[tuple[int, Objective], CapturedStep] = {}

    def __call__(
        self, batch: np.ndarray, key: Key, learning_rate: float, objective: Objective, next_batch: np.ndarray
    ) -> StepResult:
        with self._backend.active():
            step = self.captured.get((len(batch), objective))
            if step is None:
                self.captured = {
                    key: old for key, old in self.captured.items() if key[1] == objective
                }  # graphs hold memory
                self._check_memory(len(batch), objective)
                step = CapturedStep(
                    len(batch), objective, self._loss_and_gradients, self._backend, self._optimiser, self._images
                )
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
        losses, companions = (cupy.empty((samples, len(objective.weights))) for _ in range(2))
        self._loss_and_gradients(images, labels, losses, companions, objective, ctx)
        return ctx.nbytes


class CapturedStep:
    """The arrays and the graph of a step of `samples` samples; `source` has the images of the data set, if it is on the GPU."""

    def __init__(
        self,
        samples: int,
        objective: Objective,
        loss_and_gradients: LossAndGradients,
        backend: CudaBackend,
        optimiser: Optimiser,
        source: CudaArray | None,
    ) -> None:
        self._objective, self._loss_and_gradients = objective, loss_and_gradients
        self._backend, self._optimiser, self._source = backend, optimiser, source
        N, M, n = samples, len(objective.weights), SHARED + len(optimiser.parameters)
        self.images = cupy.empty((N, *loss_and_gradients.network.input_shape), np.uint8)
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
        gradients, network = self._backend.gradients, self._loss_and_gradients.network
        N, K = len(self._labels), network.classes
        ctx.begin(training=True)
        gradients.buffer.fill(0)
        if self._source is not None:
            gather(self._source.reshape(len(self._source), -1), self._index, self.images.reshape(N, -1))
        arrays = self.images, self._labels, self._losses, self._companions
        logits = self._loss_and_gradients(*arrays, self._objective, ctx)
        weights = self._loss_and_gradients.weights(self._objective, ctx)
        shapes = (N, K, len(weights)), (N, K), (N, K)
        margins, losses, preference = (ctx.empty(shape, np.float64) for shape in shapes)
        joint = self._objective.loss == "cldl"
        predictions(logits, weights, self._objective.g, joint, margins, losses, preference, self._predictions)
        stop_unless_finite(self._losses, weights, self._hyperparameters)
        self._optimiser.apply(gradients, self._hyperparameters)


def _free() -> int:
    """Bytes that can still be allocated: the system's, and those that CuPy holds unused."""
    return cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"
