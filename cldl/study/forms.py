r"""Two ways to write the same gradient, in the precision of the logits, and the truth to 60 digits.

    naive     (P - e_y) [ lambda_k T^(k) + g p_k / (1 - p_k) sum over m != k of lambda_m C^(m) T^(m) ]
    stable    r         [ lambda_k T^(k) q_k + g p_k       sum over m != k of lambda_m C^(m) T^(m) ]

They are equal on paper, since P - e_y = r q. In floating point they part where p rounds to 1 or to 0.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from math import prod

import numpy as np

from cldl.study.terms import margins, wrong_shares
from engine.typing import Array


def naive(z: Array, target: int, weights: Array, g: float) -> Array:
    """The gradient (M, K) from the probabilities, with 1 - p by subtraction; z (M, K), in its precision."""
    one, weights, g = z.dtype.type(1), weights.astype(z.dtype), z.dtype.type(g)
    with np.errstate(all="ignore"):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        P = e / e.sum(axis=1, keepdims=True)  # (M, K)
        p = P[:, target].copy()
        C, q = -np.log(p), one - p
        T = _companions(q, g)
        others = _others(weights * C * T)
        P[:, target] -= one  # P - e_y
        return P * (weights * T + g * p / q * others)[:, None]


def stable(z: Array, target: int, weights: Array, g: float) -> Array:
    """The gradient (M, K) from the margins, as cldl.loss has it; z (M, K), in its precision."""
    zero, weights, g = z.dtype.type(0), weights.astype(z.dtype), z.dtype.type(g)
    d = margins(z, target)
    C, log_q = np.logaddexp(zero, -d), -np.logaddexp(zero, d)
    T = np.exp(g * _others(log_q))
    dd = -(weights * T * np.exp(log_q) + g * np.exp(-C) * _others(weights * C * T))  # (M,)
    return -wrong_shares(z, target) * dd[:, None]


def exact(z: Array, target: int, weights: Array, g: float, digits: int = 60) -> list[list[Decimal]]:
    """The naive form in decimal arithmetic, with digits enough for 1 - p: M rows of K numbers, right to `digits`."""
    M, K = z.shape
    spread = int(float(np.ptp(z, axis=1).max()) / np.log(10)) + 1  # the zeros that 1 - p can begin with
    with localcontext(prec=digits + spread):
        e = [[Decimal(float(x)).exp() for x in row] for row in z]
        P = [[x / sum(row) for x in row] for row in e]
        C, q = [-row[target].ln() for row in P], [1 - row[target] for row in P]
        power = Decimal(g)
        T = [prod((q[t] ** power for t in range(M) if t != m), start=Decimal(1)) for m in range(M)]
        losses = [Decimal(float(w)) * c * t for w, c, t in zip(weights, C, T, strict=True)]
        rows = []
        for k in range(M):
            others = sum(losses[m] for m in range(M) if m != k)
            factor = Decimal(float(weights[k])) * T[k] + power * P[k][target] / q[k] * others
            rows.append([(P[k][j] - (j == target)) * factor for j in range(K)])
        return rows


def worst_error(got: Array, truth: list[list[Decimal]]) -> float:
    """The largest relative error over all elements; an error below the smallest normal number of the dtype is none."""
    tiny = float(np.finfo(got.dtype).tiny)
    errors = [0.0]
    for x, t in zip(got.ravel(), (t for row in truth for t in row), strict=True):
        if not np.isfinite(x):
            return np.inf
        error = abs(Decimal(float(x)) - t)
        if error > tiny:
            errors.append(float(error / abs(t)))
    return max(errors)


def _companions(q: Array, g) -> Array:
    """T^(m) = prod over t != m of q_t^g, (M,)."""
    powers = q**g
    return np.array([np.prod(np.delete(powers, m)) for m in range(len(q))], q.dtype)


def _others(x: Array) -> Array:
    """For each m, the sum over t != m of x_t, (M,); by adding, not by subtracting from the whole."""
    return np.array([np.delete(x, m).sum() for m in range(len(x))], x.dtype)
