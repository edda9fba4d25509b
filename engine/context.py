"""Everything that belongs to one pass through the layers, so that nothing of it has to live on a layer.

A layer is re-entrant: it reads its parameters, and keeps what a pass needs (scratch memory, random keys, gradients) in
the pass's `Context`. Two threads with a context each can run one layer at the same time, a layer can stand twice in a
network, and a gradient check can call it a thousand times without drift.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from engine.key import Key
from engine.parameters import Derived, Parameter


class Memory:
    """Scratch arrays that are used again: `empty` hands one out, `release` takes it back, `reset` takes back all.

    The pool is sorted by size in bytes. A training step asks for the same sizes in the same order every time, so after
    the first step nothing is allocated; and what was released last, still in cache, is handed out first.
    """

    def __init__(self) -> None:
        self._idle: dict[int, list[np.ndarray]] = defaultdict(list)
        self._lent: dict[int, np.ndarray] = {}

    def empty(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
        """An array of this shape with arbitrary contents."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        pool = self._idle[size]
        block = pool.pop() if pool else _aligned(size)
        self._lent[_address(block)] = block
        return block.view(dtype).reshape(shape)

    def release(self, array: np.ndarray) -> None:
        """Take back a lent array (or a view that starts where it starts); any other array is none of ours."""
        block = self._lent.pop(_address(array), None)
        if block is not None:
            self._idle[block.size].append(block)

    def reset(self) -> None:
        """Take back everything that is still lent."""
        for block in reversed(self._lent.values()):
            self._idle[block.size].append(block)
        self._lent.clear()

    @property
    def nbytes(self) -> int:
        """Bytes held, lent and idle."""
        return sum(b.size for b in self._lent.values()) + sum(size * len(pool) for size, pool in self._idle.items())


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def _aligned(size: int) -> np.ndarray:
    """`size` bytes that start at a cache line (64 bytes)."""
    raw = np.empty(size + 64, np.uint8)
    start = -_address(raw) % 64
    return raw[start : start + size]


class Images:
    """The derived images of the parameters (see `Derived`), made by whoever asks first and shared by all threads."""

    def __init__(self) -> None:
        self._arrays: dict[Derived, np.ndarray] = {}
        self._fresh: set[Derived] = set()
        self._lock = threading.Lock()

    def get(self, derived: Derived) -> np.ndarray:
        """The image of the parameter's present value."""
        if derived not in self._fresh:
            with self._lock:
                if derived not in self._fresh:
                    if derived not in self._arrays:
                        self._arrays[derived] = derived.empty()
                    derived.push(derived.parameter.value, self._arrays[derived])
                    self._fresh.add(derived)
        return self._arrays[derived]

    def expire(self) -> None:
        """The parameters have changed: the next `get` makes the image anew."""
        self._fresh.clear()


class Context:
    """One pass: its mode, its randomness, its memory, and the gradients that it accumulates.

    training -- dropout is on.
    key      -- where all randomness of the pass comes from.
    first    -- the place of this chunk's first sample in its batch: a random draw belongs to a sample, not to a chunk.
    """

    def __init__(
        self,
        *,
        training: bool = False,
        key: Key | None = None,
        first: int = 0,
        memory: Memory | None = None,
        images: Images | None = None,
        gradients: dict[Parameter, np.ndarray] | None = None,
    ) -> None:
        self.training = training
        self.first = first
        self._key = key or Key(0)
        self._draws = 0
        self._memory = memory or Memory()
        self._images = images or Images()
        self._gradients: dict[Parameter, np.ndarray] = {} if gradients is None else gradients
        self._derived: dict[Derived, np.ndarray] = {}

    def restart(self, *, training: bool, key: Key, first: int) -> None:
        """Begin the next chunk's pass in the same memory; the gradients go on accumulating."""
        self.training, self.first, self._key, self._draws = training, first, key, 0
        self._memory.reset()

    def next_key(self) -> Key:
        """The key of the next random operation of this pass; all chunks of a batch meet them in the same order."""
        self._draws += 1
        return self._key.fold(self._draws)

    def empty(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
        """Scratch memory of this pass, contents arbitrary."""
        return self._memory.empty(shape, dtype)

    def release(self, *arrays: np.ndarray) -> None:
        """Give scratch memory back before the pass ends."""
        for array in arrays:
            self._memory.release(array)

    @contextmanager
    def scratch(self) -> Iterator[Callable[[tuple[int, ...], np.typing.DTypeLike], np.ndarray]]:
        """An `empty` whose arrays are given back when the block ends."""
        lent = []

        def empty(shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
            lent.append(self.empty(shape, dtype))
            return lent[-1]

        yield empty
        self.release(*lent)

    @property
    def nbytes(self) -> int:
        """Scratch memory held, in bytes."""
        return self._memory.nbytes

    def image(self, derived: Derived) -> np.ndarray:
        """The derived image of a parameter."""
        return self._images.get(derived)

    def gradient(self, parameter: Parameter) -> np.ndarray:
        """Where this pass accumulates d loss / d parameter: backward adds (`+=`), nobody overwrites."""
        if parameter not in self._gradients:
            self._gradients[parameter] = np.zeros_like(parameter.value)
        return self._gradients[parameter]

    def image_gradient(self, derived: Derived) -> np.ndarray:
        """Where this pass accumulates d loss / d image, until `gradients` pulls it back."""
        if derived not in self._derived:
            self._derived[derived] = derived.empty()
            self._derived[derived].fill(0)
        return self._derived[derived]

    def gradients(self) -> dict[Parameter, np.ndarray]:
        """All accumulated gradients, those of derived images pulled back to their parameters."""
        for derived, dimage in self._derived.items():
            derived.pull(dimage, self.gradient(derived.parameter))
            dimage.fill(0)
        return self._gradients
