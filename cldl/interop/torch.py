"""The CLDL loss for models in PyTorch: its gradient goes into autograd.

>>> import pytest; torch = pytest.importorskip("torch")
>>> logits = [torch.zeros(4, 10, requires_grad=True) for _ in range(3)]  # of three classifiers, the bottom one first
>>> loss = cldl_loss(logits, torch.arange(4))
>>> loss.backward()
>>> logits[0].grad.shape
torch.Size([4, 10])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cldl import loss


class CldlLoss(torch.autograd.Function):
    """CldlLoss.apply(labels, options, *logits): `cldl.loss.cldl_loss` of M tensors (N, K); options are its keywords."""

    @staticmethod
    def forward(ctx: Any, labels: Tensor, options: dict[str, Any], *logits: Tensor) -> Tensor:
        result = loss.cldl_loss([_array(z) for z in logits], labels.detach().cpu().numpy(), **options)
        ctx.gradients = [torch.from_numpy(g).to(z) for g, z in zip(result.gradients, logits, strict=True)]
        return logits[0].new_tensor(result.value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(dloss * g for g in ctx.gradients)  # labels and options have no gradient


def cldl_loss(
    logits: Sequence[Tensor],
    labels: Tensor,
    weights: Sequence[float] | None = None,
    exponent: float | None = None,
    through_companions: bool = True,
) -> Tensor:
    """The CLDL loss of M classifiers, a tensor without axes; its gradient is the explicit one of `cldl.loss`.

    logits             -- M tensors (N, K) of float16, bfloat16, float32 or float64, the bottom classifier's first
    labels             -- (N,) integers
    weights            -- (M,), lambda; all 1 by default
    exponent           -- g; 1 / (M - 1) by default
    through_companions -- False holds every T^(m) constant

    Both are computed on the processor, in float64; tensors on a GPU are copied there and the gradients back. The gradient has no
    gradient of its own. Raises UserError as `cldl.loss.cldl_loss` does. On a batch in parts, as in data-parallel
    training, the mean is that of the part.
    """
    options = {"weights": weights, "exponent": exponent, "through_companions": through_companions}
    return CldlLoss.apply(labels, options, *logits)


def _array(z: Tensor) -> Any:
    """On the processor; NumPy knows no bfloat16."""
    return z.detach().to("cpu", torch.float64 if z.dtype == torch.float64 else torch.float32).numpy()
