"""One pass: outputs stay valid, keys come in order, gradients add up, weights are transformed once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from engine.context import Context, WeightTransformCache
from engine.initialisers import constant
from engine.parameters import Parameter
from engine.random import Key


def test_an_output_that_is_kept_stays_valid_after_the_pass():
    ctx = Context()
    kept = ctx.empty((4,), np.float64)
    kept.fill(7)
    for _ in range(3):
        ctx.restart(training=False, key=Key(0), first_sample=0)
        ctx.empty((4,), np.float64).fill(0)
    assert kept.tolist() == [7, 7, 7, 7]
    assert ctx.nbytes == 64


def test_keys_come_in_order_and_start_again_with_the_pass():
    ctx = Context(key=Key(5))
    keys = [ctx.next_key() for _ in range(3)]
    assert len(set(keys)) == 3
    ctx.needs_backward = False
    ctx.restart(training=True, key=Key(5), first_sample=7)
    assert [ctx.next_key() for _ in range(3)] == keys
    assert (ctx.training, ctx.first_sample, ctx.needs_backward) == (True, 7, True)
    assert Context(key=Key(6)).next_key() not in keys


def test_gradients_start_at_zero_add_up_and_outlive_a_restart():
    p = Parameter((2,), constant(1))
    ctx = Context()
    ctx.gradient(p)[...] += 1
    ctx.restart(training=True, key=Key(0), first_sample=0)
    ctx.gradient(p)[...] += 1
    assert ctx.gradients()[p].tolist() == [2, 2]
    assert ctx.gradient(p).dtype == p.dtype


class Doubled:
    """The transform 2 w of a parameter w."""

    def __init__(self, parameter):
        self.parameter, self.count = parameter, 0

    def empty(self):
        return np.empty(self.parameter.shape)

    def transform(self, value, transformed):
        self.count += 1
        transformed[...] = 2 * value

    def adjoint(self, dtransformed, dvalue):
        dvalue += 2 * dtransformed


def test_a_weight_is_transformed_once_until_it_changes_even_by_many_threads():
    p = Parameter((2,), constant(3))
    doubled, cache = Doubled(p), WeightTransformCache()
    contexts = [Context(weight_cache=cache) for _ in range(8)]
    threads = [threading.Thread(target=ctx.transformed_weight, args=(doubled,)) for ctx in contexts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert doubled.count == 1
    assert contexts[0].transformed_weight(doubled).tolist() == [6, 6]
    p.value[...] = 4
    with ThreadPoolExecutor(2) as pool:
        cache.refresh(pool)
        assert contexts[1].transformed_weight(doubled).tolist() == [8, 8]
        assert doubled.count == 2
        assert cache.refresh(pool) == []  # nothing has changed
    assert contexts[1].transformed_weight(doubled).tolist() == [8, 8]
    assert doubled.count == 2


def test_the_adjoint_is_applied_once():
    p = Parameter((2,), constant(3))
    doubled, ctx = Doubled(p), Context()
    ctx.gradient(p)[...] += 1
    dtransformed, is_first = ctx.transformed_weight_gradient(doubled)
    assert is_first
    dtransformed[...] = 5
    assert ctx.transformed_weight_gradient(doubled)[1] is False
    assert ctx.gradients()[p].tolist() == [11, 11]
    assert ctx.gradients()[p].tolist() == [11, 11]
    assert ctx.transformed_weight_gradient(doubled)[1]
