"""One pass: what it forgets, keys in order, gradients that add up, images made once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from engine.context import Context, WeightTransformCache
from engine.initialisers import constant
from engine.parameters import Parameter
from engine.random import Key


def test_a_pass_forgets_what_it_was_lent_since_but_not_what_it_keeps():
    ctx = Context()
    before = ctx.empty((2,), np.float64)
    held = ctx.lent()
    first, kept = ctx.empty((3,), np.float64), ctx.empty((4,), np.float64)
    ctx.forget(held, kept[1:])
    assert np.may_share_memory(first, ctx.empty((3,), np.float64))
    assert not np.may_share_memory(kept, ctx.empty((4,), np.float64))
    assert not np.may_share_memory(before, ctx.empty((2,), np.float64))


def test_scratch_is_given_back_when_the_block_ends():
    ctx = Context()
    with ctx.scratch() as empty:
        inner = empty((3,), np.float64)
    assert np.may_share_memory(inner, ctx.empty((3,), np.float64))
    assert ctx.nbytes == 24


def test_keys_come_in_order_and_start_again_with_the_pass():
    ctx = Context(key=Key(5))
    keys = [ctx.next_key() for _ in range(3)]
    assert len(set(keys)) == 3
    ctx.needs_backward = False
    ctx.restart(training=True, key=Key(5), first=7)
    assert [ctx.next_key() for _ in range(3)] == keys
    assert (ctx.training, ctx.first, ctx.needs_backward) == (True, 7, True)
    assert Context(key=Key(6)).next_key() not in keys


def test_gradients_start_at_zero_add_up_and_outlive_a_restart():
    p = Parameter((2,), constant(1))
    ctx = Context()
    ctx.gradient(p)[...] += 1
    ctx.restart(training=True, key=Key(0), first=0)
    ctx.gradient(p)[...] += 1
    assert ctx.gradients()[p].tolist() == [2, 2]
    assert ctx.gradient(p).dtype == p.dtype


class Doubled:
    """The image 2 w of a parameter w."""

    def __init__(self, parameter):
        self.parameter, self.pushes = parameter, 0

    def empty(self):
        return np.empty(self.parameter.shape)

    def transform(self, value, image):
        self.pushes += 1
        image[...] = 2 * value

    def adjoint(self, dimage, dvalue):
        dvalue += 2 * dimage


def test_an_image_is_made_once_until_it_is_renewed_even_by_many_threads():
    p = Parameter((2,), constant(3))
    doubled, images = Doubled(p), WeightTransformCache()
    contexts = [Context(images=images) for _ in range(8)]
    threads = [threading.Thread(target=ctx.image, args=(doubled,)) for ctx in contexts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert doubled.pushes == 1
    assert contexts[0].image(doubled).tolist() == [6, 6]
    p.value[...] = 4
    with ThreadPoolExecutor(2) as pool:
        images.renew(pool)
        assert contexts[1].image(doubled).tolist() == [8, 8]
        assert doubled.pushes == 2
        assert images.renew(pool) == []  # nothing has changed
    assert contexts[1].image(doubled).tolist() == [8, 8]
    assert doubled.pushes == 2


def test_the_gradient_of_an_image_is_pulled_back_once():
    p = Parameter((2,), constant(3))
    doubled, ctx = Doubled(p), Context()
    ctx.gradient(p)[...] += 1
    dimage, begun = ctx.image_gradient(doubled)
    assert not begun
    dimage[...] = 5
    assert ctx.image_gradient(doubled)[1]
    assert ctx.gradients()[p].tolist() == [11, 11]
    assert ctx.gradients()[p].tolist() == [11, 11]
    assert ctx.image_gradient(doubled)[1] is False
