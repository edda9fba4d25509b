"""Everything that belongs to one pass through the layers, so that nothing of it has to live on a layer.

A layer is re-entrant: it reads its parameters, and keeps what a pass needs (scratch memory, random keys, gradients) in
the pass's `Context`. Two threads with a context each can run one layer at the same time, a layer can stand twice in a
network, and a gradient check can call it a thousand times without drift.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager

import numpy as np

from engine.memory import Empty, Memory
from engine.parameters import Parameter, WeightTransform
from engine.random import Key

Jobs = Sequence[Callable[[], None]]


def in_turn(jobs: Jobs) -> None:
    """Do one job after the other."""
    for job in jobs:
        job()


class WeightTransformCache:
    """The derived images of the parameters (see `Derived`), made by whoever asks first and shared by all threads."""

    def __init__(self) -> None:
        self._arrays: dict[WeightTransform, np.ndarray] = {}
        self._values: dict[WeightTransform, np.ndarray] = {}  # of the parameters, that the images were made of
        self._making: dict[WeightTransform, Future] = {}
        self._lock = threading.Lock()

    def get(self, derived: WeightTransform) -> np.ndarray:
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

    def _make(self, derived: WeightTransform, image: np.ndarray) -> None:
        self._values[derived] = derived.parameter.value.copy()
        derived.transform(derived.parameter.value, image)


class Context:
    """One pass on the CPU: its mode, its randomness, its memory, and the gradients that it accumulates.

    training -- dropout is on.
    key      -- where all randomness of the pass comes from.
    first    -- the place of this chunk's first sample in its batch: a random draw belongs to a sample, not to a chunk.
    needs_backward -- if False (inference), no backward pass will follow: a layer's input is freed once its output exists.
    together -- does a list of jobs that may be done at the same time: one after another, or with the help of other threads.

    That of a pass on a GPU is `engine.runtime.cuda_context.CudaContext`.
    """

    transforms = True  # whether convolutions by FFT can be had

    def __init__(
        self,
        *,
        training: bool = False,
        key: Key | None = None,
        first: int = 0,
        memory: Memory | None = None,
        images: WeightTransformCache | None = None,
        gradients: dict[Parameter, np.ndarray] | None = None,
        parallel_for: Callable[[Jobs], None] = in_turn,
    ) -> None:
        self.training = training
        self.first = first
        self.needs_backward = True
        self.parallel_for = parallel_for
        self._key = key or Key(0)
        self._draws = 0
        self._memory = memory or Memory()
        self._images = images or WeightTransformCache()
        self._gradients: dict[Parameter, np.ndarray] = {} if gradients is None else gradients
        self._derived: dict[WeightTransform, np.ndarray] = {}
        self._begun: set[WeightTransform] = set()

    def restart(self, *, training: bool, key: Key, first: int) -> None:
        """Begin the next chunk's pass in the same memory; the gradients go on accumulating."""
        self.training, self.first, self.needs_backward, self._key, self._draws = training, first, True, key, 0
        self._memory.reset()

    def next_key(self) -> Key:
        """The key of the next random operation of this pass; all chunks of a batch meet them in the same order."""
        self._draws += 1
        return self._key.fold(self._draws)

    def to_device(self, array: np.ndarray) -> np.ndarray:
        """An array of the CPU's where this pass computes."""
        return array

    def to_device_cached(self, array: np.ndarray) -> np.ndarray:
        """The same for one that never changes: it is moved once."""
        return array

    def to_host(self, array: np.ndarray) -> np.ndarray:
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

    def image(self, derived: WeightTransform) -> np.ndarray:
        """The derived image of a parameter."""
        return self._images.get(derived)

    def gradient(self, parameter: Parameter) -> np.ndarray:
        """Where this pass accumulates d loss / d parameter: backward adds (`+=`), nobody overwrites."""
        if parameter not in self._gradients:
            self._gradients[parameter] = np.zeros_like(parameter.value)
        return self._gradients[parameter]

    def image_gradient(self, derived: WeightTransform) -> tuple[np.ndarray, bool]:
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
                derived.adjoint(dimage, self.gradient(derived.parameter))
        self._begun.clear()
        return self._gradients
