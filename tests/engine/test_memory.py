"""Scratch memory is used again only when nothing refers to it, and what vectors are read from begins at a cache line."""

import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.initialisers import normal
from engine.memory import LINE, SLAB, Memory, aligned
from engine.ops.convolution import choose
from engine.ops.fused_linear import Window
from engine.ops.transformed import FFT, WeightSpectrum, WeightTiles
from engine.parameters import FlatBuffer, Parameter

VIEWS = {
    "slice": lambda a: a[1:],
    "transpose of a slice": lambda a: a[:, 2:].T,
    "reshape": lambda a: a.reshape(-1),
    "view of other numbers": lambda a: a.reshape(-1).view(np.uint8)[3:],
}


def begins_at_a_line(array):
    return array.ctypes.data % LINE == 0


@given(shapes=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), max_size=6))
def test_arrays_never_overlap_and_start_at_a_cache_line(shapes):
    memory = Memory()
    arrays = [memory.empty(shape, np.float32) for shape in shapes]
    for i, array in enumerate(arrays):
        assert type(array) is np.ndarray
        assert (array.shape, array.dtype, array.flags.c_contiguous) == (shapes[i], np.float32, True)
        assert begins_at_a_line(array)
        array.fill(i)
    assert all((array == i).all() for i, array in enumerate(arrays))
    assert memory.nbytes == memory.nbytes_in_use == sum(array.nbytes for array in arrays)


def test_memory_of_a_dead_array_is_handed_out_again_the_last_one_first_and_nothing_grows():
    memory = Memory()
    for _ in range(3):
        a, b, c = memory.empty((4, 4), np.float64), memory.empty((8, 4), np.float32), memory.empty((128,), np.uint8)
        first, last = a.ctypes.data, c.ctypes.data
        del a, c
        assert memory.nbytes_in_use == b.nbytes
        again = memory.empty((128,), np.uint8), memory.empty((2, 8), np.float64)
        assert [array.ctypes.data for array in again] == [last, first]
        del b, again
        assert (memory.nbytes, memory.nbytes_in_use) == (3 * 128, 0)


@pytest.mark.parametrize("view", VIEWS)
def test_memory_is_held_as_long_as_any_view_of_the_array_is_alive(view):
    memory = Memory()
    array = memory.empty((4, 4), np.float64)
    array.fill(7)
    seen = VIEWS[view](VIEWS["reshape"](array).reshape(4, 4))
    expected = seen.copy()
    del array
    memory.empty((4, 4), np.float64).fill(8)
    assert np.array_equal(seen, expected)
    assert memory.nbytes == 256
    del seen
    assert memory.nbytes_in_use == 0


def test_a_pool_takes_one_slab_from_the_system_until_that_is_full():
    memory = Memory()
    tracemalloc.start()
    arrays = [memory.empty((SLAB // 8,), np.uint8) for _ in range(7)]
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert SLAB <= taken < 1.01 * SLAB
    assert len(arrays) == 7


def test_an_array_outlives_its_pool():
    memory = Memory()
    array = memory.empty((4,), np.float64)
    array.fill(7)
    del memory
    assert array.tolist() == [7] * 4


def test_an_array_may_die_in_another_thread_while_its_own_takes_more():
    memory = Memory()
    handed_over = []

    def end_them():
        while True:
            array = next(iter(handed_over), None)
            if array is not None:
                handed_over.pop(0)
                if array.size == 1:
                    return

    thread = threading.Thread(target=end_them)
    thread.start()
    alive = []
    for i in range(2000):
        array = memory.empty((32,), np.float64)
        assert not any(np.may_share_memory(array, other) for other in alive)
        array.fill(i)
        alive = [*alive[-3:], array]
        handed_over.append(array)
    handed_over.append(memory.empty((1,), np.float64))
    thread.join()
    assert [array[0] for array in alive] == [1996, 1997, 1998, 1999]
    del alive, array
    assert memory.nbytes_in_use == 0


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


@pytest.mark.parametrize("exchanged", [False, True])
def test_weights_of_tiles_begin_at_a_line(exchanged):
    assert begins_at_a_line(WeightTiles(Parameter((3, 3, 16, 32), normal(1.0)), exchanged=exchanged).empty())


def test_a_spectrum_begins_at_a_line():
    algorithm = choose(Window(5, 1, 2), 1, (1, 14, 14, 16), 16, "fft")
    assert isinstance(algorithm, FFT)
    assert begins_at_a_line(WeightSpectrum(algorithm.plan, Parameter((5, 5, 16, 16), normal(1.0))).empty())
