"""Every layer's fast path agrees with the reference that stands beside it in its file: plain NumPy, one line an equation."""

import numpy as np
import pytest
from hypothesis import given

import layers
from cldl.verification.cases import LAYERS
from engine.context import Context
from engine.device import contiguous
from engine.gradcheck import grid
from engine.parameters import cast
from engine.random import Key
from layers import Dropout
from tests.strategies import layer_cases, seeds

CONTAINERS = {"Layer", "Sequential", "Network", "Node", "chain"}
NAMES = sorted(set(layers.__all__) - CONTAINERS)


def test_every_layer_has_its_reference():
    assert set(LAYERS) >= set(NAMES)
    for name in NAMES:
        layer = getattr(layers, name)
        assert callable(layer.reference), name
        assert callable(layer.reference_backward), name


def reference_of(layer, x, cache):
    """y, and the reference's own cache; dropout's reference is given the mask that the fast path drew."""
    if isinstance(layer, Dropout):
        return layer.reference(x, np.ones_like(x) if cache is None else cache)
    return layer.reference(x)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-4)])
@pytest.mark.parametrize("name", NAMES)
def test_forward_dx_and_every_gradient_are_the_references(name, dtype, tolerance):
    @given(case=layer_cases(name), seed=seeds)
    def holds(case, seed):
        layer, key = case.layer, Key(seed)
        cast(layer.parameters(), dtype)
        x = grid((case.samples, *case.shape), key, 1.0).astype(dtype)
        ctx = Context(training=True, key=key)
        y, cache = layer.forward(x, ctx)
        dy = contiguous(grid(y.shape, key.fold(1), 1.0).astype(dtype))
        dx = layer.backward(dy, cache, ctx)
        y_reference, own = reference_of(layer, x, cache)
        expected = layer.reference_backward(dy, own)
        expected = expected if isinstance(expected, tuple) else (expected,)
        found = (dx, *(ctx.gradients()[p] for p in layer.parameters()))
        for actual, wanted in zip((y, *found), (y_reference, *expected), strict=True):
            assert actual.shape == wanted.shape
            np.testing.assert_allclose(actual, wanted, rtol=tolerance, atol=tolerance * max(1.0, np.abs(wanted).max()))

    holds()
