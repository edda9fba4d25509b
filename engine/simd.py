"""Vectors of LANES floats inside kernels: `load`, `spread`, arithmetic, `store`.

LLVM turns a plain loop into vector code only where it can prove that the loop's loads and stores keep out of each other's
way; in a butterfly, whose strides are known only when it runs, it cannot. Here a kernel says what it means: `load(z, i)` is
the vector z[i : i + LANES], vectors add, subtract and multiply (with each other and with numbers), and `store(z, i, v)`
writes one back. LANES float32 fill a register of AVX-512; where registers are narrower, LLVM takes several.

Run as plain Python (`NUMBA_DISABLE_JIT=1`), a vector is a NumPy array of LANES numbers and the same text works.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import models, overload, register_model

LANES = 16
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
    """Where a contiguous array's numbers begin: what `load`, `spread` and `store` index, free of reference counts."""
    return array.reshape(-1)


def load(data, index):
    """Vector data[index : index + LANES]; nothing is checked."""
    return data[index : index + LANES].copy()


def spread(data, index):
    """Vector of LANES times data[index]; nothing is checked."""
    return data[index]


def store(data, index, vector):
    """data[index : index + LANES] = vector; nothing is checked."""
    data[index : index + LANES] = vector


@intrinsic
def _pointer(typing, array):
    if array.layout != "C":
        raise TypingError("pointer(array) takes a contiguous array; copy it with np.ascontiguousarray first")

    def generate(context, builder, signature, arguments):
        return context.make_array(array)(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate


def _place(context, builder, data, index, vector):
    return builder.bitcast(builder.gep(data, [index]), context.get_value_type(vector).as_pointer())


@intrinsic
def _load(typing, data, index):
    vector = Vector(data.dtype)

    def generate(context, builder, signature, arguments):
        return builder.load(
            _place(context, builder, arguments[0], arguments[1], vector), align=data.dtype.bitwidth // 8
        )

    return vector(data, types.intp), generate


@intrinsic
def _spread(typing, data, index):
    vector = Vector(data.dtype)

    def generate(context, builder, signature, arguments):
        return _splat(context, builder, builder.load(builder.gep(arguments[0], [arguments[1]])), vector)

    return vector(data, types.intp), generate


@intrinsic
def _store(typing, data, index, vector):
    def generate(context, builder, signature, arguments):
        place = _place(context, builder, arguments[0], arguments[1], vector)
        builder.store(arguments[2], place, align=data.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(data, types.intp, vector), generate


def _splat(context, builder, number, vector):
    kind = context.get_value_type(vector)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, cgutils.int32_t(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)


@overload(pointer)
def _overload_pointer(array):
    return lambda array: _pointer(array)


@overload(spread)
def _overload_spread(data, index):
    return lambda data, index: _spread(data, index)


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
            return getattr(builder, instruction)(*arguments, flags=("contract", "nsz"))

        return a(a, b), generate

    @intrinsic
    def scaled(typing, number, vector):
        def generate(context, builder, signature, arguments):
            splat = _splat(context, builder, arguments[0], vector)
            return getattr(builder, instruction)(splat, arguments[1], flags=("contract", "nsz"))

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
