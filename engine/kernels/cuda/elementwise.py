"""Element-wise operations, one element a thread; the equations are in engine.kernels.cpu.elementwise."""

import numpy as np
from numba import cuda

from engine.device import cuda_version_of
from engine.kernels.cpu import elementwise as cpu
from engine.kernels.cpu.elementwise import half_word, relu, relu_gradient
from engine.kernels.cuda.launch import launch_1d
from engine.random import child, philox

_ZERO = np.uint64(0)


@cuda_version_of(cpu.relu_forward)
def relu_forward(x, y):
    launch_1d(_relu_forward, x.size, x, y)


@cuda_version_of(cpu.relu_backward)
def relu_backward(y, dy, dx):
    launch_1d(_relu_backward, y.size, y, dy, dx)


@cuda_version_of(cpu.dropout_forward)
def dropout_forward(x, y, mask, threshold, scale, first_sample, key, draw):
    """As on the CPU; `key` holds the two halves of the step's key in the GPU's memory, and `draw` numbers the child to derive."""
    launch_1d(_dropout_forward, len(x) * -(-x.shape[1] // 8), x, y, mask, threshold, scale, first_sample, key, draw)


@cuda_version_of(cpu.dropout_backward)
def dropout_backward(dy, mask, scale, dx):
    launch_1d(_dropout_backward, dy.size, dy, mask, scale, dx)


@cuda.jit
def _relu_forward(x, y):
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[i] = relu(x[i])


@cuda.jit
def _relu_backward(y, dy, dx):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        dx[i] = relu_gradient(y[i], dy[i])


@cuda.jit
def _dropout_forward(x, y, mask, threshold, scale, first_sample, key, draw):
    samples, n = x.shape
    blocks = (n + 7) // 8
    k0, k1 = child(np.uint64(draw), _ZERO, key[0], key[1])
    for i in range(cuda.grid(1), samples * blocks, cuda.gridsize(1)):
        s, block = i // blocks, i % blocks
        words = philox(np.uint64(block), np.uint64(first_sample + s), _ZERO, _ZERO, k0, k1)
        for e in range(8):
            at = 8 * block + e
            if at < n:
                keep = half_word(words, e) >= threshold
                mask[s, at] = keep
                y[s, at] = x[s, at] * (scale * keep)


@cuda.jit
def _dropout_backward(dy, mask, scale, dx):
    for i in range(cuda.grid(1), dy.size, cuda.gridsize(1)):
        dx[i] = dy[i] * (scale * mask[i])
