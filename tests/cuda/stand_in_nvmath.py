"""A stand-in for the bindings of cuBLASLt on the CPU's memory: column-major, with the epilogues BIAS and RELU_BIAS.

The names, and the sizes of attributes, are those of nvmath-python 1.0.
"""

import ctypes
import sys
from importlib.machinery import ModuleSpec
from itertools import count
from types import ModuleType, SimpleNamespace

import numpy as np

SIZES = {"TRANSA": 4, "TRANSB": 4, "EPILOGUE": 4, "BIAS_POINTER": 8}
LIMITS = {"MAX_WORKSPACE_BYTES": 8, **{f"MIN_ALIGNMENT_{name}_BYTES": 4 for name in "ABCD"}}
matmul_heuristic_result_dtype = np.dtype([("algo", "<u8", (8,)), ("rest", "<u8", (4,))])
known: dict[int, SimpleNamespace] = {}
numbers = count(1)


def _new(**fields) -> int:
    number = next(numbers)
    known[number] = SimpleNamespace(**fields)
    return number


def create() -> int:
    return _new()


def matmul_desc_create(compute: int, scale: int) -> int:
    assert scale == "float32"
    return _new(compute=compute, TRANSA=0, TRANSB=0, EPILOGUE=1, BIAS_POINTER=0)


def matmul_desc_set_attribute(operation: int, name: str, address: int, size: int) -> None:
    assert size == SIZES[name], name
    setattr(known[operation], name, int.from_bytes(ctypes.string_at(address, size), sys.byteorder))


def matrix_layout_create(kind: str, rows: int, columns: int, step: int) -> int:
    assert kind == "float32"
    assert step >= rows
    return _new(rows=rows, columns=columns, step=step)


def matmul_preference_create() -> int:
    return _new()


def matmul_preference_set_attribute(preference: int, name: str, address: int, size: int) -> None:
    assert size == LIMITS[name], name


def matmul_preference_destroy(preference: int) -> None:
    del known[preference]


def matmul_algo_get_heuristic(handle, operation, a, b, c, d, preference, requested, results, found) -> None:
    shapes = [(m.rows, m.columns) for m in (known[a], known[b], known[c])]
    left, right = (s[::-1] if t else s for s, t in zip(shapes, _transposed(operation), strict=False))
    assert left[1] == right[0]
    assert (left[0], right[1]) == shapes[2]
    ctypes.memmove(found, np.array([1], np.int32).ctypes.data, 4)


def matmul(handle, operation, alpha, A, a, B, b, beta, C, c, D, d, algorithm, workspace, size, stream) -> None:
    left, right = (_matrix(p, m).T if t else _matrix(p, m) for p, m, t in zip((A, B), (a, b), _transposed(operation)))  # noqa: B905 - pairs, all of them
    alpha, beta = (ctypes.c_float.from_address(address).value for address in (alpha, beta))
    product = alpha * (left @ right)
    if beta:
        product = product + beta * _matrix(C, c)
    descriptor = known[operation]
    if descriptor.EPILOGUE & Epilogue.BIAS:
        product = product + _matrix(descriptor.BIAS_POINTER, _new(rows=len(product), columns=1, step=len(product)))
    if descriptor.EPILOGUE & Epilogue.RELU:
        product = np.maximum(product, 0)
    _matrix(D, d)[...] = product


def _transposed(operation: int) -> tuple[int, int]:
    return known[operation].TRANSA, known[operation].TRANSB


def _matrix(address: int, layout: int) -> np.ndarray:
    descriptor = known[layout]
    length = descriptor.step * (descriptor.columns - 1) + descriptor.rows
    whole = np.frombuffer((ctypes.c_float * length).from_address(address), np.float32)
    return np.lib.stride_tricks.as_strided(whole, (descriptor.rows, descriptor.columns), (4, 4 * descriptor.step))


Epilogue = SimpleNamespace(DEFAULT=1, RELU=2, BIAS=4, RELU_BIAS=6)


def install() -> None:
    """Let `import nvmath` give the stand-in."""
    nvmath, bindings, cublas = (ModuleType(name) for name in ("nvmath", "nvmath.bindings", "nvmath.bindings.cublas"))
    nvmath.__spec__ = ModuleSpec("nvmath", None)
    nvmath.CudaDataType = SimpleNamespace(CUDA_R_32F="float32")
    lt = sys.modules[__name__]
    lt.MatmulDescAttribute = SimpleNamespace(**{name: name for name in SIZES})
    lt.MatmulPreferenceAttribute = SimpleNamespace(**{name: name for name in LIMITS})
    names = "COMPUTE_32F", "COMPUTE_32F_FAST_TF32", "COMPUTE_32F_FAST_16BF"
    cublas.ComputeType = SimpleNamespace(**{name: name for name in names})
    bindings.cublasLt, bindings.cublas = lt, cublas
    sys.modules |= {m.__name__: m for m in (nvmath, bindings, cublas)} | {"nvmath.bindings.cublasLt": lt}
