"""One pass: its scratch memory, keys in order, gradients that add up, weights transformed once."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest

from engine.context import Context, WeightTransformCache
from engine.initialisers import constant
from engine.parameters import Parameter
from engine.random import Key


def test_an_array_that_is_kept_is_not_overwritten_by_the_next_pass():
    ctx = Context()
    kept, address = ctx.empty((3,), np.float64)[1:], ctx.empty((3,), np.float64).ctypes.data
    kept.fill(7)
    ctx.restart(training=True, key=Key(0), first_sample=0)
    again = ctx.empty((3,), np.float64)
    again.fill(8)
    assert kept.tolist() == [7, 7]
    assert again.ctypes.data == address  # of the one that was not kept
    assert ctx.nbytes == 48


def test_keys_come_in_order_and_start_again_with_the_pass():
    ctx = Context(key=Key(5))
    keys = [ctx.next_key() for _ in range(3)]
    assert keys == [Key(5).fold(n) for n in (1, 2, 3)]
    ctx.needs_backward = False
    ctx.restart(training=True, key=Key(5), first_sample=7)
    assert [ctx.next_key() for _ in range(3)] == keys
    assert (ctx.training, ctx.first_sample, ctx.needs_backward) == (True, 7, True)
    assert Context(key=Key(6)).next_key() not in keys


def test_a_context_is_by_default_an_inference_from_the_first_sample_on_under_key_0():
    ctx = Context()
    assert (ctx.training, ctx.first_sample, ctx.next_key()) == (False, 0, Key(0).fold(1))
    assert Context(first_sample=7).first_sample == 7


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
        self.parameter, self.calls = parameter, 0

    def empty(self):
        return np.empty(self.parameter.shape)

    def transform(self, value, transformed):
        self.calls += 1
        transformed[...] = 2 * value

    def adjoint(self, dtransformed, dvalue):
        dvalue += 2 * dtransformed


def test_a_weight_is_transformed_once_until_the_next_refresh_even_by_many_threads():
    p = Parameter((2,), constant(3))
    doubled, cache = Doubled(p), WeightTransformCache()
    contexts = [Context(weight_cache=cache) for _ in range(8)]
    threads = [threading.Thread(target=ctx.transformed_weight, args=(doubled,)) for ctx in contexts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert doubled.calls == 1
    assert contexts[0].transformed_weight(doubled).tolist() == [6, 6]
    p.value[...] = 4
    p.touch()
    with ThreadPoolExecutor(2) as pool:
        cache.refresh(pool)
        assert contexts[1].transformed_weight(doubled).tolist() == [8, 8]
        assert doubled.calls == 2
        assert cache.refresh(pool) == []  # nothing has changed
    assert contexts[1].transformed_weight(doubled).tolist() == [8, 8]
    assert doubled.calls == 2


def test_a_transform_that_did_not_end_is_computed_again():
    p = Parameter((2,), constant(3))
    doubled, cache = Doubled(p), WeightTransformCache()
    ctx = Context(weight_cache=cache)
    ctx.transformed_weight(doubled)
    p.touch()
    with ThreadPoolExecutor(1) as pool:
        doubled.transform = lambda value, transformed: transformed.fill(np.nan) or 1 // 0
        wait(cache.refresh(pool))
        with pytest.raises(ZeroDivisionError):
            ctx.transformed_weight(doubled)
        del doubled.transform
        wait(cache.refresh(pool))
        assert ctx.transformed_weight(doubled).tolist() == [6, 6]


def test_a_transform_that_a_pass_does_not_use_is_forgotten_when_its_weight_changes():
    p = Parameter((2,), constant(3))
    p.value[...] = 3
    inference, training, cache = Doubled(p), Doubled(p), WeightTransformCache()
    ctx = Context(weight_cache=cache)
    with ThreadPoolExecutor(1) as pool:
        ctx.transformed_weight(inference)
        cache.refresh(pool)
        for _ in range(2):
            ctx.transformed_weight(training)
            assert ctx.transformed_weight(inference).tolist() == [6, 6]  # still true
            cache.refresh(pool)
        ctx.transformed_weight(training)
        p.value[...] = 4
        p.touch()
        wait(cache.refresh(pool))
        assert (inference.calls, training.calls) == (1, 2)
        assert ctx.transformed_weight(inference).tolist() == ctx.transformed_weight(training).tolist() == [8, 8]
        assert (inference.calls, training.calls) == (2, 2)


def test_the_gradient_of_a_transformed_weight_is_carried_back_once():
    p = Parameter((2,), constant(3))
    doubled, ctx = Doubled(p), Context()
    ctx.gradient(p)[...] += 1
    gradient, is_first = ctx.transformed_weight_gradient(doubled)
    assert is_first
    gradient[...] = 5
    same, is_first = ctx.transformed_weight_gradient(doubled)
    assert same is gradient
    assert not is_first
    assert ctx.gradients()[p].tolist() == [11, 11]
    assert ctx.gradients()[p].tolist() == [11, 11]
    assert ctx.transformed_weight_gradient(doubled)[1]
