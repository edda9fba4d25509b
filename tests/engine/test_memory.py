"""Scratch memory is used again, and what vectors are read from begins at a cache line."""

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.initialisers import normal
from engine.memory import LINE, Memory, aligned
from engine.ops.convolution import Fourier, Spectrum, choose
from engine.ops.fused_linear import Window
from engine.parameters import FlatBuffer, Parameter


def begins_at_a_line(array):
    return array.ctypes.data % LINE == 0


@given(shapes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=6))
def test_arrays_never_overlap_and_start_at_a_cache_line(shapes):
    memory = Memory()
    arrays = [memory.empty(shape, np.float32) for shape in shapes]
    for i, array in enumerate(arrays):
        assert array.shape == shapes[i]
        assert begins_at_a_line(array)
        array.fill(i)
    assert all((array == i).all() for i, array in enumerate(arrays))


def address(array):
    return array.ctypes.data


def test_memory_is_handed_out_again_when_the_last_array_that_rests_on_it_dies():
    memory = Memory()
    array = memory.empty((4, 4), np.float64)
    at, view = address(array), array[1:].reshape(-1)[::2].T
    del array
    assert address(memory.empty((4, 4), np.float64)) != at  # the view still rests on it
    del view
    assert address(memory.empty((8, 4), np.float32)) == at  # as many bytes, whatever the shape


def test_an_array_that_is_alive_is_never_handed_out_again():
    memory = Memory()
    kept = memory.empty((3,), np.float64)
    kept.fill(7)
    for _ in range(5):
        memory.empty((3,), np.float64).fill(0)
    assert kept.tolist() == [7, 7, 7]


def test_what_was_freed_last_is_handed_out_first():
    memory = Memory()
    a, b = memory.empty((4,), np.float64), memory.empty((4,), np.float64)
    first, last = address(a), address(b)
    del a
    del b
    c, d = memory.empty((4,), np.float64), memory.empty((4,), np.float64)
    assert (address(c), address(d)) == (last, first)


def test_nothing_grows_when_the_same_sizes_are_asked_for_again():
    memory = Memory()
    for _ in range(3):
        a, b = memory.empty((4, 4), np.float64), memory.empty((8, 4), np.float32)
        assert memory.nbytes == memory.nbytes_in_use == 256
        del a, b
        assert memory.nbytes_in_use == 0


def test_arrays_may_die_in_another_thread_and_outlive_the_pool():
    memory = Memory()
    arrays = [memory.empty((5,), np.float64) for _ in range(100)]
    thread = threading.Thread(target=arrays.clear)
    thread.start()
    thread.join()
    assert (memory.nbytes, memory.nbytes_in_use) == (4000, 0)
    kept = memory.empty((5,), np.float64)
    del memory
    kept.fill(3)
    assert kept.sum() == 15


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
    way = choose(Window(5, 1, 2), 1, (14, 14, 16), (14, 14, 16), "fourier")
    assert isinstance(way, Fourier)
    assert begins_at_a_line(Spectrum(way.plan, Parameter((5, 5, 16, 16), normal(1.0))).empty())
