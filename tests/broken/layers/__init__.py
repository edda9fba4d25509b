"""Broken layers: each a correct layer of tests/reference.py with one realistic bug, and the check that must reject it."""

from tests.broken.layers import containers, convolution, elementwise, linear, passes, pooling, two_inputs
from tests.broken.layers.gallery import GALLERY

__all__ = ["GALLERY", "containers", "convolution", "elementwise", "linear", "passes", "pooling", "two_inputs"]
