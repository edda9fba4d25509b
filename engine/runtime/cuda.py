"""One GPU for a network's parameters, with the face of engine.runtime.cpu.Workers: the samples go through in one stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cupy
import numpy as np

from engine.device import on_gpu
from engine.kernels.cuda.gemm import choose_products, multiplying
from engine.parameters import FlatBuffer, Parameter
from engine.random import Key
from engine.runtime.cpu import Work
from engine.runtime.cuda_context import CudaContext

CHUNK = 1024  # images of an evaluation


class CudaBackend:
    """A stream, a context and the gradients of one network's parameters, which are moved to the GPU."""

    threads = 1

    def __init__(self, parameters: Sequence[Parameter], *, precision: str = "float32", chunk: int = CHUNK) -> None:
        for parameter in parameters:
            if not on_gpu(parameter.value):
                parameter.value = cupy.asarray(parameter.value)
        self.chunk, self.precision = chunk, precision
        self.stream = (
            cupy.cuda.Stream()
        )  # one that waits for what is done on the default stream, and the other way round
        self.gradients = FlatBuffer(parameters)
        self.words = cupy.zeros(2, np.uint64)  # the step's key
        self.context = CudaContext(self.words, self.gradients.views)
        self._products = choose_products(precision)

    def run(self, samples: int, work: Work, *, training: bool = False, key: Key | None = None) -> None:
        """Call `work(ctx, start, stop)` for every chunk of a batch of `samples`; one chunk in training."""
        with self.on():
            self.words.set(np.array((key or Key(0)).halves, np.uint64))
            self.gradients.buffer.fill(0)
            chunk = samples if training else self.chunk
            for start in range(0, samples, max(chunk, 1)):
                self.context.begin(training=training, first=start)
                work(self.context, start, min(start + chunk, samples))
            self.stream.synchronize()

    @contextmanager
    def on(self) -> Iterator[None]:
        """What is launched inside goes to this stream, its products to these."""
        with self.stream, multiplying(self._products):
            yield

    @property
    def place(self) -> str:
        """The GPU's name, and the precision of its products."""
        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
        return f"{name}, products in {self.precision} by {type(self._products).__name__}"

    @property
    def nbytes(self) -> int:
        """Scratch memory, in bytes."""
        return self.context.nbytes
