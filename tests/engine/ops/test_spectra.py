"""Three real products are the complex one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codegen.simd import LANES
from engine.ops import spectra
from engine.random import Key


def normal(seed, *shape, dtype=np.float64):
    return Key(seed).normal(shape).astype(dtype)


@pytest.mark.parametrize("groups", [2, 3])
def test_groups_have_products_of_their_own(groups):
    F, n, C, D = 2, 5, LANES, 2 * LANES
    X, E, V = normal(1, F, 2, n + 1, groups * C), normal(2, F, 2, n + 1, groups * D), normal(3, F, 2, C, groups * D)
    Y, Z, G = (np.empty_like(array) for array in (E, X, V))
    spectra.multiply(X, V, Y, n, groups)
    spectra.multiply(E, V, Z, n, groups, transposed=True)
    spectra.accumulate(X, E, G, n, groups, overwrite=True)
    spectra.accumulate(X, E, G, n, groups)
    for g in range(groups):
        c, d = slice(g * C, (g + 1) * C), slice(g * D, (g + 1) * D)
        x, e, v = (np.ascontiguousarray(array) for array in (X[..., c], E[..., d], V[..., d]))
        own_y, own_z, own_g = (np.empty_like(array) for array in (e, x, v))
        spectra.multiply(x, v, own_y, n)
        spectra.multiply(e, v, own_z, n, transposed=True)
        spectra.accumulate(x, e, own_g, n, overwrite=True)
        np.testing.assert_allclose(Y[:, :, :n, d], own_y[:, :, :n], rtol=0, atol=1e-12)
        np.testing.assert_allclose(Z[:, :, :n, c], own_z[:, :, :n], rtol=0, atol=1e-12)
        np.testing.assert_allclose(G[..., d], 2 * own_g, rtol=0, atol=1e-12)


def rounding(dtype, k):
    return 160 * (k + 1) * np.finfo(dtype).eps  # k terms of size 3 or less, sums of two, four times rounded


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(F=st.integers(1, 3), n=st.integers(1, 15), C=st.sampled_from([3, LANES]), D=st.sampled_from([5, 2 * LANES]))
def test_three_real_products_are_the_complex_one(dtype, F, n, C, D):
    X, E = (normal(s, F, 2, n + 1, width, dtype=dtype) for s, width in ((1, C), (2, D)))
    v = normal(3, F, C, D) + 1j * normal(4, F, C, D)
    V = np.stack([v.real, v.imag], axis=1).astype(dtype)
    Y, Z, G = (np.full(shape, np.nan, dtype) for shape in ((F, 2, n + 1, D), (F, 2, n + 1, C), (F, 2, C, D)))
    spectra.multiply(X, V, Y, n)
    spectra.multiply(E, V, Z, n, transposed=True)
    spectra.accumulate(X, E, G, n, overwrite=True)
    spectra.accumulate(X, E, G, n)
    x, e = (S[:, 0, :n].astype(float) + 1j * S[:, 1, :n] for S in (X, E))
    np.testing.assert_allclose(Y[:, 0, :n] + 1j * Y[:, 1, :n], x @ v, rtol=0, atol=rounding(dtype, C))
    gradient = G[:, 0] + 1j * G[:, 1]
    np.testing.assert_allclose(Z[:, 0, :n] + 1j * Z[:, 1, :n], e @ v.swapaxes(1, 2), rtol=0, atol=rounding(dtype, D))
    np.testing.assert_allclose(gradient, 2 * x.swapaxes(1, 2) @ e, rtol=0, atol=2 * rounding(dtype, n))
