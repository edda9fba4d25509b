"""cuBLASLt by its bindings in nvmath-python: products with epilogues on arrays of ours, which a graph can capture.

cuBLASLt is column-major. A row-major matrix, read in column-major order, is its transpose; so instead of C = A B we compute
C^T = B^T A^T, which needs no array to be copied. The bias then belongs to the rows of C^T, as cuBLASLt's epilogues expect.
"""

from __future__ import annotations

import cupy
import numpy as np
from nvmath import CudaDataType
from nvmath.bindings import cublasLt as lt  # noqa: N813 - a module, not a class
from nvmath.bindings.cublas import ComputeType

from engine.kernels.cuda.cublas import Blas
from engine.typing import CudaArray

WORKSPACE = 2**25  # bytes, as NVIDIA recommends for Hopper
COMPUTE = {
    "float32": ComputeType.COMPUTE_32F,
    "tf32": ComputeType.COMPUTE_32F_FAST_TF32,
    "bf16": ComputeType.COMPUTE_32F_FAST_16BF,
}
FLOAT32 = CudaDataType.CUDA_R_32F


class CublasLt:
    """Products of one precision; a plan is made once for arrays of the same shapes, strides and alignments."""

    def __init__(self, precision: str) -> None:
        self._compute = COMPUTE[precision]
        self._handle = lt.create()
        self._workspace = cupy.empty(WORKSPACE, np.uint8)
        self._plans: dict[tuple, _Plan] = {}
        self._float64 = Blas()
        self._one, self._zero = np.ones(1, np.float32), np.zeros(1, np.float32)

    def multiply(
        self,
        A: CudaArray,
        B: CudaArray,
        C: CudaArray,
        *,
        bias: CudaArray | None = None,
        relu: bool = False,
        add: bool = False,
    ) -> None:
        """C (n, D) = A (n, K) B (K, D), or C + A B with `add`; then + bias, then the ReLU."""
        if C.dtype != np.float32:  # in a gradient check
            self._float64.multiply(A, B, C, bias=bias, relu=relu, add=add)
            return
        address = 0 if bias is None else bias.data.ptr
        signature = (A.shape, A.strides, B.shape, B.strides, C.strides, address, relu, *map(_alignment, (A, B, C)))
        if signature not in self._plans:
            self._plans[signature] = _Plan(self._handle, self._compute, A, B, C, address, relu)
        plan, beta = self._plans[signature], self._one if add else self._zero
        lt.matmul(
            self._handle,
            plan.operation,
            self._one.ctypes.data,
            B.data.ptr,
            plan.left,
            A.data.ptr,
            plan.right,
            beta.ctypes.data,
            C.data.ptr,
            plan.out,
            C.data.ptr,
            plan.out,
            plan.algorithm.ctypes.data,
            self._workspace.data.ptr,
            WORKSPACE,
            cupy.cuda.get_current_stream().ptr,
        )


class _Plan:
    """Layouts, epilogue and algorithm of C^T = B^T A^T; the algorithm is the first choice of cuBLASLt's heuristic."""

    def __init__(
        self, handle: int, compute: int, A: CudaArray, B: CudaArray, C: CudaArray, bias: int, relu: bool
    ) -> None:
        self.operation = lt.matmul_desc_create(compute, FLOAT32)
        self.left, left_transposed = _layout(B)
        self.right, right_transposed = _layout(A)
        self.out, _ = _layout(C)
        self._set("TRANSA", np.int32(left_transposed))
        self._set("TRANSB", np.int32(right_transposed))
        if bias:
            self._set("EPILOGUE", np.uint32(lt.Epilogue.RELU_BIAS if relu else lt.Epilogue.BIAS))
            self._set("BIAS_POINTER", np.uint64(bias))
        self.algorithm = np.zeros(1, lt.matmul_heuristic_result_dtype)  # begins with the algorithm itself
        self._choose_algorithm(handle, A, B, C)

    def _set(self, name: str, attribute: np.generic) -> None:
        value = np.array([attribute])
        lt.matmul_desc_set_attribute(
            self.operation, getattr(lt.MatmulDescAttribute, name), value.ctypes.data, value.nbytes
        )

    def _choose_algorithm(self, handle: int, A: CudaArray, B: CudaArray, C: CudaArray) -> None:
        preference, count = lt.matmul_preference_create(), np.zeros(1, np.int32)
        limits: dict[str, np.generic] = {"MAX_WORKSPACE_BYTES": np.uint64(WORKSPACE)}
        for name, array in (("A", B), ("B", A), ("C", C), ("D", C)):
            limits[f"MIN_ALIGNMENT_{name}_BYTES"] = np.uint32(_alignment(array))
        for name, limit in limits.items():
            value, kind = np.array([limit]), getattr(lt.MatmulPreferenceAttribute, name)
            lt.matmul_preference_set_attribute(preference, kind, value.ctypes.data, value.nbytes)
        lt.matmul_algo_get_heuristic(
            handle,
            self.operation,
            self.left,
            self.right,
            self.out,
            self.out,
            preference,
            1,
            self.algorithm.ctypes.data,
            count.ctypes.data,
        )
        lt.matmul_preference_destroy(preference)
        if not count[0]:
            raise RuntimeError("cuBLASLt has no algorithm for this product")


def _alignment(array: CudaArray) -> int:
    """The largest power of 2 that divides the array's address, 256 at most."""
    return min(array.data.ptr & -array.data.ptr, 256)


def _layout(matrix: CudaArray) -> tuple[int, bool]:
    """The layout of a matrix in column-major terms, and whether cuBLASLt has to transpose it to obtain the matrix's transpose."""
    rows, columns = matrix.shape
    row_stride, column_stride = (stride // matrix.itemsize for stride in matrix.strides)
    if column_stride == 1 or columns == 1:  # row-major: already the transpose
        return lt.matrix_layout_create(FLOAT32, columns, rows, max(row_stride, columns)), False
    return lt.matrix_layout_create(FLOAT32, rows, columns, max(column_stride, rows)), True
