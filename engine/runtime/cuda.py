"""The backend of one NVIDIA GPU: all samples of a batch, or of a rank's slice, go through the network at once, on one stream."""

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
from engine.runtime.communicator import ALONE, Communicator
from engine.runtime.cuda_context import CudaContext
from engine.runtime.overlap import Overlap
from engine.typing import CudaArray

CHUNK = 1024  # images of an evaluation
Work = Callable[[CudaContext, int, int], None]


class CudaBackend:
    """A stream, a context and the gradients of one network's parameters, which are moved to the GPU.

    Of several ranks each has a GPU of its own, and takes its slice of the batch in training.
    """

    threads = 1

    def __init__(
        self,
        parameters: Sequence[Parameter],
        *,
        precision: str = "float32",
        chunk: int = CHUNK,
        comm: Communicator = ALONE,
    ) -> None:
        self.comm, self._total, self._overlap = comm, None, None
        if comm.size > 1:
            from engine.runtime.nccl import NcclGradientSum, choose_gpu  # CuPy warns where NCCL is missing

            cupy.cuda.Device(choose_gpu(comm)).use()  # Numba uses the current device of CuPy
        for parameter in parameters:
            if not on_gpu(parameter.value):
                parameter.value = cupy.asarray(parameter.value)
        self.chunk, self.precision = chunk, precision
        self.stream = cupy.cuda.Stream()  # a blocking stream: it and the default stream wait for each other
        self.gradients = FlatBuffer(parameters)
        if comm.size > 1:
            self._total = NcclGradientSum(comm, self.gradients)
            self._overlap = Overlap(self._total, self.gradients, 1, lambda parameter: None)
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
        """Call `work(ctx, start, stop)` for every chunk of a batch of `samples`; in training see `launch`."""
        with self.active():
            self.words.set(np.array((key or Key(0)).halves, np.uint64))
            if training:
                self.launch(self._context, samples, work)
            for start in range(0, 0 if training else samples, self.chunk):
                self._context.begin(training=False, first_sample=start)
                work(self._context, start, min(start + self.chunk, samples))
            self.wait()

    def launch(self, ctx: CudaContext, samples: int, work: Work) -> None:
        """Launch `work` in training, on this rank's slice of a batch, and the sums of the gradients over the ranks."""
        own = self.comm.share(samples)
        self.gradients.buffer.fill(0)
        ctx.begin(training=True, first_sample=own.start)
        if self._overlap:
            self._overlap.begin()
            ctx.on_finished = partial(self._overlap.finished, 0, ctx) if self.comm.overlap else None
        try:
            if own.start < own.stop:
                work(ctx, own.start, own.stop)
        finally:
            ctx.on_finished = None
        if self._overlap:
            self._overlap.wait(())

    def add(self, array: CudaArray) -> None:
        """Launch array = its sum over the ranks."""
        if self._total:
            self._total.add(array)

    def wait(self) -> None:
        """Wait until all that was launched has ended."""
        if self._total:
            self._total.wait(self.stream)
        else:
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
        alone = f"{name}, products in {self.precision} by {type(self._products).__name__}"
        return alone if self.comm.size == 1 else f"{alone}, for each of {self.comm.size:,} ranks"

    @property
    def nbytes(self) -> int:
        """Bytes of scratch memory held by all contexts."""
        return sum(context.nbytes for context in self._contexts)
