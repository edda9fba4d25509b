r"""The loss of one sample taken apart: every factor and every term of the gradient by its name, in plain NumPy.

The letters are those of cldl.loss. The gradient of classifier k is one vector times one number,

    ∂L/∂z^(k) = -r^(k) dd_k,     dd_k = ∂L/∂d_k = -(own_k + sum over m != k of through_km)
    own_k = lambda_k T^(k) q_k,  through_km = g p_k lambda_m C^(m) T^(m)

so gradient descent moves the target ahead of the wrong classes in proportion to -dd_k, whatever the classes are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from cldl.arguments import default_exponent
from engine.typing import Array

# The worked example: three classifiers, three classes, and the target is class 0.
EXAMPLE = np.array([[0.36, 0.48, 0.16], [0.75, 0.15, 0.10], [0.96, 0.03, 0.01]])  # P (M, K)
TARGET = 0


@dataclass(frozen=True)
class Terms:
    """Of one sample: weights, d, p, q, C, T, losses, own, dd (M,); through (M, M), 0 where k = m; r, gradients (M, K)."""

    weights: Array
    g: float
    d: Array
    p: Array
    q: Array
    C: Array
    T: Array
    losses: Array
    r: Array
    own: Array
    through: Array
    dd: Array
    gradients: Array

    @property
    def value(self) -> float:
        """L = sum of lambda_m l^(m)."""
        return float(self.weights @ self.losses)


def margins(z: Array, target: int) -> Array:
    """d (M,): the target's logit minus the log-sum-exp of the others; z (M, K)."""
    return z[:, target] - reduce(np.logaddexp, np.delete(z, target, axis=1).T)


def wrong_shares(z: Array, target: int) -> Array:
    """r (M, K): the softmax over the wrong classes, and -1 on the target; ∂d/∂z_j = -r_j."""
    wrong = z.copy()
    wrong[:, target] = -np.inf
    r = np.exp(wrong - wrong.max(axis=1, keepdims=True))
    r /= r.sum(axis=1, keepdims=True)
    r[:, target] = -1
    return r


def terms(
    z: Array,
    target: int = TARGET,
    weights: Sequence[float] | None = None,
    exponent: float | None = None,
    through_companions: bool = True,
) -> Terms:
    """All terms of one sample with the logits z (M, K)."""
    M, _ = z.shape
    lam = np.ones(M) if weights is None else np.asarray(weights, np.float64)  # (M,)
    g = default_exponent(M) if exponent is None else exponent
    d = margins(z, target)  # (M,)
    C, log_q = np.logaddexp(0, -d), -np.logaddexp(0, d)
    T = np.exp(g * (log_q.sum() - log_q)) if M > 1 else np.ones(1)
    p, q = np.exp(-C), np.exp(log_q)
    r = wrong_shares(z, target)
    through = g * np.outer(p, lam * C * T) * (1 - np.eye(M)) * through_companions  # (M, M)
    own = lam * T * q
    dd = -(own + through.sum(axis=1))  # ∂L/∂d
    return Terms(lam, g, d, p, q, C, T, C * T, r, own, through, dd, -r * dd[:, None])


def two_class_logits(p: Sequence[float] | Array) -> Array:
    """Logits (M, 2) of two classes, the target first, that give the target the probabilities p (M,)."""
    p = np.asarray(p, np.float64)
    return np.stack([np.log(p), np.log1p(-p)], axis=1)
