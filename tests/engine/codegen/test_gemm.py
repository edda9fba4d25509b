"""Products are those of the reference, for every number of rows, columns and terms."""

import ast
import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codegen import gemm as module
from engine.codegen.gemm import MAX_NR, gemm, gemm_reference, matmul
from engine.codegen.jit import jit
from engine.codegen.pointers import pointer
from engine.codegen.simd import LANES
from engine.kernels.cpu import fused_linear, winograd
from engine.ops import spectra
from engine.random import Key

DTYPES = [np.float32, np.float64]
rows, columns, terms = st.integers(1, 15), st.integers(1, (2 * MAX_NR + 1) * LANES), st.integers(0, 9)


def normal(seed, *shape, dtype=np.float64):
    return Key(seed).normal(shape).astype(dtype)


def rounding(dtype, k):
    return 4 * (k + 1) * np.finfo(dtype).eps * 10  # k terms of size 3 or less, twice rounded


@jit
def product(A, B, Z, C, transposed, clip_min):
    (m, n), k = C.shape, len(B)
    rs_a, cs_a = (1, m) if transposed else (k, 1)
    gemm(
        pointer(A), 0, rs_a, cs_a, pointer(B), 0, n, pointer(Z), 0, n, pointer(C), 0, n, m, n, k, clip_min, pointer(B), 0, 9
    )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("clip_min", [-np.inf, 0.0])
@given(m=rows, n=columns, k=terms)
def test_a_product_is_that_of_the_reference(dtype, transposed, clip_min, m, n, k):
    A, B, Z = normal(1, m, k, dtype=dtype), normal(2, k, n, dtype=dtype), normal(3, m, n, dtype=dtype)
    C = np.full_like(Z, np.nan)
    stored = np.ascontiguousarray(A.T) if transposed else A
    product(stored, B, Z, C, transposed, dtype(clip_min))
    expected = gemm_reference(A.astype(float), B.astype(float), Z.astype(float), clip_min)
    np.testing.assert_allclose(C, expected, rtol=0, atol=rounding(dtype, k))


@pytest.mark.parametrize("dtype", DTYPES)
def test_clip_min_clips_and_keeps_a_nan(dtype):
    A, B = np.ones((1, 1), dtype), np.full((1, LANES), -2, dtype)
    Z, C = np.arange(LANES, dtype=dtype)[None], np.empty((1, LANES), dtype)
    Z[0, -1] = np.nan
    product(A, B, Z, C, False, dtype(0))
    assert C[0, :5].tolist() == [0, 0, 0, 1, 2]
    assert np.isnan(C[0, -1])
    np.testing.assert_array_equal(C, gemm_reference(A, B, Z, 0))


@pytest.mark.parametrize("n", [2 * LANES, LANES + 1, 1])
def test_a_plain_product_is_that_of_the_reference(n):
    A, B, C = normal(1, 7, 5), normal(2, 5, n), np.full((7, n), np.nan)
    matmul(A, B, C)
    np.testing.assert_allclose(C, gemm_reference(A, B), rtol=0, atol=rounding(np.float64, 5))


def test_gemm_is_compiled_once_for_a_type_as_no_call_of_it_has_a_literal():
    calls = [
        node
        for source in (fused_linear, spectra, winograd, module)
        for node in ast.walk(ast.parse(inspect.getsource(source)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "gemm"
    ]
    assert len(calls) == 12
    assert not any(isinstance(argument, ast.Constant) for call in calls for argument in call.args)
