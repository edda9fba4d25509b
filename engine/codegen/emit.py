"""Emitting LLVM instructions for vectors: what the code generators of this package are written with.

A generator (`engine.codegen.fft.codelet`, `engine.random._philox`) is an ordinary Python function of numbers. Called with
`Emitted` values while a kernel is compiled, its arithmetic writes instructions instead of computing.
"""

from llvmlite import ir
from numba.core import cgutils

FLAGS = ("contract", "nsz")  # of floating-point instructions; see engine.codegen.jit


def vector_at(builder, data, index, kind):
    """LLVM's pointer to the vector of type `kind` that begins at data[index]."""
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def splat(builder, scalar, kind):
    """LLVM's vector of type `kind` with the scalar in every lane."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, cgutils.int32_t(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), None)
    return builder.shuffle_vector(first, undefined, zeros)


def first_lanes(builder, count, kind):
    """LLVM's mask for the first `count` lanes of a vector of type `kind`: what loads and stores of a part of it take."""
    lanes = ir.VectorType(ir.IntType(32), kind.count)
    counts = splat(builder, builder.trunc(count, lanes.element), lanes)
    return builder.icmp_signed("<", ir.Constant(lanes, list(range(kind.count))), counts)


def load_lanes(builder, address, mask, align):
    """The vector at an address; lanes outside the mask are not read, and 0."""
    kind = address.type.pointee
    function = _masked(builder, "load", kind, kind, [address.type, ir.IntType(32), mask.type, kind])
    return builder.call(function, [address, ir.IntType(32)(align), mask, ir.Constant(kind, None)])


def store_lanes(builder, vector, address, mask, align):
    """Write the lanes of a vector inside the mask."""
    arguments = [vector.type, address.type, ir.IntType(32), mask.type]
    function = _masked(builder, "store", vector.type, ir.VoidType(), arguments)
    builder.call(function, [vector, address, ir.IntType(32)(align), mask])


def prefetch_line(builder, data, index):
    """Let the cache line of data[index] be loaded into the second-level cache in the background."""
    byte_pointer, int32 = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte_pointer, int32, int32, int32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    address = builder.bitcast(builder.gep(data, [index]), byte_pointer)
    builder.call(function, [address, int32(0), int32(2), int32(1)])  # to read, into the second-level cache, data


def _masked(builder, name, kind, result, arguments):
    suffix = f"v{kind.count}{'f32' if kind.element == ir.FloatType() else 'f64'}"
    name = f"llvm.masked.{name}.{suffix}.p0{suffix}"
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


class Emitted:
    """A vector of floats in the code that LLVM is given; arithmetic with it, or with it and a constant, emits an instruction."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def __add__(self, other):
        return Emitted(self.builder, self.builder.fadd(self.value, other.value, flags=FLAGS))

    def __sub__(self, other):
        return Emitted(self.builder, self.builder.fsub(self.value, other.value, flags=FLAGS))

    def __rmul__(self, number):
        kind = self.value.type
        constant = ir.Constant(kind, [ir.Constant(kind.element, number)] * kind.count)
        return Emitted(self.builder, self.builder.fmul(constant, self.value, flags=FLAGS))


def _integer_operator(instruction):
    def operate(self, other):
        kind = self.value.type
        value = other.value if isinstance(other, EmittedInteger) else ir.Constant(kind, [int(other)] * kind.count)
        return EmittedInteger(self.builder, getattr(self.builder, instruction)(self.value, value))

    return operate


class EmittedInteger:
    """The same for a vector of unsigned integers."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    __add__, __mul__ = _integer_operator("add"), _integer_operator("mul")
    __xor__, __and__, __rshift__ = _integer_operator("xor"), _integer_operator("and_"), _integer_operator("lshr")
