"""The squared hinge loss of deeply supervised nets, and its gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cldl.arguments import check_inputs
from cldl.loss import CldlResult, allocate_result
from engine.codegen.jit import exact
from engine.device import dispatch
from engine.memory import Empty
from engine.typing import Array


@exact
def hinge(z, is_target):
    """h = max(0, 1 - y z), y = +1 for the target and -1 for all other classes; a NaN stays a NaN."""
    h = 1.0 - float(z) if is_target else 1.0 + float(z)
    return h if not h <= 0 else 0.0


@exact
def hinge_gradient(h, is_target, weight, scale):
    """∂(scale weight h^2)/∂z = -2 scale weight y h."""
    return (-2.0 if is_target else 2.0) * scale * weight * h


def batch_hinge(logits, labels, weights, loss, companion, dlogits, scale):
    """All samples: logits and dlogits M arrays (N, K), labels (N,), loss and companion (N, M); nothing is checked."""
    companion[...] = 1.0
    for m, (z, dz) in enumerate(zip(logits, dlogits, strict=True)):
        _hinge_of_one(z, labels, weights[m], loss[:, m], dz, scale)


@exact
def _hinge_of_one(z, labels, weight, loss, dz, scale):
    N, K = z.shape
    for n in range(N):
        loss[n] = 0.0
        for k in range(K):
            is_target = k == labels[n]
            h = hinge(z[n, k], is_target)
            loss[n] += h * h
            dz[n, k] = hinge_gradient(h, is_target, weight, scale)


def hinge_loss(
    logits: Sequence[Array],
    labels: Array,
    weights: Sequence[float] | Array | None = None,
    *,
    samples: int | None = None,
    empty: Empty | None = None,
) -> CldlResult:
    """The squared hinge loss, one class against all others, of M classifiers that know nothing of each other.

    Every class k is a question of its own, with the answer y_k = +1 for the target and -1 for all other classes. A logit on the
    right side by 1 or more costs nothing:

        l^(m) = sum over k of h_k^2,   h_k = max(0, 1 - y_k z^(m)_k)
        L     = mean over samples of sum over m of lambda_m l^(m)

    Backward:  ∂h_k/∂z_k = -y_k where h_k > 0, so ∂L/∂z^(m)_k = -2 lambda_m y_k h_k / N. Where h_k = 0 that is 0 from both
               sides: the square has no kink.
    Source:    Lee, Xie, Gallagher, Zhang and Tu, "Deeply-supervised nets", AISTATS 2015, section 2; s9xie/DSN,
               SquaredHingeLoss. Their sum is divided by N alone, not by the number of classes.
    Numerics:  in float64 whatever the logits' precision; the gradients have the logits'.
    Arguments and result: as `cldl_loss`; the companions are all 1.
    Raises:    UserError as `cldl_loss`.

    >>> result = hinge_loss([np.array([[0.5, -2.0, 0.0]])], np.array([0]))  # h = 0.5, 0, 1
    >>> result.value, result.gradients[0].tolist()
    (1.25, [[-1.0, 0.0, 2.0]])
    """
    logits, labels, weights, _ = check_inputs(logits, labels, weights, None, samples)
    result = allocate_result(logits, weights, samples, empty)
    outputs = result.per_classifier.T, result.companions.T, tuple(result.gradients), 1.0 / result.samples
    dispatch(batch_hinge, logits, labels, tuple(weights.tolist()), *outputs)
    return result


def hinge_loss_reference(
    logits: Sequence[Array], labels: Array, weights: Sequence[float] | Array | None = None
) -> CldlResult:
    """`hinge_loss` in plain NumPy, its equations one a line; nothing is checked."""
    z = np.stack(list(logits)).astype(np.float64)  # (M, N, K)
    M, N, K = z.shape
    lam = np.ones(M) if weights is None else np.asarray(weights, np.float64)
    y = np.where(np.arange(K) == np.asarray(labels)[:, None], 1.0, -1.0)  # (N, K)

    h = np.maximum(0, 1 - y * z)  # (M, N, K)
    loss = (h**2).sum(axis=-1)  # (M, N), the l^(m); `CldlResult.value` is L
    dz = -2 * lam[:, None, None] * y * h / N  # (M, N, K)
    return CldlResult(loss, list(dz), companions=np.ones((M, N)), weights=lam, samples=N)
