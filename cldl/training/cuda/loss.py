"""The CLDL loss of a batch, and its gradient, in one launch: a thread per sample and classifier; see cldl.loss."""

import math

from numba import cuda, float64

from cldl import loss
from cldl.loss import companion_weight, margin, margin_backward, margin_gradient, softplus, times
from engine.device import cuda_version_of
from engine.kernels.cuda.launch import THREADS, launch_blocks, reduce_sum


@cuda_version_of(loss.batch_loss)
def batch_loss(logits, labels, weights, g, through, loss, companion, dlogits, scale):
    """The M classifiers of a sample (at most THREADS) are neighbouring threads of one block."""
    samples = THREADS // len(logits)  # of a block
    launch_blocks(
        _batch_loss,
        -(-len(labels) // samples),
        tuple(logits),
        labels,
        weights,
        g,
        through,
        loss,
        companion,
        tuple(dlogits),
        scale,
    )


def stop_unless_finite(loss, weights, hyperparameters):
    """Unless the batch's loss is finite, set the learning rate, hyperparameters[0], to NaN: the update becomes a no-op."""
    launch_blocks(_stop_unless_finite, 1, loss, weights, hyperparameters)


@cuda.jit
def _batch_loss(z, labels, weights, g, through, loss, companion, dz, scale):
    margins = cuda.shared.array(THREADS, float64)
    M, t = len(z), cuda.threadIdx.x
    samples, own = THREADS // M, t // M
    m, n = t % M, cuda.blockIdx.x * samples + own
    active = own < samples and n < len(labels)
    if active:
        margins[t] = margin(z[m][n], labels[n])
    cuda.syncthreads()
    if active:
        companion[n, m] = companion_weight(margins[own * M : (own + 1) * M], m, g)
        loss[n, m] = times(softplus(-margins[t]), companion[n, m])
    cuda.syncthreads()
    if active:
        dd = margin_gradient(m, margins[t], companion[n, m], weights, loss[n], g, through)
        margin_backward(z[m][n], labels[n], scale * dd, dz[m][n])


@cuda.jit
def _stop_unless_finite(loss, weights, hyperparameters):
    sums = cuda.shared.array(THREADS, float64)
    t, M = cuda.threadIdx.x, len(weights)
    total = 0.0
    for e in range(t, loss.size, THREADS):
        total += weights[e % M] * loss[e // M, e % M]
    sums[t] = total
    reduce_sum(sums, t)
    if t == 0 and not math.isfinite(sums[0]):
        hyperparameters[0] = math.nan
