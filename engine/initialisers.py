"""Initial weights: functions of a key and a shape, which can be copied and pickled with the parameters that keep them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from engine.random import Key

Initialiser = Callable[[Key, tuple[int, ...]], np.ndarray]


def constant(value: float) -> Initialiser:
    """Every element is `value`."""
    return partial(_constant, value)


def normal(std: float) -> Initialiser:
    """N(0, std^2), as cuda-convnet's `initW` draws it."""
    return partial(_normal, std)


def uniform(bound: float) -> Initialiser:
    """U(-bound, bound), as pylearn2's `irange` draws it."""
    return partial(_uniform, bound)


def xavier(key: Key, shape: tuple[int, ...]) -> np.ndarray:
    """U(-a, a) with a^2 = 3 / fan_in, as Caffe's `xavier` draws it; the last axis is the outputs'."""
    return uniform(math.sqrt(3.0 / math.prod(shape[:-1])))(key, shape)


def he(key: Key, shape: tuple[int, ...]) -> np.ndarray:
    """N(0, 2 / fan_in) (He, Zhang, Ren and Sun, ICCV 2015, eq. 10); the last axis is the outputs'."""
    return np.sqrt(2.0 / np.prod(shape[:-1])) * key.normal(shape)


def _constant(value: float, key: Key, shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, value)


def _normal(std: float, key: Key, shape: tuple[int, ...]) -> np.ndarray:
    return std * key.normal(shape)


def _uniform(bound: float, key: Key, shape: tuple[int, ...]) -> np.ndarray:
    return bound * (2 * key.uniform(shape) - 1)
