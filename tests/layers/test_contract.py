"""What a layer owes the rest of the engine: parameters that the optimiser knows, outputs in the pass's memory, one inference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cldl.verification.cases import LAYERS
from engine.context import Context
from engine.initialisers import constant
from engine.parameters import cast
from layers import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    Dropout,
    GlobalAvgPool,
    L2Normalize,
    Linear,
    LocalResponseNorm,
    Maxout,
    MaxPool2d,
    ReLU,
)
from tests.strategies import batch, layer_cases


@pytest.mark.parametrize(
    "make", [lambda **options: Linear(3, 4, **options), lambda **options: Conv2d(3, 4, 1, **options)]
)
def test_a_bias_begins_at_zero_and_does_not_decay_and_both_learn_at_the_rate_given(make):
    weight, bias = make().parameters()
    assert (weight.name, weight.lr_mult, weight.decay_mult) == ("weight", 1, 1)
    assert (bias.name, bias.lr_mult, bias.decay_mult) == ("bias", 1, 0)
    assert (bias.value == 0).all()
    assert weight.value.std() > 0
    assert [p.lr_mult for p in make(lr_mult=0.25).parameters()] == [0.25, 0.25]
    assert [p.max_norm for p in make().parameters()] == [np.inf, np.inf]
    assert [p.max_norm for p in make(max_norm=0.9).parameters()] == [0.9, np.inf]
    assert [p.value.flat[0] for p in make(weight=constant(2), bias=constant(3)).parameters()] == [2, 3]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Linear(3, 4), (2, 3)),
        (ReLU(), (2, 3)),
        (Maxout(3), (2, 6)),
        (Dropout(0.5), (2, 3)),
        (MaxPool2d(2), (2, 4, 4, 3)),
        (AvgPool2d(2), (2, 4, 4, 3)),
        (GlobalAvgPool(), (2, 4, 4, 3)),
        (Conv2d(3, 4, 3), (2, 4, 4, 3)),
        (LocalResponseNorm(), (2, 3)),
        (L2Normalize(), (2, 3)),
    ],
    ids=str,
)
def test_what_a_layer_gives_lies_in_the_memory_of_the_pass(layer, shape):
    """So that the next step uses it again: once it is dead, the same pass takes no more memory."""
    ctx, held = Context(training=True), []
    for _ in range(3):
        y, cache = layer.forward(np.ones(shape, np.float32), ctx)
        dx = layer.backward(np.ones_like(y), cache, ctx)
        held.append(ctx.nbytes)
        assert ctx.nbytes >= y.nbytes + dx.nbytes
        del y, cache, dx
    assert held == held[:1] * 3


@pytest.mark.parametrize("layer", [Concat(2), Add(3)], ids=str)
def test_what_a_layer_of_several_inputs_gives_lies_in_the_memory_of_the_pass(layer):
    ctx, held = Context(), []
    for _ in range(3):
        y, cache = layer.forward((np.ones((2, 3), np.float32),) * layer.n_inputs, ctx)
        dx = layer.backward(y, cache, ctx)
        held.append(ctx.nbytes)
        assert ctx.nbytes >= y.nbytes
        del y, cache, dx
    assert held == held[:1] * 3


@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data())
def test_inference_gives_what_a_training_step_does(name, data):
    case, y = data.draw(layer_cases(name)), {}
    cast(case.layer.parameters(), np.float64)
    for needs_backward in (True, False):
        ctx = Context()
        ctx.needs_backward = needs_backward
        y[needs_backward], _ = case.layer.forward(batch(case, np.float64), ctx)
    np.testing.assert_allclose(y[False], y[True], rtol=1e-10, atol=1e-12)
