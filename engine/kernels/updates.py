"""One step of an optimiser, in place, in one pass over memory; w, g, v, m, s are (n,)."""

import math

import numpy as np

from engine.jit import jit


@jit
def sgd(w, g, v, rate, momentum, nesterov, decay):
    """v = momentum v + (g + decay w);  w -= rate v, or with Nesterov's look-ahead w -= rate (g + decay w + momentum v)."""
    for i in range(w.size):
        step = g[i] + decay * w[i]
        v[i] = momentum * v[i] + step
        w[i] -= rate * (step + momentum * v[i] if nesterov else v[i])


@jit
def adamw(w, g, m, s, rate, beta1, beta2, correction1, correction2, epsilon, decay):
    """m, s: running means of g and g^2, corrected for their start; w -= rate (m^ / (sqrt(s^) + epsilon) + decay w)."""
    rest1, rest2 = w.dtype.type(1) - beta1, w.dtype.type(1) - beta2
    for i in range(w.size):
        m[i] = beta1 * m[i] + rest1 * g[i]
        s[i] = beta2 * s[i] + rest2 * g[i] * g[i]
        w[i] -= rate * (m[i] * correction1 / (math.sqrt(s[i] * correction2) + epsilon) + decay * w[i])


@jit
def limit_columns(w, limit):
    """Each column of w (n, D) that is longer than `limit` is scaled to that length."""
    n, D = w.shape
    scale = np.zeros(D)  # of each column; first its squares, summed in float64
    for i in range(n):
        for d in range(D):
            scale[d] += float(w[i, d]) * float(w[i, d])
    for d in range(D):
        scale[d] = min(1.0, limit / math.sqrt(max(scale[d], 1e-300)))
    for i in range(n):
        for d in range(D):
            w[i, d] *= scale[d]
