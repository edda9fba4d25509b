"""Everything that belongs to one pass through the layers, so that nothing of it has to live on a layer.

A layer is re-entrant: it reads its parameters, and keeps what a pass needs (scratch memory, random keys, gradients) in
the pass's `Context`. Two threads with a context each can run one layer at the same time, a layer can stand twice in a
network, and a gradient check can call it a thousand times without drift.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from math import prod

import numpy as np

from engine.key import Key
from engine.parameters import Derived, Parameter

Empty = Callable[[tuple[int, ...], np.typing.DTypeLike], np.ndarray]
LINE, SLAB = 64, 2**25  # bytes: of a cache line, and of a slab
STAGGER = 33 * LINE  # bytes between two blocks


class Memory:
    """Scratch arrays that are used again: `empty` hands one out, `release` takes it back, `reset` takes back all.

    The pool is sorted by size in bytes. A training step asks for the same sizes in the same order every time, so after
    the first step nothing is allocated; and what was released last, still in cache, is handed out first. New blocks are cut
    from large slabs, for which the system uses large pages, each block a little off a round address: what stands at the same
    place in every page competes for the same few lines of a cache.
    """

    def __init__(self) -> None:
        self._idle: dict[int, list[np.ndarray]] = defaultdict(list)
        self._lent: dict[int, np.ndarray] = {}  # by the identity of the array that all views of a block rest on
        self._rest = memoryview(b"")  # of the last slab

    def empty(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
        """An array of this shape with arbitrary contents."""
        size = prod(shape) * np.dtype(dtype).itemsize
        pool = self._idle[size]
        block = pool.pop() if pool else self._cut(size)
        self._lent[id(block)] = block
        return block.view(dtype).reshape(shape)

    def release(self, array: np.ndarray) -> None:
        """Take back a lent array, or the one that it is a view of; any other array is none of ours."""
        block = self._lent.pop(id(array.base), None)
        if block is not None:
            self._idle[block.size].append(block)

    def lent(self) -> set[int]:
        """What is lent at present, for `release_since`."""
        return set(self._lent)

    def release_since(self, before: set[int], kept: np.ndarray) -> None:
        """Take back what was lent since `before`, but for the block that `kept` is a view of."""
        for identity in [i for i in self._lent if i not in before and i != id(kept.base)]:
            block = self._lent.pop(identity)
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

    def _cut(self, size: int) -> np.ndarray:
        """`size` bytes that start at a cache line."""
        room = -(-size // LINE) * LINE + STAGGER
        if room > len(self._rest):
            slab = np.empty(max(SLAB, room + LINE), np.uint8)
            self._rest = slab.data[-slab.__array_interface__["data"][0] % LINE :]
        block, self._rest = self._rest[:size], self._rest[room:]
        return np.frombuffer(block, np.uint8)


class Images:
    """The derived images of the parameters (see `Derived`), made by whoever asks first and shared by all threads."""

    def __init__(self) -> None:
        self._arrays: dict[Derived, np.ndarray] = {}
        self._values: dict[Derived, np.ndarray] = {}  # of the parameters, that the images were made of
        self._making: dict[Derived, Future] = {}
        self._lock = threading.Lock()

    def get(self, derived: Derived) -> np.ndarray:
        """The image of the parameter's present value."""
        if derived in self._making:
            self._making[derived].result()
        if derived not in self._arrays:
            with self._lock:
                if derived not in self._arrays:
                    image = derived.empty()
                    self._make(derived, image)
                    self._arrays[derived] = image
        return self._arrays[derived]

    def renew(self, pool: Executor) -> list[Future]:
        """The pool makes the images of all parameters that have changed, before what it is given next; `get` waits for them."""
        self._making = {
            derived: pool.submit(self._make, derived, image)
            for derived, image in self._arrays.items()
            if not np.array_equal(derived.parameter.value, self._values[derived])
        }
        return list(self._making.values())

    def _make(self, derived: Derived, image: np.ndarray) -> None:
        self._values[derived] = derived.parameter.value.copy()
        derived.push(derived.parameter.value, image)


class Context:
    """One pass on the CPU: its mode, its randomness, its memory, and the gradients that it accumulates.

    training -- dropout is on.
    key      -- where all randomness of the pass comes from.
    first    -- the place of this chunk's first sample in its batch: a random draw belongs to a sample, not to a chunk.
    keeping  -- what layers leave for their backward is kept; set it to False where nobody will ask, and containers of layers
                use that memory again at once, while it is still in the cache.

    That of a pass on a GPU is `engine.cuda.context.CudaContext`.
    """

    transforms = True  # whether convolutions by FFT can be had

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
        self.keeping = True
        self._key = key or Key(0)
        self._draws = 0
        self._memory = memory or Memory()
        self._images = images or Images()
        self._gradients: dict[Parameter, np.ndarray] = {} if gradients is None else gradients
        self._derived: dict[Derived, np.ndarray] = {}
        self._begun: set[Derived] = set()

    def restart(self, *, training: bool, key: Key, first: int) -> None:
        """Begin the next chunk's pass in the same memory; the gradients go on accumulating."""
        self.training, self.first, self.keeping, self._key, self._draws = training, first, True, key, 0
        self._memory.reset()

    def next_key(self) -> Key:
        """The key of the next random operation of this pass; all chunks of a batch meet them in the same order."""
        self._draws += 1
        return self._key.fold(self._draws)

    def bring(self, array: np.ndarray) -> np.ndarray:
        """An array of the CPU's where this pass computes."""
        return array

    def constant(self, array: np.ndarray) -> np.ndarray:
        """The same for one that never changes: it is moved once."""
        return array

    def fetch(self, array: np.ndarray) -> np.ndarray:
        """What this pass computed, on the CPU."""
        return array

    def empty(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
        """Scratch memory of this pass, contents arbitrary."""
        return self._memory.empty(shape, dtype)

    def release(self, *arrays: np.ndarray) -> None:
        """Give scratch memory back before the pass ends."""
        for array in arrays:
            self._memory.release(array)

    def lent(self) -> set[int]:
        """What this pass holds at present, for `forget`."""
        return self._memory.lent()

    def forget(self, before: set[int], kept: np.ndarray) -> None:
        """Give back all that was lent since `before`, but for `kept`."""
        self._memory.release_since(before, kept)

    @contextmanager
    def scratch(self) -> Iterator[Empty]:
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

    def image_gradient(self, derived: Derived) -> tuple[np.ndarray, bool]:
        """Where this pass accumulates d loss / d image, until `gradients` pulls it back; and whether it has begun to.

        Who is told that it has not writes, and does not add: the array may hold anything.
        """
        if derived not in self._derived:
            self._derived[derived] = derived.empty()
        begun = derived in self._begun
        self._begun.add(derived)
        return self._derived[derived], begun

    def gradients(self) -> dict[Parameter, np.ndarray]:
        """All accumulated gradients, those of derived images pulled back to their parameters."""
        for derived, dimage in self._derived.items():
            if derived in self._begun:
                derived.pull(dimage, self.gradient(derived.parameter))
        self._begun.clear()
        return self._gradients
