"""cuBLAS by CuPy: products in float32 or float64, for where nvmath-python is not installed.

CuPy refuses its cuBLAS while a stream is captured, so with it a step is launched plainly.
"""

from __future__ import annotations

from engine.device import array_module
from engine.kernels.cuda.bias import add_bias, add_bias_relu
from engine.typing import CudaArray


class Blas:
    """CuPy's products, with the bias and the ReLU in a second pass."""

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
        xp = array_module(C)
        if add:
            C += xp.matmul(A, B)
        else:
            xp.matmul(A, B, out=C)
        if bias is not None:
            (add_bias_relu if relu else add_bias)(C, bias)
