"""The squared hinge loss of a batch, and its gradient: a thread for every sample and classifier; see cldl.hinge."""

from numba import cuda

from cldl.hinge import hinge
from engine.cuda.launching import each


def batch_hinge(logits, labels, weights, loss, companion, dlogits, scale):
    each(_batch_hinge, loss.size, tuple(logits), labels, weights, loss, companion, tuple(dlogits), scale)


@cuda.jit
def _batch_hinge(z, labels, weights, loss, companion, dz, scale):
    M = len(z)
    for e in range(cuda.grid(1), loss.size, cuda.gridsize(1)):
        n, m = e // M, e % M
        total = 0.0
        for k in range(z[m].shape[1]):
            right = k == labels[n]
            h = hinge(z[m][n, k], right)
            total += h * h
            dz[m][n, k] = (-2.0 if right else 2.0) * scale * weights[m] * h
        loss[n, m], companion[n, m] = total, 1.0
