"""What is learned: parameters, the linear transforms of weights that fast algorithms compute with, and flat buffers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np

from engine.device import array_module, contiguous, is_array
from engine.errors import UserError
from engine.initialisers import Initialiser
from engine.memory import LINE, aligned
from engine.random import Key

ALIGNMENT = LINE // 4  # elements: a cache line of float32, which is also fast for the matrix products of a GPU
Policy = Callable[[int], float]  # from the number of updates made before to a factor of the learning rate


class Parameter:
    """An array that is learned, with what the optimiser needs to know of it.

    lr_mult    -- factor of the learning rate
    decay_mult -- factor of the weight decay; 0 for biases, by this project's convention
    lr_policy  -- if any, a further factor of the learning rate, as a function of the number of updates made before (in Caffe's
                  fork for DSN a local policy)
    max_norm   -- after an update no column (the weights that lead to one output) is longer

    Before it is drawn by `initialise`, a value is what the initialiser gives for Key(0), drawn when it is first read: a network
    of a hundred million parameters is built, counted and described without one.

    Parameters are compared by identity: a pass stores gradients by parameter. `value` can be assigned any array of the
    parameter's shape; one in another memory order is copied, so that all that read it find the elements in C order.

    version    -- grows whenever a value is assigned: transforms of the weight are made anew. Where elements are written in place,
                  `touch` says so.

    Raises:    UserError for a value of another shape.
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
        self.shape = tuple(shape)
        self._value: np.ndarray | None = None
        self.version = 0

    @property
    def value(self) -> np.ndarray:
        if self._value is None:
            self.value = self.initialiser(Key(0), self.shape).astype(np.float32)
        assert self._value is not None
        return self._value

    @value.setter
    def value(self, value: np.ndarray) -> None:
        if not is_array(value) or value.shape != self.shape:
            given = f"an array of shape {value.shape}" if is_array(value) else f"a {type(value).__name__}"
            raise UserError(f"the parameter {self.name!r} was given {given}; an array of shape {self.shape} is needed.")
        self._value = contiguous(value)
        self.touch()

    def touch(self) -> None:
        """Say that the value has changed, after its elements were written in place."""
        self.version += 1

    @property
    def is_drawn(self) -> bool:
        """Whether there is a value yet."""
        return self._value is not None

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32) if self._value is None else self._value.dtype

    def __repr__(self) -> str:
        return f"Parameter({self.name or '?'}, {self.shape}, {self.dtype})"


class WeightTransform(Protocol):
    """A linear transform T of a weight, computed once a step, with which an algorithm computes instead of with the weight.

    For convolution by FFT it is the kernel's spectrum. Passes accumulate the gradient of T w; once a step its adjoint takes it
    to the weight: dw = T^T d(T w).
    """

    @property
    def parameter(self) -> Parameter:
        """The weight w."""
        ...

    def empty(self) -> np.ndarray:
        """An array of the shape and dtype of T w."""
        ...

    def transform(self, value: np.ndarray, transformed: np.ndarray) -> None:
        """transformed = T value."""
        ...

    def adjoint(self, dtransformed: np.ndarray, dvalue: np.ndarray) -> None:
        """dvalue += T^T dtransformed."""
        ...


def initialise(parameters: Iterable[Parameter], key: Key) -> None:
    """Draw the initial value of every parameter, each from a key of its own."""
    for index, parameter in enumerate(parameters):
        drawn = parameter.initialiser(key.fold(index), parameter.shape)
        if parameter.is_drawn:
            parameter.value[...] = drawn
            parameter.touch()
        else:
            parameter.value = drawn.astype(np.float32)


def cast(parameters: Iterable[Parameter], dtype: type) -> None:
    """Convert the parameters to another precision: float64 for gradient checks."""
    for parameter in parameters:
        parameter.value = parameter.value.astype(dtype)


class FlatBuffer:
    """Arrays of the shapes of some parameters, one after another in one buffer, so that they are summed and stored as one.

    They are 0, and on the device of the parameters. `starts` has the index at which each begins, and the buffer's size last; each
    begins at a multiple of ALIGNMENT elements, and the padding between them stays 0.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        dtype = parameters[0].dtype if parameters else np.float32
        self.starts = np.cumsum([0, *(-(-p.size // ALIGNMENT) * ALIGNMENT for p in parameters)])
        shape, module = (int(self.starts[-1]),), array_module(parameters[0].value) if parameters else np
        self.buffer = aligned(shape, dtype) if module is np else module.empty(shape, dtype)
        self.buffer.fill(0)
        self.views: dict[Parameter, np.ndarray] = {
            p: self.buffer[start : start + p.size].reshape(p.shape)
            for p, start in zip(parameters, self.starts.tolist(), strict=False)
        }

    @classmethod
    def holding(cls, parameters: Sequence[Parameter]) -> FlatBuffer:
        """A buffer of the parameters' values, which become views of it."""
        flat = cls(parameters)
        for parameter, view in flat.views.items():
            view[...] = parameter.value
            parameter.value = view
        return flat
