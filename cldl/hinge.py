"""The squared hinge loss of deeply supervised nets, and its gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cldl.loss import Array, CldlResult, checked


def hinge_loss(
    logits: Sequence[Array],
    labels: Array,
    weights: Sequence[float] | Array | None = None,
    *,
    samples: int | None = None,
) -> CldlResult:
    """The squared hinge loss, one class against all others, of M classifiers that know nothing of each other.

    Every class k is a question of its own, with the answer y_k = +1 for the target and -1 for all other classes. A score on the
    right side by 1 or more costs nothing:

        l^(m) = sum over k of h_k^2,   h_k = max(0, 1 - y_k z^(m)_k)
        L     = mean over samples of sum over m of lambda_m l^(m)

    Backward:  dh_k/dz_k = -y_k where h_k > 0, so dL/dz^(m)_k = -2 lambda_m y_k h_k / N. Where h_k = 0 that is 0 from both
               sides: the square has no kink.
    Source:    Lee, Xie, Gallagher, Zhang and Tu, "Deeply-supervised nets", AISTATS 2015, section 2; s9xie/DSN,
               SquaredHingeLoss. Their sum is divided by N alone, not by the number of classes.
    Numerics:  in float64 whatever the scores' precision; the gradients have the scores'.
    Arguments and result: as `cldl_loss`; the companions are all 1.
    Raises:    UserError as `cldl_loss`.

    >>> result = hinge_loss([np.array([[0.5, -2.0, 0.0]])], np.array([0]))  # h = 0.5, 0, 1
    >>> result.value, result.gradients[0].tolist()
    (1.25, [[-1.0, 0.0, 2.0]])
    """
    z, labels, lam, _ = checked(logits, labels, weights, None)
    N, M, K = z.shape
    y = np.where(np.arange(K) == labels[:, None], 1.0, -1.0)[:, None]  # (N, 1, K)
    h = np.maximum(0.0, 1.0 - y * z.astype(np.float64))  # (N, M, K)
    losses = (h * h).sum(axis=2)  # (N, M)
    scale = 1.0 / (samples or N)
    dz = (-2.0 * scale * lam[:, None] * y * h).astype(z.dtype)  # (N, M, K)
    return CldlResult(
        value=float((losses @ lam).sum() * scale),
        per_classifier=losses.T,
        gradients=[np.ascontiguousarray(dz[:, m]) for m in range(M)],
        companions=np.ones((M, N)),
    )
