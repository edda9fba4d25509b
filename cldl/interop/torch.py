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

from cldl.objective import Objective
from engine.errors import UserError


class CldlLoss(torch.autograd.Function):
    """CldlLoss.apply(labels, objective, *logits): an `Objective` of M tensors (N, K)."""

    @staticmethod
    def forward(ctx: Any, labels: Tensor, objective: Objective, *logits: Tensor) -> Tensor:
        result = objective([_array(z) for z in logits], labels.detach().cpu().numpy())
        ctx.gradients = [torch.from_numpy(g).to(z) for g, z in zip(result.gradients, logits, strict=True)]
        return logits[0].new_tensor(result.value)

    @staticmethod
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # under create_graph
            raise UserError("the gradient of the CLDL loss has no gradient of its own: do without create_graph=True.")
        return None, None, *(dloss * g for g in ctx.gradients)  # labels and objective have no gradient


def cldl_loss(
    logits: Sequence[Tensor],
    labels: Tensor,
    weights: Sequence[float] | None = None,
    exponent: float | None = None,
    through_companions: bool = True,
    unweighted_share: float = 0.0,
) -> Tensor:
    """The CLDL loss of M classifiers, a tensor without axes; its gradient is the explicit one of `cldl.loss`.

    logits             -- M tensors (N, K) of float16, bfloat16, float32 or float64, the bottom classifier's first
    labels             -- (N,) integers
    weights            -- (M,), lambda; all 1 by default
    exponent           -- g; 1 / (M - 1) by default
    through_companions -- False holds every T^(m) constant, so that this is no longer the gradient of the loss
    unweighted_share   -- not the paper's: the share of each classifier's loss that T^(m) leaves alone. With 0.5 all classifiers
                          learn where few samples, or easy ones, would starve some of them (see `cldl.objective`)

    Both are computed on the processor, in float64; tensors on a GPU are copied there and the gradients back. On a batch in parts,
    as in data-parallel training, the mean is that of the part.

    Raises:    UserError for what are no such tensors, as `cldl.loss.cldl_loss` does, and where a gradient of the gradient is
               asked for.
    """
    for name, value in (*((f"logits[{m}]", z) for m, z in enumerate(logits)), ("labels", labels)):
        if not isinstance(value, Tensor):
            raise UserError(f"{name} is a {type(value).__name__}; give a tensor.")
        if value is not labels and not value.is_floating_point():
            raise UserError(f"{name} is of {value.dtype}; give numbers with a fraction.")
    lambdas = (1.0,) * len(logits) if weights is None else tuple(float(w) for w in weights)
    objective = Objective(lambdas, exponent, through_companions, unweighted_share=unweighted_share)
    return CldlLoss.apply(labels, objective, *logits)


def _array(z: Tensor) -> Any:
    """On the processor; NumPy knows no bfloat16."""
    return z.detach().to("cpu", torch.float64 if z.dtype == torch.float64 else torch.float32).numpy()
