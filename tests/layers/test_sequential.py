"""Layers one after another: nobody computes what nobody wants, and memory comes back as soon as nobody needs it."""

import numpy as np
import pytest

from engine.context import Context
from engine.parameters import initialise
from engine.random import Key
from layers import Conv2d, Dropout, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential


class Twice(Layer):
    """y = 2 x; remembers whether its dx was wanted."""

    def forward(self, x, ctx):
        return 2 * x, None

    def backward(self, dy, cache, ctx, need_dx=True):
        self.wanted = need_dx
        return 2 * dy if need_dx else None


class Watched(Conv2d):
    """A convolution that remembers whether its dx was wanted."""

    def backward(self, dy, cache, ctx, need_dx=True):
        self.wanted = need_dx
        return super().backward(dy, cache, ctx, need_dx)


@pytest.mark.parametrize("need_dx", [True, False])
@pytest.mark.parametrize("layers", [[Twice(), Twice(), Twice()], [Watched(2, 2, 1), ReLU(), Watched(2, 2, 1), ReLU()]])
def test_only_the_first_layer_may_leave_its_dx_out_and_only_if_nobody_wants_it(layers, need_dx):
    net, ctx = Sequential(*layers), Context()
    y, cache = net.forward(np.ones((1, 2, 2, 2), np.float32), ctx)
    dx = net.backward(np.ones_like(y), cache, ctx, need_dx=need_dx)
    assert (dx is not None) == need_dx
    wanted = [layer.wanted for layer in layers if hasattr(layer, "wanted")]
    assert wanted == [need_dx] + [True] * (len(wanted) - 1)


def backward_bytes(layers):
    """What the backward pass adds to the memory that the pass holds."""
    net, ctx = Sequential(*layers), Context()
    x = Key(1).normal((4, 4))
    _, cache = net.forward(x, ctx)
    before = ctx.nbytes
    net.backward(np.ones_like(x), cache, ctx)
    return ctx.nbytes - before


def test_a_deep_stack_needs_no_more_memory_on_the_way_back_than_two_layers():
    deep = [ReLU() for _ in range(9)]
    assert backward_bytes(deep) == backward_bytes(deep[:2]) == 2 * 4 * 4 * 8


def test_a_gradient_nobody_needs_is_given_back_where_the_lowest_layer_gives_none():
    net, ctx = Sequential(Conv2d(2, 2, 1), MaxPool2d(2)), Context()
    y, cache = net.forward(np.ones((1, 2, 2, 2), np.float32), ctx)
    before = ctx.nbytes
    for _ in range(3):
        assert net.backward(np.ones_like(y), cache, ctx, need_dx=False) is None
        grown, before = ctx.nbytes - before, ctx.nbytes
    assert grown == 0


@pytest.mark.parametrize(
    "layers", [[ReLU(), ReLU()], [Dropout(0.5), Flatten()], [ReLU(), Flatten()], [Flatten(), ReLU()]]
)
def test_neither_the_callers_gradient_nor_the_one_that_it_gets_is_given_away(layers):
    net, ctx = Sequential(*layers), Context()
    y, cache = net.forward(np.ones((2, 2, 2)), ctx)
    dy = ctx.empty(y.shape, y.dtype)
    dy.fill(7)
    dx = net.backward(dy, cache, ctx)
    for _ in range(4):
        later = ctx.empty(dx.shape, dx.dtype)
        assert not np.may_share_memory(later, dy)
        assert not np.may_share_memory(later, dx)


def test_gradients_between_layers_go_back_to_the_pass():
    """After the way back only the input's gradient is held that the forward pass did not hold."""
    net, ctx = Sequential(Dropout(0.5), Conv2d(2, 16, 3), ReLU(), MaxPool2d(2), ReLU()), Context(training=True)
    y, cache = net.forward(Key(1).normal((3, 6, 6, 2)).astype(np.float32), ctx)
    before = ctx.lent()
    dx = net.backward(np.ones_like(y), cache, ctx)
    assert ctx.lent() - before == {id(dx.base)}


@pytest.mark.parametrize("algorithm", ["patches", "fft"])
def test_where_no_backward_follows_only_the_output_is_held_and_it_is_the_same(algorithm):
    convolution = Conv2d(2, 16, 3, padding=1, algorithm=algorithm)
    net = Sequential(
        Dropout(0.5), convolution, ReLU(), Conv2d(16, 64, 1), Conv2d(64, 64, 1), ReLU(), MaxPool2d(2), Conv2d(64, 3, 1)
    )
    initialise(net.parameters(), Key(3))
    x, keeping, passing = Key(1).normal((5, 16, 16, 2)).astype(np.float32), Context(), Context()
    passing.keeping = False
    expected, y = net.forward(x, keeping)[0], net.forward(x, passing)[0]
    assert np.array_equal(y, expected)
    assert passing.lent() == {id(y.base)}
    assert passing.nbytes < keeping.nbytes


@pytest.mark.parametrize(("layer", "shape"), [(Linear(3, 2), (2, 3)), (Conv2d(3, 2, 1), (2, 4, 4, 3))], ids=str)
def test_a_layer_that_costs_a_product_leaves_out_the_dx_that_nobody_wants(layer, shape):
    ctx = Context()
    y, cache = layer.forward(np.ones(shape, np.float32), ctx)
    assert layer.backward(np.ones_like(y), cache, ctx, need_dx=False) is None


def test_what_is_asked_of_all_is_asked_of_each_at_its_own_input():
    net = Sequential(Conv2d(1, 2, 3), MaxPool2d(2), Conv2d(2, 3, 1), Sequential(ReLU(), Flatten()))
    assert net.output_shape((6, 6, 1)) == (12,)
    assert net.multiply_adds((6, 6, 1)) == 4 * 4 * 9 * 2 + 2 * 2 * 2 * 3
    assert repr(Sequential(ReLU(), Flatten())) == "Sequential(ReLU(), Flatten())"
    x = np.array([[0.5, -3.0]])
    assert Sequential(Sequential(Twice(), ReLU()), Twice()).kink_distance(x, Context()) == 1
