r"""The CLDL loss and its gradient.

Symbols (those of the poster): M classifiers, K classes, N samples; z^(m) the logits of classifier m, P^(m) their
softmax, p_m = P^(m)(y*) on the target class y*, q_m = 1 - p_m.

    C^(m) = -log p_m                       the cross-entropy
    T^(m) = prod over t != m of q_t^g      how badly the companions do on this sample; g = 1 / (M - 1)
    l^(m) = C^(m) T^(m)
    L     = mean over samples of sum over m of lambda_m l^(m)

Source: Jin, Chen, Dong, Feng and Yan, "Collaborative layer-wise discriminative learning in deep neural networks",
ECCV 2016, section 3. The poster prints the exponent M - 1, while its text says geometric mean, which is 1 / (M - 1):
that is the default here, `exponent=M - 1` is the printed form, and for M = 2 they agree.

All of it is computed from one number per classifier, the margin

    d_m = z_y* - log sum over j != y* of exp z_j        (how far the target is ahead of all the wrong classes together)

because p = 1 / (1 + e^-d), so that with softplus(x) = log(1 + e^x)

    C = softplus(-d),    log q = -softplus(d),    log T^(m) = -g sum over t != m of softplus(d_t)

and no difference of nearly equal numbers is ever taken: neither 1 - p near p = 1, nor log p as z - logsumexp(z).

The gradient follows in three steps. (1) d depends on the logits by  ∂d/∂z_j = -r_j,  where r is the softmax over the
wrong classes and r_y* = -1.  (2) ∂C/∂d = -q and ∂(log q)/∂d = -p.  (3) z^(k) enters L through C^(k) and through every
T^(m), m != k, in which ∂T^(m)/∂d_k = -g p_k T^(m). Together

    ∂L/∂z^(k)_j = (r^(k)_j / N) [ lambda_k T^(k) q_k  +  g p_k sum over m != k of lambda_m C^(m) T^(m) ]

In code the gradient of a variable v is called dv: dd is ∂L/∂d, and dz is ∂L/∂z.

The usual form, (P - e_y) times g p / (1 - p), is 0/0 as p -> 1; here nothing is divided by anything that can vanish.

At infinity. Where all wrong classes are at -inf, d = inf: p is 1, C is 0, and r, the softmax over the wrong classes, which does
not exist there, is taken as 0. In products 0 times infinity is 0: T^(m) = 0 silences a classifier whose C^(m) is infinite, and
for g = 0 every T^(m) is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cldl.arguments import check_inputs, default_exponent
from engine.codegen.jit import exact
from engine.device import array_module, dispatch, to_host
from engine.memory import Empty
from engine.typing import Array


@dataclass(frozen=True)
class CldlResult:
    """What `cldl_loss` returns.

    value          -- the mean over the samples of sum_m lambda_m l^(m); on a GPU it is computed when it is first read
    per_classifier -- (M, N), the l^(m)
    gradients      -- M arrays (N, K), d value / d logits
    companions     -- (M, N), the T^(m)
    weights        -- (M,), lambda
    samples        -- what the mean divides by
    """

    per_classifier: Array
    gradients: list[Array]
    companions: Array
    weights: Array
    samples: int

    @cached_property
    def value(self) -> float:
        """The loss."""
        return float((to_host(self.per_classifier).T @ self.weights).sum() * (1.0 / self.samples))


@exact
def softplus(x):
    """log(1 + e^x) without overflow, and with full relative precision where it is tiny."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@exact
def largest_wrong(z, target):
    """The largest of the wrong classes' logits; if one is NaN, any of them (then the sum of their exponentials is NaN)."""
    largest = -np.inf
    for j in range(len(z)):
        if j != target and not z[j] <= largest:
            largest = float(z[j])
    return largest


@exact
def margin(z, target):
    """d = z_target - log sum over j != target of exp z_j, for one sample's logits z (K,); inf where these are all -inf."""
    largest = largest_wrong(z, target)
    if largest == -np.inf:
        return float(z[target]) - largest
    total = 0.0
    for j in range(len(z)):
        if j != target:
            total += math.exp(float(z[j]) - largest)
    return (float(z[target]) - largest) - math.log(total)


@exact
def times(a, b):
    """a b, where 0 times infinity is 0."""
    return 0.0 if (a == 0 and b == np.inf) or (a == np.inf and b == 0) else a * b


@exact
def companion_weight(d, m, g):
    """T^(m) = prod over t != m of q_t^g, from the margins d (M,)."""
    log_T = 0.0
    for t in range(len(d)):
        if t != m:
            log_T -= times(g, softplus(d[t]))
    return math.exp(log_T)


@exact
def margin_gradient(k, d, T, weights, loss, g, through):
    """dd = ∂L/∂d_k of one sample: d its margin under classifier k, T the T^(k), loss (M,) the l^(m)."""
    own = weights[k] * T * math.exp(-softplus(d))  # lambda_k T^(k) q_k
    if not through:
        return -own
    others = 0.0
    for m in range(len(loss)):
        if m != k:
            others += times(weights[m], loss[m])
    return -(own + times(g * math.exp(-softplus(-d)), others))  # g p_k sum of lambda_m C^(m) T^(m)


@exact
def margin_backward(z, target, dd, dz):
    """dz_j = -r_j dd, all (K,), since ∂d/∂z_j = -r_j; r is the softmax over the wrong classes, and -1 on the target.

    Where all wrong classes are at -inf, r is taken as 0 on them.
    """
    largest = largest_wrong(z, target)
    if largest == -np.inf:
        dz[:] = 0
        dz[target] = dd
        return
    total = 0.0
    for j in range(len(z)):
        if j != target:
            total += math.exp(float(z[j]) - largest)
    for j in range(len(z)):
        dz[j] = -dd * (math.exp(float(z[j]) - largest) / total) if j != target else dd


@exact
def sample_loss(z, target, weights, g, through, loss, companion, dz, scale, d):
    """One sample: z (M, K) -> loss (M,) the l^(m), companion (M,) the T^(m), dz (M, K) = scale * ∂L/∂z; d (M,) is scratch."""
    M = len(z)
    for m in range(M):
        d[m] = margin(z[m], target)
    for m in range(M):
        companion[m] = companion_weight(d, m, g)
        loss[m] = times(softplus(-d[m]), companion[m])
    for k in range(M):
        dd = margin_gradient(k, d[k], companion[k], weights, loss, g, through)
        margin_backward(z[k], target, scale * dd, dz[k])


@exact
def _batch_loss(z, labels, weights, g, through, loss, companion, dz, scale):
    d = np.empty(len(weights))
    for n in range(len(labels)):
        sample_loss(z[n], labels[n], weights, g, through, loss[n], companion[n], dz[n], scale, d)


def batch_loss(logits, labels, weights, g, through, loss, companion, dlogits, scale):
    """All samples: logits and dlogits M arrays (N, K), labels (N,), loss and companion (N, M); nothing is checked."""
    z = np.stack(logits, axis=1)  # (N, M, K)
    dz = np.empty_like(z)
    _batch_loss(z, labels, np.asarray(weights), g, through, loss, companion, dz, scale)
    for m, dlogit in enumerate(dlogits):
        dlogit[...] = dz[:, m]


def cldl_loss(
    logits: Sequence[Array],
    labels: Array,
    weights: Sequence[float] | Array | None = None,
    exponent: float | None = None,
    through_companions: bool = True,
    *,
    samples: int | None = None,
    empty: Empty | None = None,
) -> CldlResult:
    """The CLDL loss of M classifiers, and its gradient with respect to their logits.

    logits             -- M arrays (N, K), float32 or float64, from the bottom classifier to the top one
    labels             -- (N,) integers, the target classes
    weights            -- (M,), lambda; all 1 by default
    exponent           -- g; 1 / (M - 1) by default (the geometric mean), M - 1 for the poster's printed form
    through_companions -- False holds every T^(m) constant: the gradient is then lambda_k T^(k) (P - e_y)
    samples            -- what the mean divides by; N by default, the whole batch's size where this is a chunk of one
    empty              -- allocates the result's arrays; in training, from the scratch memory of the pass (`ctx.empty`)

    The formulas, their derivation and the source are at the top of this module. For M = 1 this is softmax
    cross-entropy. The arithmetic is done in float64 whatever the logits' precision, the gradients have the logits'.
    Exact to 1e-12 relative for logits up to 1e4 in size. A NaN gives NaN; -inf is the logit of a class that cannot be.
    Arrays of CuPy's are taken too, and the result is then on the GPU; that the labels are in range is not checked there,
    because reading them would wait for the GPU.

    Raises UserError if the arrays do not fit each other, or a label, weight, exponent or number of samples is out of range.

    >>> p_1, p_2 = np.array([[0.9, 0.1]]), np.array([[0.6, 0.4]])  # one sample, of class 0
    >>> result = cldl_loss([np.log(p_1), np.log(p_2)], np.array([0]))
    >>> f"{result.value:.4f}", f"{-np.log(0.9) * (1 - 0.6) - np.log(0.6) * (1 - 0.9):.4f}"
    ('0.0932', '0.0932')
    >>> [g.round(4).tolist() for g in result.gradients]
    [[[-0.086, 0.086]], [[-0.0653, 0.0653]]]
    """
    logits, labels, weights, g = check_inputs(logits, labels, weights, exponent, samples)
    result = allocate_result(logits, weights, samples, empty)
    outputs = result.per_classifier.T, result.companions.T, tuple(result.gradients), 1.0 / result.samples
    dispatch(batch_loss, logits, labels, tuple(weights.tolist()), g, through_companions, *outputs)
    return result


def allocate_result(
    logits: Sequence[Array], weights: Array, samples: int | None = None, empty: Empty | None = None
) -> CldlResult:
    """A result for these logits, its arrays not yet written."""
    N, M, empty = len(logits[0]), len(logits), empty or array_module(logits[0]).empty
    losses, companions = empty((N, M), np.float64), empty((N, M), np.float64)
    gradients = [empty(z.shape, z.dtype) for z in logits]  # (N, K)
    return CldlResult(losses.T, gradients, companions.T, weights, N if samples is None else samples)


def cldl_loss_reference(
    logits: Sequence[Array],
    labels: Array,
    weights: Sequence[float] | Array | None = None,
    exponent: float | None = None,
    through_companions: bool = True,
) -> CldlResult:
    """`cldl_loss` of finite logits in plain NumPy, the equations at the top of this module one a line; nothing is checked.

    >>> z, labels = [np.array([[2.0, -1.0, 0.5]]), np.array([[0.0, 1.0, 3.0]])], np.array([0])
    >>> np.allclose(cldl_loss_reference(z, labels).gradients, cldl_loss(z, labels).gradients)
    True
    """
    z = np.stack(list(logits)).astype(np.float64)  # (M, N, K)
    M, N, K = z.shape
    lam = np.ones(M) if weights is None else np.asarray(weights, np.float64)
    g = default_exponent(M) if exponent is None else exponent
    target = np.arange(K) == np.asarray(labels)[:, None]  # (N, K)
    wrong = np.where(target, -np.inf, z)  # (M, N, K)

    d = z[:, target] - np.logaddexp.reduce(wrong, axis=-1)  # (M, N), the margins
    C = np.logaddexp(0, -d)
    log_q = -np.logaddexp(0, d)
    T = np.stack([np.exp(g * np.delete(log_q, m, axis=0).sum(axis=0)) for m in range(M)])
    loss = C * T  # the l^(m); `CldlResult.value` is L

    q, p = np.exp(log_q), np.exp(-C)
    others = np.stack([np.delete(lam[:, None] * loss, k, axis=0).sum(axis=0) for k in range(M)])
    dd = -(lam[:, None] * T * q + (g * p * others if through_companions else 0)) / N  # ∂L/∂d (M, N)
    r = np.where(target, -1, np.exp(wrong - np.logaddexp.reduce(wrong, axis=-1, keepdims=True)))  # (M, N, K)
    dz = -r * dd[:, :, None]
    return CldlResult(loss, list(dz), companions=T, weights=lam, samples=N)
