"""The backend of one NVIDIA GPU: all samples of a batch go through the network at once, on one stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from weakref import WeakSet

import cupy
import numpy as np

from engine.device import on_gpu
from engine.kernels.cuda.gemm import choose_products, use_products
from engine.parameters import FlatBuffer, Parameter
from engine.random import Key
from engine.runtime.communicator import ALONE
from engine.runtime.cuda_context import CudaContext

CHUNK = 1024  # images of an evaluation
Work = Callable[[CudaContext, int, int], None]


class CudaBackend:
    """A stream, a context and the gradients of one network's parameters, which are moved to the GPU."""

    threads, comm = 1, ALONE

    def __init__(self, parameters: Sequence[Parameter], *, precision: str = "float32", chunk: int = CHUNK) -> None:
        for parameter in parameters:
            if not on_gpu(parameter.value):
                parameter.value = cupy.asarray(parameter.value)
        self.chunk, self.precision = chunk, precision
        self.stream = cupy.cuda.Stream()  # it waits for work on the default stream, and the other way round
        self.gradients = FlatBuffer(parameters)
        self.words = cupy.zeros(2, np.uint64)  # the step's key
        self._copies: dict = {}
        self._contexts: WeakSet[CudaContext] = WeakSet()
        self._context = self.new_context()
        self._products = choose_products(precision)

    def new_context(self) -> CudaContext:
        """A context with scratch memory of its own, which ends with it; key, gradients and constants are the backend's."""
        context = CudaContext(self.words, self.gradients.views, self._copies)
        self._contexts.add(context)
        return context

    def run(self, samples: int, work: Work, *, training: bool = False, key: Key | None = None) -> None:
        """Call `work(ctx, start, stop)` for every chunk of a batch of `samples`; one chunk in training."""
        with self.active():
            self.words.set(np.array((key or Key(0)).halves, np.uint64))
            self.gradients.buffer.fill(0)
            chunk = samples if training else self.chunk
            for start in range(0, samples, max(chunk, 1)):
                self._context.begin(training=training, first_sample=start)
                work(self._context, start, min(start + chunk, samples))
            self.stream.synchronize()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Launch what is inside on this backend's stream, with matrix products of its precision."""
        with self.stream, use_products(self._products):
            yield

    def __reduce__(self) -> tuple:
        """A copy, or what is pickled: a new stream and new memory for (copies of) the same parameters."""
        return partial(CudaBackend, precision=self.precision, chunk=self.chunk), (list(self.gradients.views),)

    @property
    def device_name(self) -> str:
        """The GPU's name, and the precision of its matrix products."""
        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
        return f"{name}, products in {self.precision} by {type(self._products).__name__}"

    @property
    def nbytes(self) -> int:
        """Bytes of scratch memory held by all contexts."""
        return sum(context.nbytes for context in self._contexts)
