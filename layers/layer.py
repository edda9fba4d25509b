"""What every layer is: a forward pass, a backward pass, and the parameters between them.

    y, cache = layer.forward(x, ctx)
    dx = layer.backward(dy, cache, ctx)

`ctx` is the `Context` of the pass (see engine.context): mode, randomness, scratch memory, gradients. `cache` is what
this layer's backward needs of its forward. A layer changes neither x nor dy nor the cache, and keeps nothing of a pass.
Gradients of parameters are added to `ctx.gradient(parameter)`. Everywhere dv is the gradient of the loss with respect to v;
derivatives are written with ∂.

What comes in is checked once, before any kernel: forward begins with `check_input`, backward with `check_gradient` (see
layers.border).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from engine.context import Context
from engine.errors import UserError
from engine.parameters import Parameter
from engine.typing import Array, Shape


class Layer:
    """The contract. Shapes are of one sample, without N: an image is (H, W, C), a vector (C,).

    A layer with several inputs (`n_inputs`) takes a tuple of arrays for x, and a tuple of shapes; its backward returns a tuple of
    gradients, one an input.

    `not_promised` names the checks of `engine.gradcheck` that do not hold for the layer, each with the reason.
    """

    n_inputs = 1
    not_promised: ClassVar[Mapping[str, str]] = {}

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Any]:
        """The output y (N, ...), and the cache for `backward`."""
        raise NotImplementedError

    def backward(self, dy: Array, cache: Any, ctx: Context, need_dx: bool = True) -> Array | None:
        """dx = J^T dy with the Jacobian J = ∂y/∂x, of x's shape; the parameters' gradients are added to `ctx`.

        With `need_dx=False` dx may be None: no parameter below this layer needs it.
        """
        raise NotImplementedError

    def parameters(self) -> list[Parameter]:
        """The layer's parameters, always in the same order."""
        return []

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """The parameters with their names inside the layer, such as weight and bias."""
        return [(parameter.name.rpartition(".")[2], parameter) for parameter in self.parameters()]

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of one sample of y for one sample of x; raises UserError where the layer cannot take it."""
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        """Multiplications that are added up, for one sample's forward pass; element-wise work does not count."""
        return 0

    def kink_distance(self, x: Array, ctx: Context) -> float:
        """How far, in the largest change of any element of x, the input is from the nearest kink (infinity: smooth)."""
        return np.inf

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def expect_rank(layer: Layer, shape: Shape, rank: int, meaning: str) -> None:
    """Raise unless one sample has `rank` axes."""
    if len(shape) != rank:
        raise UserError(f"{layer} was given samples of shape {shape}; it takes {meaning}: check the layer before it.")


def expect_channels(layer: Layer, shape: Shape, channels: int) -> None:
    """Raise unless the last axis has `channels` elements."""
    if shape[-1] != channels:
        raise UserError(
            f"{layer} was given samples of shape {shape}; its last axis must be {channels}: check the layer before it."
        )
