"""The checker for PyTorch: the backward pass that somebody wrote for a `torch.autograd.Function`.

>>> import pytest; torch = pytest.importorskip("torch")
>>> class Square(torch.autograd.Function):
...     @staticmethod
...     def forward(ctx, x):
...         ctx.save_for_backward(x)
...         return x * x
...
...     @staticmethod
...     def backward(ctx, dy):
...         (x,) = ctx.saved_tensors
...         return 2 * x * dy
>>> check_function(Square, torch.tensor([0.5, -1.0, 2.0])).passed
True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import UserError
from engine.gradcheck.check import check_gradients
from engine.gradcheck.report import GradientReport
from engine.typing import Array


def check_function(
    function: Any,
    inputs: Tensor | Array | Sequence[Tensor | Array] | Mapping[str, Tensor | Array],
    **options: Any,
) -> GradientReport:
    """Hold the gradients of a function of tensors against differences of its values (see `check_gradients`).

    function -- a `torch.autograd.Function`, or anything that is called with tensors; it returns a tensor or a tuple of them
    inputs   -- tensors or arrays, or a mapping from names to them, or the only one as it is: numbers with a fraction are taken as
                float64, integers are handed on; the device is that of each tensor. What is no tensor goes into a
                lambda: check_function(lambda x: Power.apply(x, 3), x)
    options  -- those of `check_gradients`: method, seed, dy, ...

    Outputs of integers have no gradient and are left out. Raises what `check_gradients` does, and UserError for a module in
    float32.
    """
    if isinstance(function, torch.nn.Module) and (
        low := [p for p in function.parameters() if p.dtype == torch.float32]
    ):
        raise UserError(
            f"{len(low)} parameters of the module are float32, too coarse for differences: call .double() on it."
        )
    is_class = isinstance(function, type) and issubclass(function, torch.autograd.Function)
    apply = function.apply if is_class else function
    named = dict(inputs) if isinstance(inputs, Mapping) else _numbered(inputs)
    devices = [value.device if isinstance(value, Tensor) else None for value in named.values()]

    def forward(*arrays: Array) -> tuple[Any, Any]:
        xs = [torch.tensor(x, device=device) for x, device in zip(arrays, devices, strict=True)]
        for x in xs:
            x.requires_grad_(x.is_floating_point())
        ys = apply(*xs)
        several = isinstance(ys, tuple)
        ys = [y for y in (ys if several else [ys]) if y.is_floating_point()]
        values = tuple(y.detach().cpu().numpy() for y in ys)
        return (values if several else values[0]), (xs, ys)

    def backward(dy: Any, cache: Any) -> list[Array | None]:
        xs, ys = cache
        dys = dy if isinstance(dy, tuple) else [dy]
        moving = [x for x in xs if x.requires_grad]
        pairs = [
            (y, torch.as_tensor(d, dtype=y.dtype, device=y.device))
            for y, d in zip(ys, dys, strict=True)
            if y.requires_grad
        ]
        if pairs:  # otherwise no output depends on the inputs, says PyTorch
            torch.autograd.backward(*zip(*pairs, strict=True), inputs=moving)
        zero = (np.zeros(tuple(x.shape)) for x in xs)
        grads = [x.grad.cpu().numpy() if x.grad is not None else none for x, none in zip(xs, zero, strict=True)]
        return [grad if x.requires_grad else None for x, grad in zip(xs, grads, strict=True)]

    report = check_gradients(forward, backward, {name: _array(value) for name, value in named.items()}, **options)
    return replace(report, call="check_function(function, inputs")


def _numbered(inputs: Tensor | Array | Sequence[Tensor | Array]) -> dict[str, Tensor | Array]:
    listed = [inputs] if isinstance(inputs, Tensor | np.ndarray) else inputs
    return {"x" if len(listed) == 1 else f"x{i}": value for i, value in enumerate(listed)}


def _array(value: Tensor | Array) -> Array:
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind == "f" else array
