"""The matrices of F(4 x 4, 3 x 3) make correlations, and the transforms that are compiled from them are products with them."""

import numpy as np
import pytest

from engine.codegen import winograd
from engine.codegen.jit import jit
from engine.codegen.pointers import pointer
from engine.codegen.simd import LANES
from engine.codegen.winograd import BT, OUTPUT, TILE, WINDOW, A, G, matrices
from engine.random import Key

TRANSFORMS = {
    "transform_input": BT,
    "transform_weight": G,
    "transform_output": A.T,
    "transform_input_adjoint": BT.T,
    "transform_weight_adjoint": G.T,
    "transform_output_adjoint": A,
}


def test_shapes_are_those_of_four_outputs_and_three_taps():
    assert (OUTPUT, WINDOW, TILE) == (4, 3, 6)
    assert [T.shape for T in (A, BT, G)] == [(6, 4), (6, 6), (6, 3)]


@pytest.mark.parametrize("points", [winograd.POINTS, (0, 1, -1, 2, -2), (0, 1, -1, 1 / 2, -2)], ids=str)
def test_any_points_make_a_correlation(points):
    A, BT, G = matrices(points)
    d, g = Key(1).normal((6,)), Key(2).normal((3,))
    np.testing.assert_allclose(A.T @ ((G @ g) * (BT @ d)), np.correlate(d, g), rtol=0, atol=1e-13)


def test_what_multiplies_images_is_not_rounded_in_float32():
    for T in (A, BT):
        np.testing.assert_array_equal(T, T.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_compiled_transform_is_the_product_with_its_matrix_on_both_sides(name, dtype):
    T, transform = TRANSFORMS[name], getattr(winograd, name)
    m, n = T.shape

    @jit
    def run(x, y, rows, columns):
        for k in range(columns):
            at = k * LANES
            transform(
                pointer(x), at, rows * columns * LANES, columns * LANES, pointer(y), at, m * columns * LANES, columns * LANES
            )  # fmt: skip

    x, y = Key(3).normal((n, n, 2, LANES)).astype(dtype), np.full((m, m, 2, LANES), np.nan, dtype)
    run(x, y, n, 2)
    expected = np.einsum("pa,abkl,qb->pqkl", T, x.astype(float), T)
    np.testing.assert_allclose(y, expected, rtol=0, atol=100 * np.finfo(dtype).eps * np.abs(expected).max())
