"""Launching kernels of numba.cuda on CuPy's stream and CuPy's arrays.

Kernels use grid-stride loops, so any grid is right, and the number of threads is decided here alone. Under
`NUMBA_ENABLE_CUDASIM=1` kernels run in Python on NumPy arrays, in a Python thread for each CUDA thread: then there are few.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
from numba import config, cuda

warnings.filterwarnings("ignore", message="Grid size")  # Numba warns of small batches
SIMULATED = bool(config.ENABLE_CUDASIM)
THREADS = 4 if SIMULATED else 256  # in a block
BLOCKS = 2 if SIMULATED else 4096  # at most, of a grid-stride loop


def launch_1d(kernel: Any, n: int, *arguments: Any) -> None:
    """Launch a kernel with a grid-stride loop over n elements."""
    if n:
        launch_blocks(kernel, min(-(-n // THREADS), BLOCKS), *arguments)


def launch_blocks(kernel: Any, blocks: int, *arguments: Any) -> None:
    """Launch a kernel in so many blocks of THREADS threads."""
    if blocks:
        kernel[blocks, THREADS, _stream()](*map(as_kernel_argument, arguments))


@cuda.jit(device=True)
def reduce_sum(sums, t):
    """sums[0] becomes the sum of a block's THREADS elements in shared memory, added in pairs; t is the thread."""
    half = THREADS // 2
    while half > 0:
        cuda.syncthreads()
        if t < half:
            sums[t] += sums[t + half]
        half //= 2
    cuda.syncthreads()


@cuda.jit(device=True)
def unravel(e, H, W, C):
    """(n, i, j, c) of element e of an array (N, H, W, C)."""
    pixel = e // C
    return pixel // (H * W), pixel // W % H, pixel % W, e % C


def as_kernel_argument(argument: Any) -> Any:
    """An argument as numba.cuda takes it: a CuPy array without a copy and without a synchronisation with its stream."""
    if isinstance(argument, tuple):
        return tuple(map(as_kernel_argument, argument))
    if SIMULATED:
        from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

        return FakeCUDAArray(np.asarray(argument)) if isinstance(argument, np.ndarray) else argument
    return cuda.as_cuda_array(argument, sync=False) if hasattr(argument, "__cuda_array_interface__") else argument


def _stream() -> Any:
    """CuPy's current stream."""
    import cupy

    return _external(cupy.cuda.get_current_stream().ptr)


@cache
def _external(pointer: int) -> Any:
    return cuda.external_stream(pointer) if pointer and not SIMULATED else 0
