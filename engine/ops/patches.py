"""Chains whose first convolution is a product with the matrix of its windows, and convolutions in groups, on copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.context import Context
from engine.device import contiguous, dispatch
from engine.ops import fused_linear
from engine.ops.chain import Chain, FusedLayer, gradients, rows_of, values
from engine.ops.fused_linear import Arrays, Window
from engine.typing import Array


@dataclass(frozen=True)
class Patches:
    """Every window as a row of a matrix P (N Ho Wo, k k C): y = P W + b, group by group; see engine.ops.fused_linear."""

    window: Window
    groups: int
    name: ClassVar[str] = "patches"

    def forward(self, x: Array, chain: Chain, y: Array, ctx: Context) -> tuple[Arrays, None]:
        """Every output; y alone where there are groups."""
        (W, b, relu), y_rows = values(chain), rows_of(y)
        if self.groups == 1:
            return dispatch(fused_linear.forward, x, self.window, W, b, relu, y_rows, ctx), None
        for c, d in self._groups(chain[0]):
            x_g, y_g = contiguous(x[..., c]), ctx.empty((len(y_rows), d.stop - d.start), x.dtype)
            dispatch(fused_linear.forward, x_g, self.window, (W[0][:, d],), (b[0][d],), relu, y_g, ctx)
            y_rows[:, d] = y_g
            del y_g  # or it would live on until that of the next group exists
        return (y_rows,), None

    def backward(
        self, x: Array, dy: Array, ys: Arrays, saved: None, chain: Chain, dx: Array | None, ctx: Context
    ) -> None:
        """Group by group: dW = P^T dy, db = the sum of dy's rows, dP = dy W^T; see `fused_linear.backward_reference`."""
        (W, _, relu), (dW, db), dy = values(chain), gradients(chain, ctx), rows_of(dy)
        if self.groups == 1:
            dispatch(fused_linear.backward, x, self.window, W, relu, ys, dy, dx, dW, db, ctx)
            return
        for c, d in self._groups(chain[0]):
            x_g, y_g, dy_g = (contiguous(array) for array in (x[..., c], ys[0][:, d], dy[:, d]))
            dx_g = None if dx is None else ctx.empty(x_g.shape, x.dtype)
            W_g, db_g = W[0][:, d], (db[0][d],)
            dW_g = ctx.empty(W_g.shape, x.dtype)
            dW_g.fill(0)
            dispatch(fused_linear.backward, x_g, self.window, (W_g,), relu, (y_g,), dy_g, dx_g, (dW_g,), db_g, ctx)
            dW[0][:, d] += dW_g
            if dx is not None:
                dx[..., c] = dx_g
            del dx_g, dW_g  # or they would live on until those of the next group exist

    def _groups(self, layer: FusedLayer) -> list[tuple[slice, slice]]:
        """The input and the output channels of each group."""
        C, D = layer.weight.shape[2], layer.weight.shape[3] // self.groups
        return [(slice(g * C, (g + 1) * C), slice(g * D, (g + 1) * D)) for g in range(self.groups)]
