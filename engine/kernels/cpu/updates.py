"""One step of an optimiser, in place, for all parameters in one pass over memory.

w, g, v, m, s are (n,), the parameters one after another: parameter p has the elements starts[p] to starts[p + 1], and rates[p]
and decays[p] multiply the step's rate and decay. `numbers` has what changes from step to step: the rate, the decay, the
momentum, and for AdamW its two corrections. A rate that is no number leaves everything as it is.
"""

import math

import numpy as np

from engine.codegen.jit import jit


@jit
def sgd_element(w, g, v, rate, momentum, nesterov, decay):
    """v = momentum v + (g + decay w);  w -= rate v, or with Nesterov's look-ahead w -= rate (g + decay w + momentum v)."""
    step = g + decay * w
    v = momentum * v + step
    return w - rate * (step + momentum * v if nesterov else v), v


@jit
def adamw_element(w, g, m, s, rate, beta1, beta2, correction1, correction2, epsilon, decay):
    """m, s: running means of g and g^2, corrected for their start; w -= rate (m^ / (sqrt(s^) + epsilon) + decay w)."""
    one = type(w)(1)
    m = beta1 * m + (one - beta1) * g
    s = beta2 * s + (one - beta2) * g * g
    return w - rate * (m * correction1 / (math.sqrt(s * correction2) + epsilon) + decay * w), m, s


@jit
def sgd(w, g, v, starts, rates, decays, numbers, nesterov):
    """`sgd_element` for all."""
    if math.isnan(numbers[0]):
        return
    momentum = w.dtype.type(numbers[2])
    for p in range(len(rates)):
        rate, decay = w.dtype.type(numbers[0] * rates[p]), w.dtype.type(numbers[1] * decays[p])
        own = slice(starts[p], starts[p + 1])
        wp, gp, vp = w[own], g[own], v[own]
        for i in range(wp.size):
            wp[i], vp[i] = sgd_element(wp[i], gp[i], vp[i], rate, momentum, nesterov, decay)


@jit
def adamw(w, g, m, s, starts, rates, decays, numbers, beta2, epsilon):
    """`adamw_element` for all."""
    if math.isnan(numbers[0]):
        return
    beta1, correction1, correction2 = w.dtype.type(numbers[2]), w.dtype.type(numbers[3]), w.dtype.type(numbers[4])
    for p in range(len(rates)):
        rate, decay = w.dtype.type(numbers[0] * rates[p]), w.dtype.type(numbers[1] * decays[p])
        own = slice(starts[p], starts[p + 1])
        wp, gp, mp, sp = w[own], g[own], m[own], s[own]
        for i in range(wp.size):
            wp[i], mp[i], sp[i] = adamw_element(
                wp[i], gp[i], mp[i], sp[i], rate, beta1, beta2, correction1, correction2, epsilon, decay
            )


def divide_by_norm(w, starts, decays, numbers):
    """numbers[1] /= |w|, the norm of all weights that are decayed together."""
    parts = [w[starts[p] : starts[p + 1]] for p in range(len(decays)) if decays[p] > 0]
    numbers[1] /= max(np.sqrt(sum(float(np.vdot(part, part)) for part in parts)), 1e-30)


@jit
def column_scale(squares, limit):
    """What a column is multiplied by, from the sum of its squares."""
    return min(1.0, limit / math.sqrt(max(squares, 1e-300)))


@jit
def limit_columns(w, limit, numbers):
    """Each column of w (n, D) that is longer than `limit` is scaled to that length."""
    if math.isnan(numbers[0]):
        return
    n, D = w.shape
    scale = np.zeros(D)  # of each column; first its squares, summed in float64
    for i in range(n):
        for d in range(D):
            scale[d] += float(w[i, d]) * float(w[i, d])
    for d in range(D):
        scale[d] = column_scale(scale[d], limit)
    for i in range(n):
        for d in range(D):
            w[i, d] *= scale[d]
