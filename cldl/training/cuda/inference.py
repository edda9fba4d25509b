"""The predictions of M classifiers on the GPU, each alone and all jointly; see cldl.inference.

The loss of a class is the loss of the sample if that class were its target, so the loss's own functions compute it.
"""

from numba import cuda

from cldl.inference import is_better
from cldl.loss import companion_weight, margin, softplus, times
from engine.kernels.cuda.launch import launch_1d


def predictions(logits, weights, g, joint, margins, losses, preference, out):
    """out (N, M + 1) int64: each classifier's prediction, and the joint prediction, the class of the smallest loss (`predict`).

    If not `joint`, the last column repeats the top classifier's prediction.

    Scratch, all float64: margins (N, K, M), losses (N, K) the L(y), preference (N, K) the mean margins.
    """
    if joint:
        launch_1d(_class_losses, losses.size, tuple(logits), weights, g, margins, losses, preference)
    launch_1d(_predictions, out.size, tuple(logits), joint, losses, preference, out)


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
            total += times(times(weights[m], softplus(-d[m])), companion_weight(d, m, g))
        losses[n, y], preference[n, y] = total, mean


@cuda.jit
def _predictions(z, joint, losses, preference, out):
    K, M = losses.shape[1], len(z)
    for e in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        n, m = e // (M + 1), e % (M + 1)
        best = 0
        for y in range(1, K):
            if m < M or not joint:
                better = z[min(m, M - 1)][n, y] > z[min(m, M - 1)][n, best]
            else:
                better = is_better(losses[n, y], preference[n, y], losses[n, best], preference[n, best])
            if better:
                best = y
        out[n, m] = best
