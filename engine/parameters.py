"""What is learned: parameters, the linear images of them that fast algorithms work on, and their flat storage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np

from engine.device import module_of
from engine.key import Key
from engine.memory import LINE, aligned

ALIGNED = LINE // 4  # numbers: a cache line of float32, and what the matrix products of a GPU like
Initialiser = Callable[[Key, tuple[int, ...]], np.ndarray]
Policy = Callable[[int], float]


class Parameter:
    """An array that is learned, with what the optimiser must know of it.

    `rate` multiplies the learning rate and `decay` the weight decay (0 for biases, by the house's rule). `policy`, if any,
    multiplies the rate by a number that depends on the updates that were made before (Caffe's fork for DSN calls it a local
    policy). After an update no column, all that leads to one output, is longer than `max_norm`. Parameters are
    compared by identity: they are the keys under which a pass keeps its gradients.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        initialiser: Initialiser,
        *,
        rate: float = 1.0,
        decay: float = 1.0,
        policy: Policy | None = None,
        max_norm: float = math.inf,
        name: str = "",
    ) -> None:
        self.initialiser = initialiser
        self.rate = rate
        self.decay = decay
        self.policy = policy
        self.max_norm = max_norm
        self.name = name
        self.value = initialiser(Key(0), shape).astype(np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> np.dtype:
        return self.value.dtype

    def __repr__(self) -> str:
        return f"Parameter({self.name or '?'}, {self.shape}, {self.dtype})"


class Derived(Protocol):
    """A linear image of a parameter, made once a step, on which an algorithm works instead of on the parameter.

    The kernel's spectrum, for convolution by FFT. Passes accumulate the gradient of the image; it is pulled back to the
    parameter once a step by the transpose of the linear map.
    """

    @property
    def parameter(self) -> Parameter:
        """What it is an image of."""
        ...

    def empty(self) -> np.ndarray:
        """An array of the image's shape and dtype."""
        ...

    def push(self, value: np.ndarray, image: np.ndarray) -> None:
        """Write the image of `value` into `image`."""
        ...

    def pull(self, dimage: np.ndarray, dvalue: np.ndarray) -> None:
        """Add the transpose of the map, applied to `dimage`, to `dvalue`."""
        ...


def constant(number: float) -> Initialiser:
    """Every element `number`."""
    return lambda key, shape: np.full(shape, number)


def normal(deviation: float) -> Initialiser:
    """N(0, deviation^2), as cuda-convnet's `initW` draws it."""
    return lambda key, shape: deviation * key.normal(shape)


def uniform(most: float) -> Initialiser:
    """U(-most, most), as pylearn2's `irange` draws it."""
    return lambda key, shape: most * (2 * key.uniform(shape) - 1)


def xavier(key: Key, shape: tuple[int, ...]) -> np.ndarray:
    """U(-a, a) with a^2 = 3 / fan_in, as Caffe's `xavier` draws it; the last axis is the outputs'."""
    return uniform(math.sqrt(3.0 / math.prod(shape[:-1])))(key, shape)


def he(key: Key, shape: tuple[int, ...]) -> np.ndarray:
    """N(0, 2 / fan_in) (He, Zhang, Ren and Sun, ICCV 2015, eq. 10); the last axis is the outputs'."""
    return np.sqrt(2.0 / np.prod(shape[:-1])) * key.normal(shape)


def initialise(parameters: Iterable[Parameter], key: Key) -> None:
    """Draw every parameter anew, each from a key of its own."""
    for index, parameter in enumerate(parameters):
        parameter.value[...] = parameter.initialiser(key.fold(index), parameter.shape)


def cast(parameters: Iterable[Parameter], dtype: type) -> None:
    """Turn the parameters to another precision: float64 for gradient checks."""
    for parameter in parameters:
        parameter.value = parameter.value.astype(dtype)


class Flat:
    """Arrays of the shapes of some parameters, one after another in one buffer: summed and stored as one.

    They are 0, and lie where the parameters do. `starts` says where each begins, the buffer's end last; each begins at a multiple
    of ALIGNED numbers, and what is left over stays 0.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        dtype = parameters[0].dtype if parameters else np.float32
        self.starts = np.cumsum([0, *(-(-p.value.size // ALIGNED) * ALIGNED for p in parameters)])
        shape, module = (int(self.starts[-1]),), module_of(parameters[0].value) if parameters else np
        self.buffer = aligned(shape, dtype) if module is np else module.empty(shape, dtype)
        self.buffer.fill(0)
        self.views: dict[Parameter, np.ndarray] = {
            p: self.buffer[start : start + p.value.size].reshape(p.shape)
            for p, start in zip(parameters, self.starts.tolist(), strict=False)
        }

    @classmethod
    def holding(cls, parameters: Sequence[Parameter]) -> Flat:
        """The parameters' values, which become views of it."""
        flat = cls(parameters)
        for parameter, view in flat.views.items():
            view[...] = parameter.value
            parameter.value = view
        return flat
