"""Scratch memory is used again, and what vectors are read from begins at a line of the cache."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.initialisers import normal
from engine.memory import LINE, Memory, aligned
from engine.ops.convolution import FFT, WeightSpectrum, choose
from engine.ops.fused_linear import Window
from engine.parameters import FlatBuffer, Parameter


def begins_at_a_line(array):
    return array.ctypes.data % LINE == 0


@given(shapes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=6))
def test_lent_arrays_never_overlap_and_start_at_a_cache_line(shapes):
    memory = Memory()
    arrays = [memory.empty(shape, np.float32) for shape in shapes]
    for i, array in enumerate(arrays):
        assert array.shape == shapes[i]
        assert begins_at_a_line(array)
        array.fill(i)
    assert all((array == i).all() for i, array in enumerate(arrays))


def test_memory_that_was_given_back_is_handed_out_again_and_nothing_grows():
    memory = Memory()
    for _ in range(3):
        a, b = memory.empty((4, 4), np.float64), memory.empty((8, 4), np.float32)
        assert not np.may_share_memory(a, b)
        memory.release(a)
        c = memory.empty((128,), np.uint8)
        assert np.may_share_memory(a, c)
        memory.reset()
        assert memory.nbytes == 256


def test_releasing_twice_or_a_foreign_array_does_nothing():
    memory = Memory()
    a = memory.empty((4,), np.float64)
    memory.release(a)
    memory.release(a)
    memory.release(np.zeros(4))
    first, second = memory.empty((4,), np.float64), memory.empty((4,), np.float64)
    assert not np.may_share_memory(first, second)


@given(shape=st.lists(st.integers(1, 5), max_size=3), dtype=st.sampled_from([np.uint8, np.float32, np.float64]))
def test_an_aligned_array_is_like_any_other_and_begins_at_a_line(shape, dtype):
    array = aligned(tuple(shape), dtype)
    assert (array.shape, array.dtype, array.flags.c_contiguous) == (tuple(shape), dtype, True)
    assert begins_at_a_line(array)


@given(sizes=st.lists(st.integers(1, 99), min_size=1, max_size=4))
def test_every_weight_and_its_gradient_begin_at_a_line(sizes):
    parameters = [Parameter((size,), normal(1.0)) for size in sizes]
    values, gradients = FlatBuffer.holding(parameters), FlatBuffer(parameters)
    for p in parameters:
        assert p.value is values.views[p]
        assert begins_at_a_line(p.value)
        assert begins_at_a_line(gradients.views[p])
        assert not gradients.views[p].any()


def test_a_spectrum_begins_at_a_line():
    algorithm = choose(Window(5, 1, 2), 1, (14, 14, 16), (14, 14, 16), "fft")
    assert isinstance(algorithm, FFT)
    assert begins_at_a_line(WeightSpectrum(algorithm.plan, Parameter((5, 5, 16, 16), normal(1.0))).empty())
