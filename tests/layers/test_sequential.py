"""Samples that go through a stretch of layers piece by piece come out as if they had gone together."""

import numpy as np
import pytest

import layers.sequential as sequential
from engine.context import Context
from engine.key import Key
from engine.parameters import cast, initialise, normal
from layers import Conv2d, Dropout, MaxPool2d, ReLU, Sequential

N, SHAPE = 5, (6, 6, 2)


def net(algorithm="patches", dtype=np.float64):
    """Dropout, a convolution of the given kind with its ReLU, a 1x1 convolution with its ReLU, pooling."""
    made = Sequential(
        Dropout(0.5),
        Conv2d(2, 16, 3, padding=1, algorithm=algorithm, bias=normal(0.5)),
        ReLU(),
        Conv2d(16, 3, 1, bias=normal(0.5)),
        ReLU(),
        MaxPool2d(2),
    )
    initialise(made.parameters(), Key(3))
    cast(made.parameters(), dtype)
    return made


def passed(network, first=0):
    """y, dx and the gradients of one training pass."""
    x, ctx = Key(1).normal((N, *SHAPE)), Context(training=True, key=Key(7), first=first)
    y, cache = network.forward(x, ctx)
    dx = network.backward(Key(2).normal(y.shape), cache, ctx)
    return y.copy(), dx.copy(), list(ctx.gradients().values()), cache, ctx


@pytest.mark.parametrize("algorithm", ["patches", "fourier"])
@pytest.mark.parametrize("samples", [1, 2, 4])
def test_pieces_change_nothing_but_the_order_of_sums(monkeypatch, algorithm, samples):
    y, dx, gradients, *_ = passed(net(algorithm))
    monkeypatch.setattr(sequential, "PIECE", samples * 6 * 6 * 3)  # the narrowest stretch goes `samples` at a time
    few_y, few_dx, few_gradients, cache, _ = passed(net(algorithm))
    assert max(len(pieces) for _, pieces in cache) > 1
    np.testing.assert_allclose(few_y, y, rtol=0, atol=1e-13)
    np.testing.assert_allclose(few_dx, dx, rtol=0, atol=1e-12)
    for few, whole in zip(few_gradients, gradients, strict=True):
        np.testing.assert_allclose(few, whole, rtol=0, atol=1e-12 * np.abs(whole).max())


def test_a_layer_that_wants_many_samples_gets_them_all_with_the_relu_behind_it(monkeypatch):
    monkeypatch.setattr(sequential, "PIECE", 1)
    *_, cache, _ = passed(net("fourier"))
    kinds = [[type(layer).__name__ for layer in stretch.chain.layers] for stretch, _ in cache]
    assert kinds == [["Dropout"], ["Conv2d", "ReLU"], ["Conv2d", "ReLU", "MaxPool2d"]]
    assert [len(pieces) for _, pieces in cache] == [N, 1, N]


def test_the_pass_goes_on_as_if_there_had_been_no_pieces(monkeypatch):
    whole = passed(net(), first=10)[-1]
    monkeypatch.setattr(sequential, "PIECE", 1)
    pieces = passed(net(), first=10)[-1]
    assert pieces.first == whole.first == 10
    assert pieces.next_key() == whole.next_key()


def test_the_caches_of_a_layer_hold_all_samples_in_order(monkeypatch):
    together = net()
    _, cache = together.forward(Key(1).normal((N, *SHAPE)), Context())
    whole = [kept for layer, kept in together.caches(cache) if isinstance(layer, ReLU)]
    monkeypatch.setattr(sequential, "PIECE", 1)
    apart = net()
    _, cache = apart.forward(Key(1).normal((N, *SHAPE)), Context())
    parts = [kept for layer, kept in apart.caches(cache) if isinstance(layer, ReLU)]
    assert len(whole) == 2
    assert len(parts) == 2 * N
    for depth, expected in enumerate(whole):
        np.testing.assert_allclose(np.concatenate(parts[depth * N : (depth + 1) * N]), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("algorithm", ["patches", "fourier"])
def test_the_gradient_of_the_input_is_left_out_where_nobody_needs_it(monkeypatch, algorithm):
    monkeypatch.setattr(sequential, "PIECE", 1)
    *_, gradients, _, _ = passed(net(algorithm))
    network, ctx = net(algorithm), Context(training=True, key=Key(7))
    y, cache = network.forward(Key(1).normal((N, *SHAPE)), ctx)
    assert network.backward(Key(2).normal(y.shape), cache, ctx, need_dx=False) is None
    for without, with_dx in zip(ctx.gradients().values(), gradients, strict=True):
        assert np.array_equal(without, with_dx)


@pytest.mark.parametrize("algorithm", ["patches", "fourier"])
def test_pieces_are_put_together_in_the_memory_of_the_pass_and_keep_their_precision(monkeypatch, algorithm):
    monkeypatch.setattr(sequential, "PIECE", 1)
    network, ctx = net(algorithm, np.float32), Context(training=True)
    y, cache = network.forward(Key(1).normal((N, *SHAPE)).astype(np.float32), ctx)
    dx = network.backward(np.ones_like(y), cache, ctx)
    for array in (y, dx):
        assert array.dtype == np.float32
        ctx.release(array)
        assert np.may_share_memory(array, ctx.empty(array.shape, array.dtype))


def test_gradients_between_stretches_go_back_to_the_pass(monkeypatch):
    """After the way back only the input's gradient is held that the forward pass did not hold, pieces or not."""
    monkeypatch.setattr(sequential, "PIECE", 1)
    network, ctx = net("fourier"), Context(training=True)
    y, cache = network.forward(Key(1).normal((N, *SHAPE)), ctx)
    before = set(ctx._memory._lent)
    dx = network.backward(Key(2).normal(y.shape), cache, ctx)
    assert {block for block in ctx._memory._lent if block not in before} == {id(dx.base)}


def test_a_convolution_has_the_relu_behind_it_done(monkeypatch):
    def unwanted(*arguments, **options):
        raise AssertionError("the ReLU went over memory by itself")

    monkeypatch.setattr(ReLU, "forward", unwanted)
    monkeypatch.setattr(ReLU, "backward", unwanted)
    passed(net())
    passed(Sequential(*net().layers[1:]))  # the pair at the bottom


@pytest.mark.parametrize("algorithm", ["patches", "fourier"])
def test_where_no_backward_follows_only_the_output_is_held_and_it_is_the_same(monkeypatch, algorithm):
    monkeypatch.setattr(sequential, "PIECE", 1)
    network, x = net(algorithm), Key(1).normal((N, *SHAPE))
    keeping, passing = Context(), Context()
    passing.keeping = False
    expected, y = network.forward(x, keeping)[0], network.forward(x, passing)[0]
    assert np.array_equal(y, expected)
    assert set(passing._memory._lent) == {id(y.base)}
    assert passing.nbytes < keeping.nbytes
