"""y = max(x W + b, 0) and its backward on the GPU; the equations are in engine.affine.

Forward is one call of cuBLASLt, which adds the bias and applies the ReLU on its way out. Backward goes over dy once for
g = dy [y > 0] with its column sums, and the two products follow. (cuBLASLt's own backward forms would take the ReLU's mask of the
layer below into the product of the layer above: that is not where a layer's backward begins or ends.)
"""

from __future__ import annotations

from typing import Any

from engine.context import Context
from engine.cuda import elementwise
from engine.cuda.products import products

Array = Any  # CuPy's


def forward(x: Array, W: Array, b: Array, y: Array, relu: bool) -> None:
    """Write y."""
    products().multiply(x, W, y, bias=b, relu=relu)


def backward(
    x: Array, y: Array | None, dy: Array, W: Array, dx: Array | None, dW: Array, db: Array, ctx: Context
) -> None:
    """Add to dW and db and, unless it is None, write dx; y is the output if a ReLU made it, else None."""
    with ctx.scratch() as empty:
        if y is None:
            g = dy
            elementwise.bias_backward(dy, db, empty)
        else:
            g = empty(dy.shape, dy.dtype)
            elementwise.bias_relu_backward(y, dy, g, db, empty)
        products().multiply(x.T, g, dW, add=True)
        if dx is not None:
            products().multiply(g, W.T, dx)


def multiply(A: Array, B: Array, C: Array) -> None:
    """C = A B."""
    products().multiply(A, B, C)
