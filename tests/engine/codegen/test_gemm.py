"""Products by tiles are the products of NumPy, for every number of rows, columns and terms."""

import ast
import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codegen import gemm
from engine.codegen.jit import jit
from engine.codegen.simd import LANES, pointer
from engine.kernels.cpu import fused_linear
from engine.ops import spectra
from engine.random import Key

DTYPES = [np.float32, np.float64]
rows, vectors, terms = st.integers(1, 15), st.integers(1, 2 * gemm.WIDEST + 1), st.integers(0, 9)


def normal(seed, *shape, dtype=np.float64):
    return Key(seed).normal(shape).astype(dtype)


def limit(dtype, K):
    return 4 * (K + 1) * np.finfo(dtype).eps * 10  # K terms of size 3 or less, twice rounded


@jit
def product(A, B, Z, C, transposed, floor):
    (n, D), K = C.shape, len(B)
    steps = (1, n) if transposed else (K, 1)
    gemm.product(
        pointer(A), 0, steps[0], steps[1], pointer(B), 0, D, pointer(Z), 0, D, pointer(C), 0, D, n, K, D, floor, pointer(B), 0, 9
    )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
@given(n=rows, v=vectors, K=terms)
def test_a_product_is_the_sum_of_its_terms_from_where_it_begins(dtype, transposed, n, v, K):
    A, B, begin = (
        normal(1, n, K, dtype=dtype),
        normal(2, K, v * LANES, dtype=dtype),
        normal(3, n, v * LANES, dtype=dtype),
    )
    C = np.full_like(begin, np.nan)
    stored = np.ascontiguousarray(A.T) if transposed else A
    product(stored, B, begin, C, transposed, dtype(-np.inf))
    expected = begin.astype(float) + A.astype(float) @ B.astype(float)
    np.testing.assert_allclose(C, expected, rtol=0, atol=limit(dtype, K))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_floor_lifts_what_is_below_it_and_keeps_what_is_no_number(dtype):
    A, B = np.ones((1, 1), dtype), np.full((1, LANES), -2, dtype)
    begin, C = np.arange(LANES, dtype=dtype)[None], np.empty((1, LANES), dtype)
    begin[0, -1] = np.nan
    product(A, B, begin, C, False, dtype(0))
    assert C[0, :5].tolist() == [0, 0, 0, 1, 2]
    assert np.isnan(C[0, -1])


@pytest.mark.parametrize("dtype", DTYPES)
@given(F=st.integers(1, 3), n=rows, C=st.sampled_from([3, LANES]), D=st.sampled_from([5, 2 * LANES]))
def test_three_real_products_are_the_complex_one(dtype, F, n, C, D):
    X, E = (normal(s, F, 2, n + 1, width, dtype=dtype) for s, width in ((1, C), (2, D)))
    v = normal(3, F, C, D) + 1j * normal(4, F, C, D)
    V = np.stack([v.real, v.imag], axis=1).astype(dtype)
    Y, Z, G = (np.full(shape, np.nan, dtype) for shape in ((F, 2, n + 1, D), (F, 2, n + 1, C), (F, 2, C, D)))
    spectra.multiply(X, V, Y, n)
    spectra.multiply(E, V, Z, n, transposed=True)
    spectra.accumulate(X, E, G, n, begun=False)
    spectra.accumulate(X, E, G, n)
    x, e = (S[:, 0, :n].astype(float) + 1j * S[:, 1, :n] for S in (X, E))
    np.testing.assert_allclose(Y[:, 0, :n] + 1j * Y[:, 1, :n], x @ v, rtol=0, atol=4 * limit(dtype, C))
    gradient = G[:, 0] + 1j * G[:, 1]
    np.testing.assert_allclose(Z[:, 0, :n] + 1j * Z[:, 1, :n], e @ v.swapaxes(1, 2), rtol=0, atol=4 * limit(dtype, D))
    np.testing.assert_allclose(gradient, 2 * x.swapaxes(1, 2) @ e, rtol=0, atol=8 * limit(dtype, n))


def test_a_product_is_compiled_once_for_a_type_as_no_call_of_it_has_a_number_written_out():
    calls = [
        node
        for module in (fused_linear, spectra, gemm)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "product"
    ]
    assert len(calls) == 10
    assert not any(isinstance(argument, ast.Constant) for call in calls for argument in call.args)
