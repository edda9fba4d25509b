"""What is learned: parameters, the linear images of them that fast algorithms work on, and their flat storage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np

from engine.device import array_module
from engine.initialisers import Initialiser
from engine.memory import LINE, aligned
from engine.random import Key

ALIGNED = LINE // 4  # numbers: a cache line of float32, and what the matrix products of a GPU like
Policy = Callable[[int], float]


class Parameter:
    """An array that is learned, with what the optimiser must know of it.

    `lr_mult` multiplies the learning rate and `decay_mult` the weight decay (0 for biases, by this project's convention).
    `lr_policy`, if any, multiplies the learning rate by a function of the number of updates made before (Caffe's fork for DSN
    calls it a local policy). After an update no column, all that leads to one output, is longer than `max_norm`. Parameters are
    compared by identity: they are the keys under which a pass keeps its gradients.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        initialiser: Initialiser,
        *,
        lr_mult: float = 1.0,
        decay_mult: float = 1.0,
        lr_policy: Policy | None = None,
        max_norm: float = math.inf,
        name: str = "",
    ) -> None:
        self.initialiser = initialiser
        self.lr_mult = lr_mult
        self.decay_mult = decay_mult
        self.lr_policy = lr_policy
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


class WeightTransform(Protocol):
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

    def transform(self, value: np.ndarray, image: np.ndarray) -> None:
        """Write the image of `value` into `image`."""
        ...

    def adjoint(self, dimage: np.ndarray, dvalue: np.ndarray) -> None:
        """Add the transpose of the map, applied to `dimage`, to `dvalue`."""
        ...


def initialise(parameters: Iterable[Parameter], key: Key) -> None:
    """Draw every parameter anew, each from a key of its own."""
    for index, parameter in enumerate(parameters):
        parameter.value[...] = parameter.initialiser(key.fold(index), parameter.shape)


def cast(parameters: Iterable[Parameter], dtype: type) -> None:
    """Turn the parameters to another precision: float64 for gradient checks."""
    for parameter in parameters:
        parameter.value = parameter.value.astype(dtype)


class FlatBuffer:
    """Arrays of the shapes of some parameters, one after another in one buffer: summed and stored as one.

    They are 0, and lie where the parameters do. `starts` says where each begins, the buffer's end last; each begins at a multiple
    of ALIGNED numbers, and what is left over stays 0.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        dtype = parameters[0].dtype if parameters else np.float32
        self.starts = np.cumsum([0, *(-(-p.value.size // ALIGNED) * ALIGNED for p in parameters)])
        shape, module = (int(self.starts[-1]),), array_module(parameters[0].value) if parameters else np
        self.buffer = aligned(shape, dtype) if module is np else module.empty(shape, dtype)
        self.buffer.fill(0)
        self.views: dict[Parameter, np.ndarray] = {
            p: self.buffer[start : start + p.value.size].reshape(p.shape)
            for p, start in zip(parameters, self.starts.tolist(), strict=False)
        }

    @classmethod
    def holding(cls, parameters: Sequence[Parameter]) -> FlatBuffer:
        """The parameters' values, which become views of it."""
        flat = cls(parameters)
        for parameter, view in flat.views.items():
            view[...] = parameter.value
            parameter.value = view
        return flat
