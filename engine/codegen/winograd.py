"""The transforms of Winograd's convolution F(4 x 4, 3 x 3) for LANES tiles at once, in registers; see engine.ops.winograd.

A transform takes a tile X of n x n vectors to T X T^T or, as the adjoint of such a one, to T^T X T, where T is one of the
matrices below (6 x n). `apply` is that product as an ordinary Python function; while a kernel is compiled it runs on emitted
values (engine.codegen.emit), and so writes the code: no coefficient is loaded, and no product with 0 or 1 is computed.

**The matrices.** The product of polynomials g and y of 3 and 4 coefficients has 6 coefficients; it is found from its values at 5
points and its leading coefficient, "the value at infinity" (Toom and Cook). Transposed, this is a correlation of 6 numbers d
with 3 weights g: y = A^T ((G g) * (B^T d)). Row i of A and G has the powers of point i, G's divided by the product of its
distances from the others; row i of B^T has the coefficients of the polynomial that is 0 at all points but this one, and the
last row of the one that is 0 at all points.

**The points** are 0, +-5/8, +-3/2: see engine.ops.winograd for why. All coefficients of A and B, and all quotients' divisors,
are binary fractions without rounding. As the points are +- pairs, the rows of a pair differ in the signs of their odd terms
only: even and odd part are computed once, and added and subtracted (`_halves`).
"""

import operator
from functools import reduce

import numpy as np
from numba import types
from numba.extending import overload

from engine.codegen.emit import Emitted, vector_at
from engine.codegen.simd import LANES, Vector, intrinsic

OUTPUT, WINDOW = 4, 3  # outputs of a tile along an axis, and taps
TILE = OUTPUT + WINDOW - 1  # inputs of a tile along an axis, and points
POINTS = (0.0, 5 / 8, -5 / 8, 3 / 2, -3 / 2)  # and infinity
PAIRS = ((1, 2), (3, 4))  # of POINTS


def matrices(points=POINTS):
    """A (6, 4), B^T (6, 6) and G (6, 3)."""
    others = [[q for q in points if q != p] for p in points]
    A, G = (
        np.array([*([p**k for k in range(width)] for p in points), [0.0] * (width - 1) + [1.0]])
        for width in (OUTPUT, WINDOW)
    )
    G[:-1] /= np.array([[np.prod([p - q for q in own])] for p, own in zip(points, others, strict=True)])
    BT = np.array([*([*np.poly(own)[::-1], 0.0] for own in others), np.poly(points)[::-1]])
    return A, BT, G


A, BT, G = matrices()


def apply(T, X, transposed=False):
    """T X T^T of a tile X, a list of rows; `transposed`: T^T X T."""
    columns = [_product(T, column, transposed) for column in zip(*X, strict=True)]
    return [_product(T, row, transposed) for row in zip(*columns, strict=True)]


def _product(T, x, transposed):
    """T x, or T^T x, of a list x of numbers or vectors."""
    if transposed:
        return [_sum(column, _add_and_subtract(x)) for column in _halves(T).T]
    return _add_and_subtract([_sum(row, x) for row in _halves(T)])


def _halves(T):
    """T with the rows of each pair of points replaced by half of their sum and half of their difference: half of it is 0."""
    T = T.copy()
    for i, j in PAIRS:
        T[i], T[j] = (T[i] + T[j]) / 2, (T[i] - T[j]) / 2
    return T


def _add_and_subtract(x):
    """The sum and the difference of each pair, in the place of the two."""
    x = list(x)
    for i, j in PAIRS:
        x[i], x[j] = x[i] + x[j], x[i] - x[j]
    return x


def _sum(coefficients, x):
    """The sum of the numbers or vectors x, each times its coefficient."""
    terms = [v if c == 1 else float(c) * v for c, v in zip(coefficients, x, strict=True) if c != 0]
    return reduce(operator.add, terms)


def _compile_transform(T, *, transposed=False):
    """A function for kernels: write the transform of the tile at source[start] to target[to].

    `row` and `column` are the distances between a tile's vectors, and from one row of them to the next, in elements.
    """
    inputs, outputs = T.shape[:: 1 if transposed else -1]

    def transform(source, start, row, column, target, to, to_row, to_column):
        tile = [[source[at : at + LANES].copy() for at in ats] for ats in _indices(inputs, start, row, column)]
        for ats, vectors in zip(_indices(outputs, to, to_row, to_column), apply(T, tile, transposed), strict=True):
            for at, vector in zip(ats, vectors, strict=True):
                target[at : at + LANES] = vector

    @intrinsic
    def emitted(typing, source, start, row, column, target, to, to_row, to_column):
        vector, size = Vector(source.dtype), types.intp

        def generate(context, builder, signature, arguments):
            source, start, row, column, target, to, to_row, to_column = arguments
            kind, align = context.get_value_type(vector), vector.scalar.bitwidth // 8

            def addresses(count, data, start, row, column):
                def index(i, j):
                    return builder.add(builder.mul(row, row.type(i)), builder.mul(column, column.type(j)))

                return [
                    [vector_at(builder, data, builder.add(start, index(i, j)), kind) for j in range(count)]
                    for i in range(count)
                ]

            tile = [
                [Emitted(builder, builder.load(address, align=align)) for address in row_of_tile]
                for row_of_tile in addresses(inputs, source, start, row, column)
            ]
            places = addresses(outputs, target, to, to_row, to_column)
            for row_of_places, values in zip(places, apply(T, tile, transposed), strict=True):
                for address, value in zip(row_of_places, values, strict=True):
                    builder.store(value.value, address, align=align)
            return context.get_dummy_value()

        return types.void(source, size, size, size, target, size, size, size), generate

    overload(transform)(
        lambda source, start, row, column, target, to, to_row, to_column: (
            lambda source, start, row, column, target, to, to_row, to_column: emitted(
                source, start, row, column, target, to, to_row, to_column
            )
        )
    )
    return transform


def _indices(count, start, row, column):
    return [[start + i * row + j * column for j in range(count)] for i in range(count)]


transform_input = _compile_transform(BT)  # B^T d B
transform_weight = _compile_transform(G)  # G g G^T
transform_output = _compile_transform(A, transposed=True)  # A^T m A
transform_input_adjoint = _compile_transform(BT, transposed=True)
transform_weight_adjoint = _compile_transform(G, transposed=True)
transform_output_adjoint = _compile_transform(A)
