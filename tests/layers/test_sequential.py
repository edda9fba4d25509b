"""Layers one after another as one layer: no dx that is not needed, no memory that is not read, parameters of distinct names."""

import weakref

import numpy as np
import pytest

from engine.context import Context
from engine.memory import Memory
from engine.parameters import initialise
from engine.random import Key
from layers import Conv2d, Dropout, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential


class Twice(Layer):
    """y = 2 x; remembers its input, and whether its dx was needed."""

    def forward(self, x, ctx):
        self.x = weakref.ref(x)
        return 2 * x, x

    def backward(self, dy, cache, ctx, need_dx=True):
        self.needed = need_dx
        return 2 * dy if need_dx else None


class Watched(Conv2d):
    """A convolution that remembers whether its dx was needed."""

    def backward(self, dy, cache, ctx, need_dx=True):
        self.needed = need_dx
        return super().backward(dy, cache, ctx, need_dx)


@pytest.mark.parametrize("need_dx", [True, False])
@pytest.mark.parametrize("layers", [[Twice(), Twice(), Twice()], [Watched(2, 2, 1), ReLU(), Watched(2, 2, 1), ReLU()]])
def test_only_the_first_layer_may_leave_its_dx_out_and_only_if_it_is_not_needed(layers, need_dx):
    net, ctx = Sequential(*layers), Context()
    y, cache = net.forward(np.ones((1, 2, 2, 2), np.float32), ctx)
    dx = net.backward(np.ones_like(y), cache, ctx, need_dx=need_dx)
    assert (dx is not None) == need_dx
    needed = [layer.needed for layer in layers if hasattr(layer, "needed")]
    assert needed == [need_dx] + [True] * (len(needed) - 1)


def backward_bytes(layers):
    """What the backward pass adds to the peak of scratch memory."""
    net, ctx = Sequential(*layers), Context()
    x = Key(1).normal((4, 4))
    _, cache = net.forward(x, ctx)
    before = ctx.nbytes
    net.backward(np.ones_like(x), cache, ctx)
    return ctx.nbytes - before


def test_the_backward_of_a_deep_stack_needs_no_more_memory_than_that_of_two_layers():
    deep = [ReLU() for _ in range(9)]
    assert backward_bytes(deep) == backward_bytes(deep[:2]) == 2 * 4 * 4 * 8


def test_the_last_gradient_is_freed_where_the_first_layer_returns_none():
    net, ctx = Sequential(Conv2d(2, 2, 1), MaxPool2d(2)), Context()
    y, cache = net.forward(np.ones((1, 2, 2, 2), np.float32), ctx)
    before = ctx.nbytes
    for _ in range(3):
        assert net.backward(np.ones_like(y), cache, ctx, need_dx=False) is None
        growth, before = ctx.nbytes - before, ctx.nbytes
    assert growth == 0


@pytest.mark.parametrize(
    "layers", [[ReLU(), ReLU()], [Dropout(0.5), Flatten()], [ReLU(), Flatten()], [Flatten(), ReLU()]]
)
def test_the_callers_gradient_and_the_result_stay_as_they_are_in_later_passes(layers):
    net, ctx = Sequential(*layers), Context()
    y, cache = net.forward(np.ones((2, 2, 2)), ctx)
    dy = ctx.empty(y.shape, y.dtype)
    dy.fill(7)
    dx = net.backward(dy, cache, ctx)
    expected = dx.copy()
    later = [ctx.empty(dx.shape, dx.dtype) for _ in range(4)]
    for array in later:
        array.fill(8)
    assert (dy == 7).all()
    assert np.array_equal(dx, expected)


def test_gradients_between_layers_are_freed():
    """After the backward pass only the input's gradient is held that the forward pass did not hold."""
    net, memory = Sequential(Dropout(0.5), Conv2d(2, 16, 3), ReLU(), MaxPool2d(2), ReLU()), Memory()
    ctx = Context(training=True, memory=memory)
    y, cache = net.forward(Key(1).normal((3, 6, 6, 2)).astype(np.float32), ctx)
    before = memory.nbytes_in_use
    dx = net.backward(np.ones_like(y), cache, ctx)
    assert memory.nbytes_in_use - before == dx.nbytes
    del y, cache, dx
    assert memory.nbytes_in_use == 0


@pytest.mark.parametrize("needs_backward", [True, False])
def test_what_lies_between_layers_is_held_only_for_a_backward_pass(needs_backward):
    layers, seen = [Twice() for _ in range(3)], []

    class Top(Twice):
        def forward(self, x, ctx):
            seen.extend(layer.x() is not None for layer in layers)
            return super().forward(x, ctx)

    ctx, x = Context(), np.ones((2, 3))
    ctx.needs_backward = needs_backward
    y, cache = Sequential(*layers, Top()).forward(x, ctx)
    assert seen == [True, needs_backward, needs_backward]  # x is the caller's
    assert [own is not None for own in cache] == [needs_backward] * 4
    assert (y == 16).all()


@pytest.mark.parametrize("algorithm", ["patches", "fft"])
def test_where_no_backward_follows_only_the_output_is_held_and_it_is_the_same(algorithm):
    convolution = Conv2d(2, 16, 3, padding=1, algorithm=algorithm)
    net = Sequential(
        Dropout(0.5), convolution, ReLU(), Conv2d(16, 64, 1), Conv2d(64, 64, 1), ReLU(), MaxPool2d(2), Conv2d(64, 3, 1)
    )
    initialise(net.parameters(), Key(3))
    x, memory, training = Key(1).normal((5, 16, 16, 2)).astype(np.float32), Memory(), Context()
    inference = Context(memory=memory)
    inference.needs_backward = False
    expected, _ = net.forward(x, training)
    y, cache = net.forward(x, inference)
    assert np.array_equal(y, expected)
    assert memory.nbytes_in_use == y.nbytes, cache
    assert memory.nbytes < training.nbytes


@pytest.mark.parametrize(("layer", "shape"), [(Linear(3, 2), (2, 3)), (Conv2d(3, 2, 1), (2, 4, 4, 3))], ids=str)
def test_a_layer_that_costs_a_product_leaves_out_the_dx_that_is_not_needed(layer, shape):
    ctx = Context()
    y, cache = layer.forward(np.ones(shape, np.float32), ctx)
    assert layer.backward(np.ones_like(y), cache, ctx, need_dx=False) is None


def test_parameters_are_called_after_their_layers_positions():
    shared = Linear(2, 2)
    net = Sequential(shared, Sequential(Linear(2, 2), ReLU(), Sequential(Linear(2, 2))), shared)
    names = ["0.weight", "0.bias", "1.0.weight", "1.0.bias", "1.2.0.weight", "1.2.0.bias"]
    assert [p.name for p in net.parameters()] == names
    assert [p.name for p in Sequential(net).parameters()] == [f"0.{name}" for name in names]
    assert [name for name, _ in net.named_parameters()] == [*names, "2.weight", "2.bias"]


def test_shapes_work_and_kinks_are_those_of_each_layer_at_its_own_input():
    net = Sequential(Conv2d(1, 2, 3), MaxPool2d(2), Conv2d(2, 3, 1), Sequential(ReLU(), Flatten()))
    assert net.output_shape((6, 6, 1)) == (12,)
    assert net.multiply_adds((6, 6, 1)) == 4 * 4 * 9 * 2 + 2 * 2 * 2 * 3
    assert repr(Sequential(ReLU(), Flatten())) == "Sequential(ReLU(), Flatten())"
    x = np.array([[0.5, -3.0]])
    assert Sequential(Sequential(Twice(), ReLU()), Twice()).kink_distance(x, Context()) == 1
