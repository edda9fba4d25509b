"""Pointers into contiguous arrays, and what kernels do through them: load, broadcast, store, prefetch.

Nothing is bounds-checked, and a pointer holds no reference to its array (see `keep_alive`). Under `NUMBA_DISABLE_JIT=1` a
pointer is the flat array itself, and the Python function of each name runs.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import overload

from engine.codegen import emit
from engine.codegen.emit import splat, vector_at
from engine.codegen.jit import jit
from engine.codegen.simd import LANES, Vector, intrinsic

BYTES = ir.VectorType(ir.IntType(8), LANES)


def pointer(array):
    """The address of a contiguous array's first element: what the functions below index, free of reference counting.

    Numba frees an array that a kernel allocated after the last line that names it, and its memory may then be another thread's:
    such a kernel says `keep_alive(array)` when it is done with the pointer.
    """
    return array.reshape(-1)


def keep_alive(array):
    """Name an array once more, so that it is not freed before this line; see `pointer`."""


def load(data, index):
    """The vector data[index : index + LANES]."""
    return data[index : index + LANES].copy()


def broadcast(data, index):
    """The vector with data[index] in every lane."""
    return data[index]


def store(data, index, vector):
    """data[index : index + LANES] = vector."""
    data[index : index + LANES] = vector


def load_lanes(data, index, count):
    """The vector data[index : index + count], 0 in the other lanes; count < LANES."""
    vector = np.zeros(LANES, data.dtype)
    vector[:count] = data[index : index + count]
    return vector


def store_lanes(data, index, vector, count):
    """data[index : index + count] = the first lanes of a vector."""
    data[index : index + count] = vector[:count]


def load_bytes(data, index, like):
    """The bytes data[index : index + LANES] as a vector of the type of `like`."""
    return data[index : index + LANES].astype(like.dtype)


def store_bytes(data, index, vector):
    """data[index : index + LANES] = a vector of integral values from 0 to 255, as bytes."""
    data[index : index + LANES] = vector


def prefetch(data, index):
    """Load the cache line of data[index] into the second-level cache in the background."""


@jit
def load_partial(data, index, count):
    """The vector at `index` where only the first `count` elements may be read: 0 behind them."""
    return load(data, index) if count >= LANES else load_lanes(data, index, count)


@jit
def store_partial(data, index, vector, count):
    """Write the first `count` elements of a vector."""
    if count >= LANES:
        store(data, index, vector)
    else:
        store_lanes(data, index, vector, count)


@intrinsic
def _pointer(typing, array):
    if array.layout != "C":
        raise TypingError("pointer(array) takes a contiguous array; copy it with np.ascontiguousarray first")

    def generate(context, builder, signature, arguments):
        return context.make_array(array)(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def _load(typing, data, index):
    vector = Vector(data.dtype)

    def generate(context, builder, signature, arguments):
        address = vector_at(builder, arguments[0], arguments[1], context.get_value_type(vector))
        return builder.load(address, align=data.dtype.bitwidth // 8)

    return vector(data, types.intp), generate


@intrinsic
def _broadcast(typing, data, index):
    vector = Vector(data.dtype)

    def generate(context, builder, signature, arguments):
        return splat(builder, builder.load(builder.gep(arguments[0], [arguments[1]])), context.get_value_type(vector))

    return vector(data, types.intp), generate


@intrinsic
def _store(typing, data, index, vector):
    def generate(context, builder, signature, arguments):
        address = vector_at(builder, arguments[0], arguments[1], context.get_value_type(vector))
        builder.store(arguments[2], address, align=data.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(data, types.intp, vector), generate


@intrinsic
def _load_lanes(typing, data, index, count):
    vector = Vector(data.dtype)

    def generate(context, builder, signature, arguments):
        kind = context.get_value_type(vector)
        address = vector_at(builder, arguments[0], arguments[1], kind)
        mask = emit.first_lanes(builder, arguments[2], kind)
        return emit.load_lanes(builder, address, mask, data.dtype.bitwidth // 8)

    return vector(data, types.intp, types.intp), generate


@intrinsic
def _store_lanes(typing, data, index, vector, count):
    def generate(context, builder, signature, arguments):
        kind = context.get_value_type(vector)
        address = vector_at(builder, arguments[0], arguments[1], kind)
        mask = emit.first_lanes(builder, arguments[3], kind)
        emit.store_lanes(builder, arguments[2], address, mask, data.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(data, types.intp, vector, types.intp), generate


@intrinsic
def _load_bytes(typing, data, index, like):
    def generate(context, builder, signature, arguments):
        integers = builder.load(vector_at(builder, arguments[0], arguments[1], BYTES), align=1)
        return builder.uitofp(integers, context.get_value_type(like))

    return like(data, types.intp, like), generate


@intrinsic
def _store_bytes(typing, data, index, vector):
    def generate(context, builder, signature, arguments):
        integers = builder.fptoui(arguments[2], BYTES)
        builder.store(integers, vector_at(builder, arguments[0], arguments[1], BYTES), align=1)
        return context.get_dummy_value()

    return types.void(data, types.intp, vector), generate


@intrinsic
def _prefetch(typing, data, index):
    def generate(context, builder, signature, arguments):
        emit.prefetch_line(builder, *arguments)
        return context.get_dummy_value()

    return types.void(data, types.intp), generate


overload(pointer)(lambda array: lambda array: _pointer(array))
overload(keep_alive)(lambda array: lambda array: None)
overload(load)(lambda data, index: lambda data, index: _load(data, index))
overload(broadcast)(lambda data, index: lambda data, index: _broadcast(data, index))
overload(store)(lambda data, index, vector: lambda data, index, vector: _store(data, index, vector))
overload(load_lanes)(lambda data, index, count: lambda data, index, count: _load_lanes(data, index, count))
overload(store_lanes)(
    lambda data, index, vector, count: lambda data, index, vector, count: _store_lanes(data, index, vector, count)
)
overload(load_bytes)(lambda data, index, like: lambda data, index, like: _load_bytes(data, index, like))
overload(store_bytes)(lambda data, index, vector: lambda data, index, vector: _store_bytes(data, index, vector))
overload(prefetch)(lambda data, index: lambda data, index: _prefetch(data, index))
