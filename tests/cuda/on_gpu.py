"""A layer that computes on the GPU, for a gradient check that uses arrays on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import cupy
import numpy as np

from engine.kernels.cuda.gemm import choose_products, use_products
from engine.runtime.cuda_context import CudaContext
from layers.layer import Layer
from tests.strategies import mapped


class OnGpu(Layer):
    """The layer; every pass copies x, dy and the parameters to the GPU, and the results back."""

    def __init__(self, layer: Layer) -> None:
        self.layer, self.n_inputs = layer, layer.n_inputs

    def forward(self, x, ctx):
        gradients = {}
        gpu_ctx = CudaContext(cupy.asarray(np.array(ctx.next_key().halves, np.uint64)), gradients)
        gpu_ctx.begin(training=ctx.training, first_sample=ctx.first_sample)
        with self._parameters_on_gpu():
            y, cache = self.layer.forward(mapped(cupy.asarray, x), gpu_ctx)
        return cupy.asnumpy(y), (gpu_ctx, gradients, cache)

    def backward(self, dy, cache, ctx, need_dx=True):
        gpu_ctx, gradients, own = cache
        gradients.clear()
        with self._parameters_on_gpu():
            dx = self.layer.backward(cupy.asarray(dy), own, gpu_ctx, need_dx)
        for parameter, gradient in gradients.items():
            ctx.gradient(parameter)[...] += cupy.asnumpy(gradient)
        return None if dx is None else mapped(cupy.asnumpy, dx)

    def parameters(self):
        return self.layer.parameters()

    def output_shape(self, shape):
        return self.layer.output_shape(shape)

    def kink_distance(self, x, ctx):
        return self.layer.kink_distance(x, ctx)

    def __repr__(self):
        return f"OnGpu({self.layer})"

    @contextmanager
    def _parameters_on_gpu(self) -> Iterator[None]:
        """Keep the parameters on the GPU."""
        values = {p: p.value for p in self.parameters()}
        for p in values:
            p.value = cupy.asarray(p.value)
        try:
            with use_products(choose_products("float32")):
                yield
        finally:
            for p, value in values.items():
                p.value = value
