"""Everything that belongs to one pass through the layers, so that a layer holds nothing but its parameters.

Layers are re-entrant: scratch memory, random keys and gradients belong to the pass's `Context`. Two threads with a context
each can run one layer at the same time, a layer can stand twice in a network, and a gradient check can call it a thousand
times without drift.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor, Future
from itertools import pairwise

import numpy as np

from engine.memory import Memory
from engine.parameters import Parameter, WeightTransform
from engine.random import Key

Jobs = Sequence[Callable[[], None]]
Share = tuple[int, int]  # a range: begin, end
# By weight: the first sample, x and dy of each chunk.
Products = dict[Parameter, list[tuple[int, np.ndarray, np.ndarray]]]


LEAST_SHARE = 2**20  # multiply-adds: less is not worth the wait for another thread


def run_sequentially(jobs: Jobs) -> None:
    """Run one job after the other."""
    for job in jobs:
        job()


class WeightTransformCache:
    """The transformed weights of one network (see `WeightTransform`), computed on first use and shared by all threads."""

    def __init__(self) -> None:
        self._transformed: dict[WeightTransform, np.ndarray] = {}
        self._versions: dict[WeightTransform, int] = {}  # of the parameters, when they were transformed
        self._pending: dict[WeightTransform, Future] = {}
        self._used: set[WeightTransform] = set()  # since the last `refresh`
        self._lock = threading.Lock()

    def get(self, transform: WeightTransform) -> np.ndarray:
        """The transformed weight, of the parameter's value at the last `refresh` or later."""
        self._used.add(transform)
        if transform in self._pending:
            self._pending[transform].result()
        if transform not in self._transformed:
            with self._lock:
                if transform not in self._transformed:
                    transformed = transform.empty()
                    self._compute(transform, transformed)
                    self._transformed[transform] = transformed
        return self._transformed[transform]

    def refresh(self, pool: Executor) -> list[Future]:
        """Let the pool recompute what belongs to parameters that have changed; `get` waits for it.

        Of these, what was not used since the last time is forgotten: training and inference may choose different algorithms.
        """
        changed = [t for t in self._transformed if t.parameter.version != self._versions[t]]
        for transform in changed:
            if transform not in self._used:
                del self._transformed[transform]
        used = [transform for transform in changed if transform in self._used]
        self._used.clear()
        self._pending = {t: pool.submit(self._compute, t, self._transformed[t]) for t in used}
        return list(self._pending.values())

    def _compute(self, transform: WeightTransform, transformed: np.ndarray) -> None:
        version = transform.parameter.version
        transform.transform(transform.parameter.value, transformed)
        self._versions[transform] = version


class KeyOrderError(Exception):
    """An operation that is computed beside others needs a random key; raised for the caller of `Context.forks`."""


class Context:
    """One pass on the CPU: its mode, randomness and scratch memory, and the gradients that it accumulates.

    training       -- whether dropout and augmentation are on
    key            -- the key from which all randomness of the pass is derived
    first_sample   -- index in the batch of this chunk's first sample: random numbers belong to samples, not to chunks
    needs_backward -- if False (inference), a layer's input is freed once its output exists, and layers may keep less for their
                      backward pass
    products       -- where products for gradients of large weights are left (see `defer_product`), if anywhere
    parallel_for   -- runs a list of independent jobs: one after another, or with the help of idle threads
    threads        -- how many threads there are for this chunk: more than one where a batch has fewer images than threads
    on_finished    -- if set, told by a network's backward of parameters to whose gradients the pass adds nothing more

    `engine.runtime.cuda_context.CudaContext` is the same on a GPU.
    """

    transforms = True  # whether convolution by FFT or Winograd's tiles is available

    def __init__(
        self,
        *,
        training: bool = False,
        key: Key | None = None,
        first_sample: int = 0,
        memory: Memory | None = None,
        weight_cache: WeightTransformCache | None = None,
        gradients: dict[Parameter, np.ndarray] | None = None,
        products: Products | None = None,
        parallel_for: Callable[[Jobs], None] = run_sequentially,
    ) -> None:
        self.training = training
        self.first_sample = first_sample
        self.needs_backward = True
        self.parallel_for = parallel_for
        self.threads = 1
        self._forks: list[Context] = []
        self.on_finished: Callable[[Iterable[Parameter]], None] | None = None
        self._key = key or Key(0)
        self._draws = 0
        self._memory = memory or Memory()
        self._weight_cache = weight_cache or WeightTransformCache()
        self._gradients: dict[Parameter, np.ndarray] = {} if gradients is None else gradients
        self._products = products
        self._transformed_gradients: dict[WeightTransform, np.ndarray] = {}
        self._accumulated: set[WeightTransform] = set()  # of them, those that hold a sum

    def restart(self, *, training: bool, key: Key, first_sample: int, threads: int = 1) -> None:
        """Begin the pass of the next chunk; gradients keep accumulating."""
        self.training, self.first_sample, self.needs_backward, self.threads = training, first_sample, True, threads
        self._key, self._draws = key, 0

    def next_key(self) -> Key:
        """The key of the next random operation of this pass; all chunks of a batch meet them in the same order."""
        self._draws += 1
        return self._key.fold(self._draws)

    def to_device(self, array: np.ndarray) -> np.ndarray:
        """The array where this pass computes: itself, or a copy on the GPU."""
        return array

    def to_device_cached(self, array: np.ndarray) -> np.ndarray:
        """The same for an array that never changes: it is copied once."""
        return array

    def to_host(self, array: np.ndarray) -> np.ndarray:
        """An array of this pass on the CPU: itself, or a copy."""
        return array

    def empty(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
        """Scratch memory with arbitrary contents; it is used again when the array and all views of it are dead."""
        return self._memory.empty(shape, dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of scratch memory held, in use or not: the peak so far."""
        return self._memory.nbytes + sum(fork.nbytes for fork in self._forks)

    def forks(self, threads: Sequence[int]) -> Sequence[Context]:
        """This pass for several jobs at the same time, in inference: with memory of their own, and so many threads each.

        They have no random keys, which belong to the order of the operations: `next_key` raises `KeyOrderError`.
        """
        while len(self._forks) < len(threads):
            self._forks.append(_Fork(weight_cache=self._weight_cache, parallel_for=self.parallel_for))
        for fork, count in zip(self._forks, threads, strict=False):
            fork.first_sample, fork.needs_backward, fork.threads = self.first_sample, False, count
        return self._forks[: len(threads)]

    def shares(self, count: int, multiply_adds: int, unit: int = 1) -> list[Share]:
        """0 .. count - 1 in ranges for `parallel_for`, one a thread of this chunk: whole units, none of little work.

        multiply_adds -- of all together

        >>> ctx = Context()
        >>> ctx.threads = 3
        >>> ctx.shares(10, 10**9), ctx.shares(10, 10**9, unit=4), ctx.shares(10, 100)
        ([(0, 3), (3, 6), (6, 10)], [(0, 4), (4, 8), (8, 10)], [(0, 10)])
        """
        units = -(-count // unit)
        parts = max(min(self.threads, multiply_adds // LEAST_SHARE, units), 1)
        ends = [min(units * part // parts * unit, count) for part in range(parts + 1)]
        return list(pairwise(ends)) if count else []

    def transformed_weight(self, transform: WeightTransform) -> np.ndarray:
        """The transformed weight, computed once a step and shared by all threads."""
        return self._weight_cache.get(transform)

    def gradient(self, parameter: Parameter) -> np.ndarray:
        """Where this pass accumulates d loss / d parameter: a backward adds to it (`+=`) and never overwrites it."""
        if parameter not in self._gradients:
            self._gradients[parameter] = np.zeros_like(parameter.value)
        return self._gradients[parameter]

    def defer_product(self, parameter: Parameter, x: np.ndarray, dy: np.ndarray) -> bool:
        """Leave it to the backend to add x^T dy to a large weight's gradient, for all chunks at once; False if it does not.

        Neither x nor dy may be written to afterwards.
        """
        if self._products is None:
            return False
        self._products.setdefault(parameter, []).append((self.first_sample, x, dy))
        return True

    def transformed_weight_gradient(self, transform: WeightTransform) -> tuple[np.ndarray, bool]:
        """Where this pass accumulates d loss / d (transformed weight), and whether this is the first contribution.

        The first contribution is written, not added: the array's contents are arbitrary. `gradients` applies the adjoint.
        """
        if transform not in self._transformed_gradients:
            self._transformed_gradients[transform] = transform.empty()
        is_first = transform not in self._accumulated
        self._accumulated.add(transform)
        return self._transformed_gradients[transform], is_first

    def gradients(self) -> dict[Parameter, np.ndarray]:
        """All accumulated gradients, with those of transformed weights carried back to their parameters."""
        self.apply_adjoints()
        return self._gradients

    def apply_adjoints(self, parameters: Collection[Parameter] | None = None) -> None:
        """Carry the gradients of transformed weights back to their parameters: of these, or of all."""
        for transform, gradient in self._transformed_gradients.items():
            if transform in self._accumulated and (parameters is None or transform.parameter in parameters):
                transform.adjoint(gradient, self.gradient(transform.parameter))
                self._accumulated.remove(transform)


class _Fork(Context):
    """A context of `Context.forks`."""

    def next_key(self) -> Key:
        raise KeyOrderError
