"""One update of an optimiser, in place, for all parameters in one pass over memory.

w, g, v, m, s are (n,), the parameters one after another: parameter p has the elements starts[p] to starts[p + 1], and
lr_mults[p] and decay_mults[p] multiply the learning rate and the weight decay. `hyperparameters` has what changes from step to
step: the learning rate, the weight decay, the momentum, and for AdamW its two bias corrections. A NaN learning rate makes an
update a no-op.
"""

import math

import numpy as np

from engine.codegen.jit import jit


@jit
def sgd_element(w, g, v, lr, momentum, nesterov, rate_in_velocity, decay):
    """v = momentum v + (g + decay w);  w -= lr v, or with nesterov w -= lr (g + decay w + momentum v).

    With rate_in_velocity v = momentum v + lr (g + decay w);  w -= v, which differs where lr changes from step to step.
    """
    step = g + decay * w
    if rate_in_velocity:
        step = lr * step
    v = momentum * v + step
    change = step + momentum * v if nesterov else v
    return w - (change if rate_in_velocity else lr * change), v


@jit
def adamw_element(w, g, m, s, lr, beta1, beta2, correction1, correction2, epsilon, decay):
    """m, s: running means of g and g^2, m^, s^: with bias correction; w -= lr (m^ / (sqrt(s^) + epsilon) + decay w)."""
    one = type(w)(1)
    m = beta1 * m + (one - beta1) * g
    s = beta2 * s + (one - beta2) * g * g
    return w - lr * (m * correction1 / (math.sqrt(s * correction2) + epsilon) + decay * w), m, s


@jit
def sgd(w, g, v, starts, lr_mults, decay_mults, hyperparameters, nesterov, rate_in_velocity):
    """`sgd_element` for every element."""
    lr, decay, momentum = hyperparameters[0], hyperparameters[1], w.dtype.type(hyperparameters[2])
    if math.isnan(lr):
        return
    for p in range(len(lr_mults)):
        lr_p, decay_p = w.dtype.type(lr * lr_mults[p]), w.dtype.type(decay * decay_mults[p])
        own = slice(starts[p], starts[p + 1])
        wp, gp, vp = w[own], g[own], v[own]
        for i in range(wp.size):
            wp[i], vp[i] = sgd_element(wp[i], gp[i], vp[i], lr_p, momentum, nesterov, rate_in_velocity, decay_p)


@jit
def adamw(w, g, m, s, starts, lr_mults, decay_mults, hyperparameters, beta2, epsilon):
    """`adamw_element` for every element."""
    lr, decay, beta1 = hyperparameters[0], hyperparameters[1], w.dtype.type(hyperparameters[2])
    correction1, correction2 = w.dtype.type(hyperparameters[3]), w.dtype.type(hyperparameters[4])
    if math.isnan(lr):
        return
    for p in range(len(lr_mults)):
        lr_p, decay_p = w.dtype.type(lr * lr_mults[p]), w.dtype.type(decay * decay_mults[p])
        own = slice(starts[p], starts[p + 1])
        wp, gp, mp, sp = w[own], g[own], m[own], s[own]
        for i in range(wp.size):
            wp[i], mp[i], sp[i] = adamw_element(
                wp[i], gp[i], mp[i], sp[i], lr_p, beta1, beta2, correction1, correction2, epsilon, decay_p
            )


@jit
def trust_ratio(w_squares, g_squares, decay, trust):
    """trust |w| / (|g| + decay |w|), from the sums of squares; trust itself where w or the denominator is 0."""
    norm = math.sqrt(w_squares)
    slope = math.sqrt(g_squares) + decay * norm
    return trust if norm == 0 or slope == 0 else trust * norm / slope


def adapt_rates(w, g, starts, lr_mults, decay_mults, hyperparameters, trust):
    """lr_mults[p] *= `trust_ratio` of the parameter, or `trust` where it is not decayed."""
    for p in range(len(lr_mults)):
        own = slice(starts[p], starts[p + 1])
        if decay_mults[p] > 0:
            squares = (float(np.vdot(part[own], part[own])) for part in (w, g))
            lr_mults[p] *= trust_ratio(*squares, hyperparameters[1] * decay_mults[p], trust)
        else:
            lr_mults[p] *= trust


def divide_by_norm(w, starts, decay_mults, hyperparameters):
    """The weight decay, hyperparameters[1], /= |w|, the norm of all decayed weights together."""
    parts = [w[starts[p] : starts[p + 1]] for p in range(len(decay_mults)) if decay_mults[p] > 0]
    hyperparameters[1] /= max(np.sqrt(sum(float(np.vdot(part, part)) for part in parts)), 1e-30)


@jit
def column_scale(squares, limit):
    """The factor that shortens a column to the limit, from the sum of its squares."""
    return min(1.0, limit / math.sqrt(max(squares, 1e-300)))


@jit
def limit_columns(w, limit, hyperparameters):
    """Each column of w (n, D) that is longer than `limit` is scaled to that length."""
    if math.isnan(hyperparameters[0]):
        return
    n, D = w.shape
    scale = np.zeros(D)  # of each column; first the sum of its squares, in float64
    for i in range(n):
        for d in range(D):
            scale[d] += float(w[i, d]) * float(w[i, d])
    for d in range(D):
        scale[d] = column_scale(scale[d], limit)
    for i in range(n):
        for d in range(D):
            w[i, d] *= scale[d]
