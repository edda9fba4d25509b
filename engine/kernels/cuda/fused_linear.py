"""A chain of linear maps over rows on the GPU, and its backward; the equations are in engine.ops.fused_linear.

Forward is a call of cuBLASLt a map, with bias and ReLU in its epilogue. Backward reads dy once for g = dy [y > 0] with its
column sums, and the two products follow. (cuBLASLt's backward epilogues would apply the ReLU's mask of the map below in the
product of the map above; they are not used.) All rows go through a map at once, and the patch matrix exists as a whole: a GPU
needs many rows to be busy, and has the memory.
"""

from __future__ import annotations

from engine.context import Context
from engine.device import cuda_version_of
from engine.kernels.cuda.bias import add_column_sums, relu_backward_add_column_sums
from engine.kernels.cuda.gemm import products
from engine.kernels.cuda.patches import patches_backward, patches_forward
from engine.memory import Empty
from engine.ops import fused_linear
from engine.ops.fused_linear import PIXEL, Arrays, Window
from engine.typing import CudaArray


@cuda_version_of(fused_linear.forward)
def forward(
    x: CudaArray, window: Window, W: Arrays, b: Arrays, relu: tuple[bool, ...], y: CudaArray, ctx: Context
) -> Arrays:
    """Write the last y_l to y; return all y_l."""
    ys = (*(ctx.empty((len(y), W_l.shape[1]), x.dtype) for W_l in W[:-1]), y)
    a = _patch_rows(x, window, len(y), ctx.empty)
    for W_l, b_l, relu_l, y_l in zip(W, b, relu, ys, strict=True):
        products().multiply(a, W_l, y_l, bias=b_l, relu=relu_l)
        a = y_l
    return ys


@cuda_version_of(fused_linear.backward)
def backward(
    x: CudaArray,
    window: Window,
    W: Arrays,
    relu: tuple[bool, ...],
    ys: Arrays,
    dy: CudaArray,
    dx: CudaArray | None,
    dW: Arrays,
    db: Arrays,
    ctx: Context,
) -> None:
    """Add to dW and db and, unless it is None, write dx."""
    P, d = _patch_rows(x, window, len(dy), ctx.empty), dy
    for i in reversed(range(len(ys))):
        a = ys[i - 1] if i else P
        if relu[i]:
            g = ctx.empty(d.shape, d.dtype)
            relu_backward_add_column_sums(ys[i], d, g, db[i], ctx.empty)
            d = g
        else:
            add_column_sums(d, db[i], ctx.empty)
        products().multiply(a.T, d, dW[i], add=True)
        if i:
            da = ctx.empty(a.shape, d.dtype)
            products().multiply(d, W[i].T, da)
            d = da
    if dx is not None:
        dP = dx.reshape(P.shape) if window == PIXEL else P
        products().multiply(d, W[0].T, dP)
        if window != PIXEL:
            dx.fill(0)
            patches_backward(dP, dx, 0, *window)


@cuda_version_of(fused_linear.multiply)
def multiply(A: CudaArray, B: CudaArray, C: CudaArray) -> None:
    """C = A B."""
    products().multiply(A, B, C)


def _patch_rows(x: CudaArray, window: Window, n: int, empty: Empty) -> CudaArray:
    """The windows of images x, n of them."""
    if window == PIXEL:
        return x.reshape(n, -1)
    P = empty((n, window.kernel**2 * x.shape[-1]), x.dtype)
    patches_forward(x, P, 0, *window)
    return P
