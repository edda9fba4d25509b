"""Matrix products on the GPU: by cuBLASLt with fused epilogues, or by CuPy's cuBLAS where nvmath-python is not installed.

The precision is that of the products' inputs; arrays, sums and weights are always float32.

    float32    inputs as they are
    tf32       inputs rounded to 10 bits of mantissa, for the tensor cores
    bf16       inputs rounded to 7 bits of mantissa, for the tensor cores
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Protocol

from engine.device import INSTALL, PRECISIONS
from engine.errors import UserError
from engine.kernels.cuda.cublas import Blas
from engine.typing import CudaArray


class Products(Protocol):
    """A library of matrix products: C (n, D) = A (n, K) B (K, D), or C + A B with `add`; then + bias, then the ReLU."""

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


def choose_products(precision: str) -> Products:
    """The library that is installed; raises UserError for an unknown precision, or one that needs another library."""
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
    """The library that the present pass uses."""
    return _present.get()


@contextmanager
def use_products(library: Products) -> Iterator[None]:
    """Compute the products inside by this library."""
    token = _present.set(library)
    try:
        yield
    finally:
        _present.reset(token)
