"""Linear maps with weights larger than the caches: the numbers of plain NumPy, and one gradient for all threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codegen.simd import LANES
from engine.context import Context
from engine.initialisers import he
from engine.ops import large_linear
from engine.parameters import cast, initialise
from engine.random import Key
from engine.runtime.cpu import CpuBackend
from layers.linear import Linear
from layers.relu import ReLU
from layers.sequential import Sequential
from tests.layers.guarded import Guarded
from tests.networks import stack


@pytest.fixture(autouse=True)
def _every_weight_is_large():
    before, large_linear.LARGE = large_linear.LARGE, 1
    yield
    large_linear.LARGE = before


@pytest.mark.parametrize("in_cache", [True, False])
@given(n=st.integers(0, 20), C=st.integers(1, 110), D=st.integers(1, 150), at_end=st.booleans(), need_dx=st.booleans())
def test_it_is_a_linear_layer_whatever_its_sizes_and_stays_inside_its_arrays(in_cache, n, C, D, at_end, need_dx):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_linear, "IN_CACHE", 2**40 if in_cache else 0)
        expect_a_linear_layer(n, C, D, at_end, need_dx)


def expect_a_linear_layer(n, C, D, at_end, need_dx):
    random, guarded = np.random.default_rng([n, C, D]), Guarded(at_end)
    layer, ctx = Linear(C, D, bias=he), Context()
    ctx.empty = guarded.empty
    for p in layer.parameters():
        p.value = guarded.copy(random.standard_normal(p.shape))
    x, dy = (guarded.copy(random.standard_normal((n, width))) for width in (C, D))
    assert large_linear.is_large(x, layer.weight.value)
    y, cache = layer.forward(x, ctx)
    dx = layer.backward(dy, cache, ctx, need_dx)
    expected, reference_cache = layer.reference(x)
    dx_expected, dW, db = layer.reference_backward(dy, reference_cache)
    for a, b in ((y, expected), (ctx.gradient(layer.weight), dW), (ctx.gradient(layer.bias), db)):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    if need_dx:
        np.testing.assert_allclose(dx, dx_expected, rtol=1e-12, atol=1e-12)
    guarded.check()


def network(dtype=np.float64):
    """Two classifiers on one layer, so that its gradient comes from two sides; the first's weight is used twice."""
    twice, width = Linear(LANES, LANES), 2 * LANES
    first = Sequential(Linear(5, LANES), ReLU(), twice, ReLU(), twice)
    made = stack([first], [Linear(LANES, width)], (5,))
    initialise(made.parameters(), Key(1))
    cast(made.parameters(), dtype)
    return made


def gradients(net, x, **options):
    backend = CpuBackend(net.parameters(), **options)

    def work(ctx, start, stop):
        logits, cache = net.forward(x[start:stop], ctx)
        net.backward([np.cos(z) for z in logits], cache, ctx)

    for _ in range(2):  # nothing of a run is left in the next
        backend.run(len(x), work, training=True)
    return backend, backend.gradients.buffer.copy()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("chunk", [1, 3, 16])
def test_the_gradient_is_that_of_the_whole_batch_whatever_the_threads_and_chunks(threads, chunk):
    net, x = network(), np.random.default_rng(0).standard_normal((7, 5))
    _, cut = gradients(net, x, threads=threads, chunk=chunk)
    large_linear.LARGE = 2**40
    _, whole = gradients(net, x, threads=1)
    assert np.abs(whole).max() > 1e-3
    np.testing.assert_allclose(cut, whole, rtol=1e-11, atol=1e-13)


def test_the_same_run_gives_the_same_bits_and_a_new_backend_too():
    net, x = network(np.float32), np.random.default_rng(0).standard_normal((7, 5), np.float32)
    (_, first), (_, again) = (gradients(net, x, threads=2, chunk=2) for _ in range(2))
    assert np.array_equal(first, again)


def test_a_gradient_that_is_not_left_to_the_backend_is_kept_for_each_thread():
    layer, x = Linear(LANES, LANES), np.ones((6, LANES), np.float32)
    backend = CpuBackend(layer.parameters(), threads=2, chunk=1)

    def work(ctx, start, stop):
        ctx.gradient(layer.weight)[...] += 1
        _, cache = layer.forward(x[start:stop], ctx)
        layer.backward(np.ones((stop - start, LANES), np.float32), cache, ctx)

    for _ in range(2):
        backend.run(len(x), work, training=True)
        assert (backend.gradients.views[layer.weight] == 12).all()
    backend.run(0, work, training=True)
    assert not backend.gradients.buffer.any()


def test_a_large_weight_has_one_gradient_for_all_threads():
    large_linear.LARGE = 2**14
    layer = Linear(2**10, LANES)
    x, dy = np.ones((16, 2**10), np.float32), np.ones((16, LANES), np.float32)
    backend = CpuBackend(layer.parameters(), threads=4, chunk=4)

    def work(ctx, start, stop):
        _, cache = layer.forward(x[start:stop], ctx)
        layer.backward(dy[start:stop], cache, ctx, need_dx=False)

    backend.run(len(x), work, training=True)
    assert (backend.gradients.views[layer.weight] == 16).all()
    assert all(layer.weight not in ctx.gradients() for ctx in backend._contexts)
