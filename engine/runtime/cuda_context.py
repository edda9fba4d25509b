"""One pass on a GPU: the CUDA side of engine.context. All samples go through a layer at once, on one stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cupy
import numpy as np

from engine.context import Context
from engine.memory import Memory
from engine.parameters import Parameter
from engine.typing import CudaArray


class _CudaBlock:
    """A piece in use: CuPy's arrays on it, and all views of them, hold it as the owner of their memory."""

    __slots__ = ("_idle", "_piece")

    def __init__(self, piece: CudaArray, idle: list[CudaArray]) -> None:
        self._piece, self._idle = piece, idle

    def __del__(self) -> None:
        self._idle.append(self._piece)


class CudaMemory(Memory):
    """A pool of scratch arrays on the GPU, each piece an allocation of its own.

    A piece is handed out again when the last array on it is dead, while kernels that use it may still be queued: the next ones
    are queued behind them, on the same stream.
    """

    def _array(self, piece: CudaArray, idle: list[CudaArray], shape: tuple[int, ...], dtype: Any) -> CudaArray:
        memory = cupy.cuda.UnownedMemory(piece.data.ptr, piece.nbytes, _CudaBlock(piece, idle), piece.device.id)
        return cupy.ndarray(shape, dtype, cupy.cuda.MemoryPointer(memory, 0))

    def _cut(self, size: int) -> CudaArray:
        self.nbytes += size
        return cupy.empty(size, np.uint8)


@dataclass(frozen=True)
class StepKey:
    """A child of the step's key, derived on the GPU when the kernel runs: a captured graph is replayed with another key."""

    words: CudaArray  # (2,) uint64, low and high half of the step's key
    draw: int

    @property
    def halves(self) -> tuple[CudaArray, int]:
        """The two arguments that CUDA kernels take for a key."""
        return self.words, self.draw


class CudaContext(Context):
    """One pass on a GPU.

    words  -- (2,) uint64 on the GPU: the key of the pass, written there before the pass begins
    copies -- arrays that `to_device_cached` has copied, by the identity of the original; contexts can share them
    """

    transforms = False  # at these sizes a GPU's matrix products are faster than its Fourier transforms

    def __init__(
        self,
        words: CudaArray,
        gradients: dict[Parameter, CudaArray],
        copies: dict[int, tuple[np.ndarray, CudaArray]] | None = None,
    ) -> None:
        super().__init__(memory=CudaMemory(), gradients=gradients)
        self._words = words
        self._copies = {} if copies is None else copies

    def begin(self, *, training: bool, first_sample: int = 0) -> None:
        """Begin a pass with the key that is in `words`."""
        self.training, self.first_sample, self.needs_backward, self._draws = training, first_sample, True, 0

    def next_key(self) -> Any:
        self._draws += 1
        return StepKey(self._words, self._draws)

    def to_device(self, array: np.ndarray) -> CudaArray:
        return cupy.asarray(array)

    def to_device_cached(self, array: np.ndarray) -> CudaArray:
        if id(array) not in self._copies:
            self._copies[id(array)] = array, cupy.asarray(array)
        return self._copies[id(array)][1]

    def to_host(self, array: CudaArray) -> np.ndarray:
        return cupy.asnumpy(array)
