"""Vectors of LANES floats inside kernels: `load`, `spread`, arithmetic, `store`.

LLVM turns a plain loop into vector code only where it can prove that the loop's loads and stores keep out of each other's
way; in a butterfly, whose strides are known only when it runs, it cannot. Here a kernel says what it means: `load(z, i)` is
the vector z[i : i + LANES], vectors add, subtract and multiply (with each other and with numbers), and `store(z, i, v)`
writes one back. LANES float32 fill a register: 16 with AVX-512, 8 without.

Run as plain Python (`NUMBA_DISABLE_JIT=1`), a vector is a NumPy array of LANES numbers and the same text works.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import extending, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import models, overload, register_model

from engine import memory


def _has_avx512() -> bool:
    return get_host_cpu_features().get("avx512f", False)


LANES, REGISTERS = (16, 32) if _has_avx512() else (8, 16)  # float32 in a register of vectors, and how many there are
LINE = np.intp(memory.LINE // 4)  # float32 in a line of the cache; why it is no int: see ZERO in engine.codegen.jit
FLAGS = ("contract", "nsz")  # of floating-point instructions; see engine.codegen.jit
intrinsic: Any = extending.intrinsic  # a checker of types cannot know that it hides the first argument


class Vector(types.Type):
    """The type of LANES numbers of one scalar type, held in registers."""

    def __init__(self, scalar):
        self.scalar = scalar
        super().__init__(name=f"Vector({scalar})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, ir.VectorType(manager.lookup(vector.scalar).get_value_type(), LANES))


def pointer(array):
    """Where a contiguous array's numbers begin: what `load`, `spread` and `store` index, free of reference counts.

    A kernel that makes an array says `keep(array)` when it is done with the pointer: Numba frees an array after the last line
    that names it, and its memory may then be another thread's.
    """
    return array.reshape(-1)


def keep_alive(array):
    """Name an array once more, so that it lives until here; see `pointer`."""


def load(data, index):
    """Vector data[index : index + LANES]; nothing is checked."""
    return data[index : index + LANES].copy()


def broadcast(data, index):
    """Vector of LANES times data[index]; nothing is checked."""
    return data[index]


def store(data, index, vector):
    """data[index : index + LANES] = vector; nothing is checked."""
    data[index : index + LANES] = vector


def load_bytes(data, index, like):
    """The bytes data[index : index + LANES] as a vector of numbers like those of `like`; nothing is checked."""
    return data[index : index + LANES].astype(like.dtype)


def store_bytes(data, index, vector):
    """data[index : index + LANES] = a vector of whole numbers from 0 to 255, as bytes; nothing is checked."""
    data[index : index + LANES] = vector


def select_gt(a, b, then, otherwise):
    """Lane by lane: `then` where a > b, else (and where either is NaN) `otherwise`; all vectors."""
    return np.where(a > b, then, otherwise)


def select_eq(a, b, then, otherwise):
    """Lane by lane: `then` where a = b, else `otherwise`; all vectors."""
    return np.where(a == b, then, otherwise)


def zeros_like(vector):
    """A vector of zeros."""
    return np.zeros_like(vector)


def prefetch(data, index):
    """Ask for the cache line of data[index], which will be needed soon; changes nothing."""


@intrinsic
def _prefetch(typing, data, index):
    def generate(context, builder, signature, arguments):
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        where = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), byte)
        builder.call(ask, [where, number(0), number(2), number(1)])  # to read, into the second cache, data
        return context.get_dummy_value()

    return types.void(data, types.intp), generate


@intrinsic
def _pointer(typing, array):
    if array.layout != "C":
        raise TypingError("pointer(array) takes a contiguous array; copy it with np.ascontiguousarray first")

    def generate(context, builder, signature, arguments):
        return context.make_array(array)(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate


def vector_at(builder, data, index, kind):
    """LLVM's pointer to the vector that begins at data[index]."""
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def splat(builder, number, kind):
    """LLVM's vector of this number in every lane."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, cgutils.int32_t(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)


class Emitted:
    """A value in the code that LLVM is given: arithmetic with it writes an instruction, on vectors or a vector and a constant."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def __add__(self, other):
        return self._wrapped(self.builder.fadd(self.value, other.value, flags=FLAGS))

    def __sub__(self, other):
        return self._wrapped(self.builder.fsub(self.value, other.value, flags=FLAGS))

    def __rmul__(self, number):
        kind = self.value.type
        constant = ir.Constant(kind, [ir.Constant(kind.element, number)] * kind.count)
        return self._wrapped(self.builder.fmul(constant, self.value, flags=FLAGS))

    def _wrapped(self, value):
        return Emitted(self.builder, value)


def _whole(instruction):
    def operate(self, other):
        kind = self.value.type
        value = other.value if isinstance(other, EmittedWhole) else ir.Constant(kind, [int(other)] * kind.count)
        return EmittedWhole(self.builder, getattr(self.builder, instruction)(self.value, value))

    return operate


class EmittedWhole(Emitted):
    """The same for whole numbers without a sign."""

    __add__, __mul__ = _whole("add"), _whole("mul")
    __xor__, __and__, __rshift__ = _whole("xor"), _whole("and_"), _whole("lshr")


@intrinsic
def _load(typing, data, index):
    vector = Vector(data.dtype)

    def generate(context, builder, signature, arguments):
        place = vector_at(builder, arguments[0], arguments[1], context.get_value_type(vector))
        return builder.load(place, align=data.dtype.bitwidth // 8)

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
        place = vector_at(builder, arguments[0], arguments[1], context.get_value_type(vector))
        builder.store(arguments[2], place, align=data.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(data, types.intp, vector), generate


BYTES = ir.VectorType(ir.IntType(8), LANES)


@intrinsic
def _load_bytes(typing, data, index, like):
    def generate(context, builder, signature, arguments):
        small = builder.load(vector_at(builder, arguments[0], arguments[1], BYTES), align=1)
        return builder.uitofp(small, context.get_value_type(like))

    return like(data, types.intp, like), generate


@intrinsic
def _store_bytes(typing, data, index, vector):
    def generate(context, builder, signature, arguments):
        small = builder.fptoui(arguments[2], BYTES)
        builder.store(small, vector_at(builder, arguments[0], arguments[1], BYTES), align=1)
        return context.get_dummy_value()

    return types.void(data, types.intp, vector), generate


@intrinsic
def _zeros_like(typing, vector):
    return vector(vector), lambda context, builder, signature, arguments: ir.Constant(arguments[0].type, None)


@overload(prefetch)
def _overload_prefetch(data, index):
    return lambda data, index: _prefetch(data, index)


@overload(load_bytes)
def _overload_load_bytes(data, index, like):
    return lambda data, index, like: _load_bytes(data, index, like)


@overload(store_bytes)
def _overload_store_bytes(data, index, vector):
    return lambda data, index, vector: _store_bytes(data, index, vector)


@overload(zeros_like)
def _overload_zeros_like(vector):
    return lambda vector: _zeros_like(vector)


@overload(pointer)
def _overload_pointer(array):
    return lambda array: _pointer(array)


@overload(keep_alive)
def _overload_keep_alive(array):
    return lambda array: None


@overload(broadcast)
def _overload_broadcast(data, index):
    return lambda data, index: _broadcast(data, index)


@overload(load)
def _overload_load(data, index):
    return lambda data, index: _load(data, index)


@overload(store)
def _overload_store(data, index, vector):
    return lambda data, index, vector: _store(data, index, vector)


def _arithmetic(operation, instruction):
    @intrinsic
    def vectors(typing, a, b):
        def generate(context, builder, signature, arguments):
            return getattr(builder, instruction)(*arguments, flags=FLAGS)

        return a(a, b), generate

    @intrinsic
    def scaled(typing, number, vector):
        def generate(context, builder, signature, arguments):
            numbers = splat(builder, arguments[0], context.get_value_type(vector))
            return getattr(builder, instruction)(numbers, arguments[1], flags=FLAGS)

        return vector(vector.scalar, vector), generate

    @overload(operation)
    def _overload(a, b):
        if isinstance(a, Vector) and a == b:
            return lambda a, b: vectors(a, b)
        if isinstance(b, Vector) and isinstance(a, types.Float | types.Integer):
            return lambda a, b: scaled(a, b)


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")


def _choice(operation, comparison):
    @intrinsic
    def choose(typing, a, b, then, otherwise):
        def generate(context, builder, signature, arguments):
            return builder.select(builder.fcmp_ordered(comparison, *arguments[:2]), *arguments[2:])

        return a(a, a, a, a), generate

    @overload(operation)
    def _overload(a, b, then, otherwise):
        return lambda a, b, then, otherwise: choose(a, b, then, otherwise)


_choice(select_gt, ">")
_choice(select_eq, "==")
