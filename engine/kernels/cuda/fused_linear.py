"""Linear maps and their ReLUs over rows on the GPU, and their backward; the equations are in engine.ops.fused_linear.

Forward is a call of cuBLASLt a map, which adds the bias and applies the ReLU on its way out. Backward goes over dy once for
g = dy [y > 0] with its column sums, and the two products follow. (cuBLASLt's own backward forms would take the ReLU's mask of the
map below into the product of the map above; they are not used.) All rows go through a map at once, and the windows exist as a
whole: a GPU is busy with many, and has the room.
"""

from __future__ import annotations

from engine.context import Context
from engine.device import cuda_version_of
from engine.kernels.cuda.bias import add_column_sums, relu_backward_add_column_sums
from engine.kernels.cuda.gemm import products
from engine.kernels.cuda.patches import patches_backward, patches_forward
from engine.memory import Empty
from engine.ops import fused_linear
from engine.ops.fused_linear import PIXEL, Maps, Window
from engine.typing import CudaArray


@cuda_version_of(fused_linear.forward)
def forward(x: CudaArray, window: Window, maps: Maps, y: CudaArray, ctx: Context) -> tuple[CudaArray, ...]:
    """Write the last y_l to y; return all y_l."""
    ys = (*(ctx.empty((len(y), W.shape[1]), x.dtype) for W in maps.W[:-1]), y)
    a = _rows(x, window, len(y), ctx.empty)
    for W, b, relu, y_l in zip(*maps, ys, strict=True):
        products().multiply(a, W, y_l, bias=b, relu=relu)
        a = y_l
    return ys


@cuda_version_of(fused_linear.backward)
def backward(
    x: CudaArray,
    window: Window,
    maps: Maps,
    ys: tuple[CudaArray, ...],
    dy: CudaArray,
    dx: CudaArray | None,
    into: Maps,
    ctx: Context,
) -> None:
    """Add to the gradients `into` and, unless it is None, write dx."""
    P, d = _rows(x, window, len(dy), ctx.empty), dy
    for depth in reversed(range(len(ys))):
        W, a = maps.W[depth], ys[depth - 1] if depth else P
        if maps.relu[depth]:
            g = ctx.empty(d.shape, d.dtype)
            relu_backward_add_column_sums(ys[depth], d, g, into.b[depth], ctx.empty)
            d = g
        else:
            add_column_sums(d, into.b[depth], ctx.empty)
        products().multiply(a.T, d, into.W[depth], add=True)
        if depth:
            da = ctx.empty(a.shape, d.dtype)
            products().multiply(d, W.T, da)
            d = da
    if dx is not None:
        dP = dx.reshape(P.shape) if window == PIXEL else P
        products().multiply(d, maps.W[0].T, dP)
        if window != PIXEL:
            dx.fill(0)
            patches_backward(dP, dx, 0, *window)


@cuda_version_of(fused_linear.multiply)
def multiply(A: CudaArray, B: CudaArray, C: CudaArray) -> None:
    """C = A B."""
    products().multiply(A, B, C)


def _rows(x: CudaArray, window: Window, n: int, empty: Empty) -> CudaArray:
    """The windows of images x, n of them."""
    if window == PIXEL:
        return x.reshape(n, -1)
    P = empty((n, window.kernel**2 * x.shape[-1]), x.dtype)
    patches_forward(x, P, 0, *window)
    return P
