"""Matrix products on the GPU: by cuBLASLt with fused epilogues, or by CuPy's cuBLAS where nvmath-python is not installed.

Precision is what the products are computed in; arrays, sums and weights are float32 whatever it is.

    float32    as it says
    tf32       inputs are rounded to 10 bits of mantissa, for the tensor cores; sums in float32
    bf16       inputs are rounded to 7 bits of mantissa, for the tensor cores; sums in float32

CuPy refuses its cuBLAS while a stream is captured, so with `Blas` a step is launched plainly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Protocol

from engine.device import INSTALL, PRECISIONS, array_module
from engine.errors import UserError
from engine.kernels.cuda.bias import add_bias, add_bias_relu
from engine.typing import CudaArray


class Products(Protocol):
    """Who multiplies: C (n, D) = A (n, K) B (K, D), or C + A B with `add`; then + bias, then the ReLU."""

    def multiply(
        self,
        A: CudaArray,
        B: CudaArray,
        C: CudaArray,
        *,
        bias: CudaArray | None = None,
        relu: bool = False,
        add: bool = False,
    ) -> None: ...


class Blas:
    """CuPy's products, in float32, with the bias and the ReLU in a second pass."""

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


def choose_products(precision: str) -> Products:
    """What is installed; raises UserError for an unknown precision, or one that cannot be had."""
    if precision not in PRECISIONS:
        raise UserError(f"the precision {precision!r} is unknown; choose one of {', '.join(PRECISIONS)}.")
    if find_spec("nvmath") is not None:
        from engine.kernels.cuda.cublaslt import CublasLt

        return CublasLt(precision)
    if precision != "float32":
        raise UserError(f"the precision {precision} needs nvmath-python: {INSTALL}, or choose float32.")
    return Blas()


_present: ContextVar[Products] = ContextVar("products")


def products() -> Products:
    """Who multiplies in the pass at hand."""
    return _present.get()


@contextmanager
def multiplying(by: Products) -> Iterator[None]:
    """Let `by` multiply."""
    token = _present.set(by)
    try:
        yield
    finally:
        _present.reset(token)
