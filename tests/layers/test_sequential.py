"""Layers one after another: the lowest may leave out its dx, and what is asked of all is asked of each."""

import numpy as np
import pytest

from engine.context import Context
from engine.random import Key
from layers import Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential


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
def test_only_the_first_layer_may_leave_its_dx_out_and_only_where_it_is_not_needed(layers, need_dx):
    net, ctx = Sequential(*layers), Context()
    y, cache = net.forward(np.ones((1, 2, 2, 2), np.float32), ctx)
    dx = net.backward(np.ones_like(y), cache, ctx, need_dx=need_dx)
    assert (dx is not None) == need_dx
    wanted = [layer.wanted for layer in layers if hasattr(layer, "wanted")]
    assert wanted == [need_dx] + [True] * (len(wanted) - 1)


def most_in_use(layers, backward):
    """The largest number of bytes in use during a pass of x (4, 4) forward, or backward beyond what forward left."""
    net, ctx, seen = Sequential(*layers), Context(), []
    own = ctx.empty

    def empty(shape, dtype):
        array = own(shape, dtype)
        seen.append(ctx._memory.nbytes_in_use)
        return array

    ctx.needs_backward = backward
    ctx.empty = empty
    x = Key(1).normal((4, 4))
    y, cache = net.forward(x, ctx)
    if not backward:
        return max(seen)
    before = ctx._memory.nbytes_in_use
    seen.clear()
    net.backward(np.ones_like(y), cache, ctx)
    return max(seen) - before


@pytest.mark.parametrize("backward", [True, False])
def test_a_deep_stack_needs_no_more_memory_than_two_layers_in_inference_and_on_the_backward_pass(backward):
    deep = [ReLU() for _ in range(9)]
    assert most_in_use(deep, backward) == most_in_use(deep[:2], backward) == 2 * 4 * 4 * 8


@pytest.mark.parametrize(("layer", "shape"), [(Linear(3, 2), (2, 3)), (Conv2d(3, 2, 1), (2, 4, 4, 3))], ids=str)
def test_a_layer_that_costs_a_product_leaves_out_a_dx_that_is_not_needed(layer, shape):
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
