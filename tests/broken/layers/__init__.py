"""Broken layers: a correct layer (tests/reference.py, tests/correct) with a realistic bug each, and the check that rejects it."""

from tests.broken.layers import (
    containers,
    convolution,
    elementwise,
    linear,
    normalise,
    passes,
    pooling,
    sisters,
    two_inputs,
)
from tests.broken.layers.gallery import GALLERY

__all__ = [
    "GALLERY",
    "containers",
    "convolution",
    "elementwise",
    "linear",
    "normalise",
    "passes",
    "pooling",
    "sisters",
    "two_inputs",
]
