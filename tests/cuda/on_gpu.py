"""A layer whose passes are made on the GPU, for a check that knows arrays on the CPU only."""

from collections.abc import Iterator
from contextlib import contextmanager

import cupy
import numpy as np

from engine.kernels.cuda.gemm import choose_products, multiplying
from engine.runtime.cuda_context import CudaContext
from layers.layer import Layer


class OnGpu(Layer):
    """The layer, with x, dy and parameters brought to the GPU for every pass, and what comes of it fetched."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def forward(self, x, ctx):
        gradients = {}
        there = CudaContext(cupy.asarray(np.array(ctx.next_key().halves, np.uint64)), gradients)
        there.begin(training=ctx.training, first_sample=ctx.first_sample)
        with self._there():
            y, cache = self.layer.forward(cupy.asarray(x), there)
        return cupy.asnumpy(y), (there, gradients, cache)

    def backward(self, dy, cache, ctx, need_dx=True):
        there, gradients, own = cache
        gradients.clear()
        with self._there():
            dx = self.layer.backward(cupy.asarray(dy), own, there, need_dx)
        for parameter, gradient in gradients.items():
            ctx.gradient(parameter)[...] += cupy.asnumpy(gradient)
        return None if dx is None else cupy.asnumpy(dx)

    def parameters(self):
        return self.layer.parameters()

    def output_shape(self, shape):
        return self.layer.output_shape(shape)

    def kink_distance(self, x, ctx):
        return self.layer.kink_distance(x, ctx)

    def __repr__(self):
        return f"OnGpu({self.layer})"

    @contextmanager
    def _there(self) -> Iterator[None]:
        """The parameters are on the GPU."""
        values = {p: p.value for p in self.parameters()}
        for p in values:
            p.value = cupy.asarray(p.value)
        try:
            with multiplying(choose_products("float32")):
                yield
        finally:
            for p, value in values.items():
                p.value = value
