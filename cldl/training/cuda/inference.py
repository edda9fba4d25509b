"""The answers of M classifiers on the GPU, each by itself and all together; see cldl.inference.

The loss of a class is the loss of the sample were that class its target, so it is computed by the loss's own functions.
"""

from numba import cuda

from cldl.inference import is_better
from cldl.loss import companion_weight, margin, softplus
from engine.kernels.cuda.launch import launch_1d


def predictions(logits, weights, g, fused, margins, losses, preference, to):
    """to (N, M + 1) int64: the classes that the classifiers prefer, and the one of the smallest loss, as `predict` gives it.

    Where they are not `fused`, the last is the top classifier's once more.

    Scratch, all float64: margins (N, K, M), losses (N, K) the L(y), preference (N, K) the mean margins.
    """
    if fused:
        launch_1d(_class_losses, losses.size, tuple(logits), weights, g, margins, losses, preference)
    launch_1d(_answers, to.size, tuple(logits), fused, losses, preference, to)


@cuda.jit
def _class_losses(z, weights, g, margins, losses, preference):
    K, M = losses.shape[1], len(z)
    for e in range(cuda.grid(1), losses.size, cuda.gridsize(1)):
        n, y = e // K, e % K
        d, mean, total = margins[n, y], 0.0, 0.0
        for m in range(M):
            d[m] = margin(z[m][n], y)
            mean += d[m] / M
        for m in range(M):
            total += weights[m] * softplus(-d[m]) * companion_weight(d, m, g)
        losses[n, y], preference[n, y] = total, mean


@cuda.jit
def _answers(z, fused, losses, preference, to):
    K, M = losses.shape[1], len(z)
    for e in range(cuda.grid(1), to.size, cuda.gridsize(1)):
        n, m = e // (M + 1), e % (M + 1)
        best = 0
        for y in range(1, K):
            if m < M or not fused:
                better = z[min(m, M - 1)][n, y] > z[min(m, M - 1)][n, best]
            else:
                better = is_better(losses[n, y], preference[n, y], losses[n, best], preference[n, best])
            if better:
                best = y
        to[n, m] = best
