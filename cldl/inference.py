r"""The joint prediction of M classifiers: from their logits to one label.

The loss L(y), computed as if y were the target, is small where the classifiers agree on y, so the label is the class with the
smallest loss:

    y* = argmin over y of L(y),    L(y) = sum over m of lambda_m C^(m)(y) T^(m)(y)

with C and T as in cldl.loss, y in the place of the target. The poster prints argmax; that picks the least likely class
(`rule="argmax"` does it, to show what it does).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cldl.arguments import stack
from engine.codegen.jit import exact
from engine.errors import UserError
from engine.typing import Array


def margins(z: Array) -> Array:
    """d (N, M, K): the margin of each class, its logit minus the log-sum-exp of all the others; z (N, M, K).

    To take O(K) instead of O(K^2) time, the sum over the others is the sum over all classes minus the class's own term. That is
    accurate unless the class has the largest logit, where it would cancel; for this one class the others are summed by
    themselves. As in the loss, d is infinite where all others are at -inf.
    """
    z = z.astype(np.float64)
    top = z.argmax(axis=-1)[..., None]  # (N, M, 1)
    largest = np.take_along_axis(z, top, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.exp(z - largest)  # (N, M, K), 1 for the largest
        rest = terms.copy()
        np.put_along_axis(rest, top, 0.0, -1)
        others = 1.0 + rest.sum(axis=-1, keepdims=True) - rest  # for every class but the largest
        d = (z - largest) - np.log(others)
        np.put_along_axis(z, top, -np.inf, -1)
        second = z.max(axis=-1, keepdims=True)
        sums = np.exp(z - second).sum(axis=-1, keepdims=True)
        runners = np.where(second == -np.inf, 0.0, np.log(sums)) + (second - largest)
    np.put_along_axis(d, top, -runners, -1)
    return d


def class_losses(logits: Sequence[Array], weights=None, exponent: float | None = None) -> Array:
    """L(y) for every class y, (N, K): the CLDL loss of each sample, were y its target."""
    z, weights, g = stack(logits, weights, exponent)
    d = margins(z)  # (N, M, K)
    with np.errstate(invalid="ignore"):  # of a NaN
        C, log_q = np.logaddexp(0, -d), -np.logaddexp(0, d)
    total = np.zeros((z.shape[0], z.shape[2]))
    for m in range(z.shape[1]):
        log_T = _times(g, np.delete(log_q, m, axis=1).sum(axis=1))
        total += _times(_times(weights[m], C[:, m]), np.exp(log_T))
    return total


def _times(a: Array | float, b: Array) -> Array:
    """a b, where 0 times infinity is 0: `cldl.loss.times`, element by element."""
    with np.errstate(invalid="ignore"):
        return np.where((a == 0) & np.isinf(b) | np.isinf(a) & (b == 0), 0.0, a * b)


def predict(logits: Sequence[Array], weights=None, exponent: float | None = None, rule: str = "argmin") -> Array:
    """The labels (N,) of M classifiers' logits (N, K) together.

    rule -- "argmin", the class of the smallest loss; "argmax", the poster's printed rule.

    Of classes with equal losses (they underflow to 0 where classifiers are certain), the one with the largest mean margin is
    predicted. Raises UserError as `cldl_loss`, and for an unknown rule.

    >>> z = [np.array([[2.0, 0.0, 1.0]]), np.array([[0.0, 0.0, 3.0]])]
    >>> predict(z).tolist(), predict(z, rule="argmax").tolist()
    ([2], [1])
    """
    if rule not in ("argmin", "argmax"):
        raise UserError(f"the rule is {rule!r}; 'argmin' (the default) or 'argmax' (the poster's print) is needed.")
    losses = class_losses(logits, weights, exponent)
    if rule == "argmax":
        return losses.argmax(axis=1)
    with np.errstate(invalid="ignore"):  # infinities of both signs
        preference = margins(stack(logits, weights, exponent)[0]).mean(axis=1)  # (N, K)
    return _best_classes(losses, preference)


@exact
def is_better(loss, preference, best_loss, best_preference):
    """Whether a class comes before the best so far: its loss is smaller, or equal and its mean margin larger."""
    return preference > best_preference if loss == best_loss else loss < best_loss


@exact
def _best_classes(losses, preference):
    """The best class (N,) of each sample, the first of equals; losses and preference (N, K)."""
    N, K = losses.shape
    best = np.zeros(N, np.int64)
    for n in range(N):
        for y in range(1, K):
            if is_better(losses[n, y], preference[n, y], losses[n, best[n]], preference[n, best[n]]):
                best[n] = y
    return best


def softmax(z: Array) -> Array:
    """P = exp z / sum exp z along the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def deciding_exits(logits: Sequence[Array], predictions: Array) -> Array:
    """Which classifier decided, (N,) in 0..M-1: the one that gives the answer the highest probability."""
    P = softmax(np.stack(list(logits), axis=1).astype(np.float64))  # (N, M, K)
    return P[np.arange(len(predictions)), :, predictions].argmax(axis=1)
