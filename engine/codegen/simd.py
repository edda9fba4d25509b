"""Vectors of LANES floats inside kernels: their type and their arithmetic.

LLVM turns a plain loop into vector code only where it can prove that the loop's loads and stores do not alias; in a butterfly,
whose strides are known only at run time, it cannot. So a kernel says what it means: `load(z, i)` (engine.codegen.pointers) is
the vector z[i : i + LANES]; vectors add, subtract and multiply, with each other and with scalars; `store(z, i, v)` writes one
back. LANES float32 fill a register: 16 with AVX-512, 8 without.

Under `NUMBA_DISABLE_JIT=1` a vector is a NumPy array of LANES numbers, and the same kernel runs as plain Python.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import extending, types
from numba.extending import models, overload, register_model

from engine import memory
from engine.codegen.emit import FLAGS, splat


def _has_avx512() -> bool:
    return get_host_cpu_features().get("avx512f", False)


# The float32 numbers in a vector register, and the number of registers.
LANES, REGISTERS = (16, 32) if _has_avx512() else (8, 16)
LINE = np.intp(memory.LINE // 4)  # float32 in a cache line; of type intp for the reason given in engine.codegen.jit
intrinsic: Any = extending.intrinsic  # a type checker cannot know that it hides the first argument


class Vector(types.Type):
    """The type of LANES numbers of one scalar type, held in registers."""

    def __init__(self, scalar):
        self.scalar = scalar
        super().__init__(name=f"Vector({scalar})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, ir.VectorType(manager.lookup(vector.scalar).get_value_type(), LANES))


def select_gt(a, b, if_true, if_false):
    """Lane by lane: `if_true` where a > b, else (and where either is NaN) `if_false`; all vectors."""
    return np.where(a > b, if_true, if_false)


def select_eq(a, b, if_true, if_false):
    """Lane by lane: `if_true` where a = b, else `if_false`; all vectors."""
    return np.where(a == b, if_true, if_false)


def has_nan(vector):
    """Whether a lane is NaN."""
    return bool(np.isnan(vector).any())


@intrinsic
def _has_nan(typing, vector):
    def generate(context, builder, signature, arguments):
        mask, bits = builder.fcmp_unordered("uno", *arguments, *arguments), ir.IntType(LANES)
        return builder.icmp_unsigned("!=", builder.bitcast(mask, bits), ir.Constant(bits, 0))

    return types.boolean(vector), generate


@overload(has_nan)
def _overload_has_nan(vector):
    return lambda vector: _has_nan(vector)


def zeros_like(vector):
    """A vector of zeros."""
    return np.zeros_like(vector)


@intrinsic
def _zeros_like(typing, vector):
    return vector(vector), lambda context, builder, signature, arguments: ir.Constant(arguments[0].type, None)


@overload(zeros_like)
def _overload_zeros_like(vector):
    return lambda vector: _zeros_like(vector)


def _compile_operator(operation, instruction):
    """Let kernels use `operation` on two vectors, and on a scalar and a vector."""

    @intrinsic
    def of_vectors(typing, a, b):
        def generate(context, builder, signature, arguments):
            return getattr(builder, instruction)(*arguments, flags=FLAGS)

        return a(a, b), generate

    @intrinsic
    def of_scalar(typing, scalar, vector):
        def generate(context, builder, signature, arguments):
            broadcast = splat(builder, arguments[0], context.get_value_type(vector))
            return getattr(builder, instruction)(broadcast, arguments[1], flags=FLAGS)

        return vector(vector.scalar, vector), generate

    @overload(operation)
    def _overload(a, b):
        if isinstance(a, Vector) and a == b:
            return lambda a, b: of_vectors(a, b)
        if isinstance(b, Vector) and isinstance(a, types.Float | types.Integer):
            return lambda a, b: of_scalar(a, b)


_compile_operator(operator.add, "fadd")
_compile_operator(operator.sub, "fsub")
_compile_operator(operator.mul, "fmul")


def _compile_select(function, comparison):
    @intrinsic
    def select(typing, a, b, if_true, if_false):
        def generate(context, builder, signature, arguments):
            return builder.select(builder.fcmp_ordered(comparison, *arguments[:2]), *arguments[2:])

        return a(a, a, a, a), generate

    @overload(function)
    def _overload(a, b, if_true, if_false):
        return lambda a, b, if_true, if_false: select(a, b, if_true, if_false)


_compile_select(select_gt, ">")
_compile_select(select_eq, "==")
