"""The squared hinge loss of a batch, and its gradient: a thread per sample and classifier; see cldl.hinge."""

from numba import cuda

from cldl import hinge
from cldl.hinge import hinge as hinge_of
from cldl.hinge import hinge_gradient
from engine.device import cuda_version_of
from engine.kernels.cuda.launch import launch_1d


@cuda_version_of(hinge.batch_hinge)
def batch_hinge(logits, labels, weights, loss, companion, dlogits, scale):
    launch_1d(_batch_hinge, loss.size, tuple(logits), labels, weights, loss, companion, tuple(dlogits), scale)


@cuda.jit
def _batch_hinge(z, labels, weights, loss, companion, dz, scale):
    M = len(z)
    for e in range(cuda.grid(1), loss.size, cuda.gridsize(1)):
        n, m = e // M, e % M
        total = 0.0
        for k in range(z[m].shape[1]):
            is_target = k == labels[n]
            h = hinge_of(z[m][n, k], is_target)
            total += h * h
            dz[m][n, k] = hinge_gradient(h, is_target, weights[m], scale)
        loss[n, m], companion[n, m] = total, 1.0
