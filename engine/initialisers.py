"""Initial weights: functions of a key and a shape."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from engine.random import Key

Initialiser = Callable[[Key, tuple[int, ...]], np.ndarray]


def constant(value: float) -> Initialiser:
    """Every element is `value`."""
    return lambda key, shape: np.full(shape, value)


def normal(std: float) -> Initialiser:
    """N(0, std^2), as cuda-convnet's `initW` draws it."""
    return lambda key, shape: std * key.normal(shape)


def uniform(bound: float) -> Initialiser:
    """U(-bound, bound), as pylearn2's `irange` draws it."""
    return lambda key, shape: bound * (2 * key.uniform(shape) - 1)


def xavier(key: Key, shape: tuple[int, ...]) -> np.ndarray:
    """U(-a, a) with a^2 = 3 / fan_in, as Caffe's `xavier` draws it; the last axis is the outputs'."""
    return uniform(math.sqrt(3.0 / math.prod(shape[:-1])))(key, shape)


def he(key: Key, shape: tuple[int, ...]) -> np.ndarray:
    """N(0, 2 / fan_in) (He, Zhang, Ren and Sun, ICCV 2015, eq. 10); the last axis is the outputs'."""
    return np.sqrt(2.0 / np.prod(shape[:-1])) * key.normal(shape)
