"""What belongs to one pass on a GPU: see engine.context. All samples go through a layer at once, on one stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cupy
import numpy as np

from engine.context import Context
from engine.memory import Memory
from engine.parameters import Parameter
from engine.typing import CudaArray


class CudaMemory(Memory):
    """Scratch arrays on the GPU, each block an allocation of its own: a graph may rely on their addresses."""

    def _cut(self, size: int) -> CudaArray:
        return cupy.empty(size, np.uint8)


@dataclass(frozen=True)
class StepKey:
    """A child of the step's key, whose words are read on the GPU when the kernel runs: a graph replays with another key."""

    words: CudaArray  # (2,) uint64, low and high half
    draw: int

    @property
    def halves(self) -> tuple[CudaArray, int]:
        """As the kernels of engine.kernels.cuda take a key."""
        return self.words, self.draw


class CudaContext(Context):
    """One pass on a GPU; `words` (2,) uint64 hold the key, there, and are written by whoever starts the pass."""

    transforms = False  # the products of a GPU are faster than its transforms at these sizes

    def __init__(self, words: CudaArray, gradients: dict[Parameter, CudaArray], memory: Memory | None = None) -> None:
        super().__init__(memory=memory or CudaMemory(), gradients=gradients)
        self._words = words
        self._kept: dict[int, tuple[np.ndarray, CudaArray]] = {}

    def begin(self, *, training: bool, first: int = 0) -> None:
        """Begin a pass in the same memory, with whatever key is in `words`."""
        self.training, self.first, self.needs_backward, self._draws = training, first, True, 0
        self._memory.reset()

    def next_key(self) -> Any:
        self._draws += 1
        return StepKey(self._words, self._draws)

    def to_device(self, array: np.ndarray) -> CudaArray:
        return cupy.asarray(array)

    def to_device_cached(self, array: np.ndarray) -> CudaArray:
        if id(array) not in self._kept:
            self._kept[id(array)] = array, cupy.asarray(array)
        return self._kept[id(array)][1]

    def to_host(self, array: CudaArray) -> np.ndarray:
        return cupy.asnumpy(array)
