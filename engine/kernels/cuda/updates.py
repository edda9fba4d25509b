"""One update of an optimiser for all parameters in one launch; see engine.kernels.cpu.updates."""

import math

from numba import cuda, float64

from engine.device import cuda_version_of
from engine.kernels.cpu import updates as cpu
from engine.kernels.cpu.updates import adamw_element, column_scale, sgd_element, trust_ratio
from engine.kernels.cuda.launch import THREADS, launch_1d, launch_blocks, reduce_sum


@cuda_version_of(cpu.sgd)
def sgd(w, g, v, starts, lr_mults, decay_mults, hyperparameters, nesterov, rate_in_velocity):
    launch_1d(_sgd, w.size, w, g, v, starts, lr_mults, decay_mults, hyperparameters, nesterov, rate_in_velocity)


@cuda_version_of(cpu.adamw)
def adamw(w, g, m, s, starts, lr_mults, decay_mults, hyperparameters, beta2, epsilon):
    launch_1d(_adamw, w.size, w, g, m, s, starts, lr_mults, decay_mults, hyperparameters, beta2, epsilon)


@cuda_version_of(cpu.adapt_rates)
def adapt_rates(w, g, starts, lr_mults, decay_mults, hyperparameters, trust):
    launch_blocks(_adapt_rates, len(lr_mults), w, g, starts, lr_mults, decay_mults, hyperparameters, trust)


@cuda_version_of(cpu.divide_by_norm)
def divide_by_norm(w, starts, decay_mults, hyperparameters):
    launch_blocks(_divide_by_norm, 1, w, starts, decay_mults, hyperparameters)


@cuda_version_of(cpu.limit_columns)
def limit_columns(w, limit, hyperparameters):
    launch_blocks(_limit_columns, w.shape[1], w, limit, hyperparameters)


@cuda.jit(device=True)
def _parameter_of(starts, i):
    """The parameter that element i of the flat buffer belongs to: the last one that starts at i or before."""
    low, high = 0, len(starts) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if starts[middle] <= i:
            low = middle
        else:
            high = middle
    return low


@cuda.jit
def _sgd(w, g, v, starts, lr_mults, decay_mults, hyperparameters, nesterov, rate_in_velocity):
    real = w.dtype.type
    lr, decay, momentum = hyperparameters[0], hyperparameters[1], real(hyperparameters[2])
    if math.isnan(lr):
        return
    for i in range(cuda.grid(1), w.size, cuda.gridsize(1)):
        p = _parameter_of(starts, i)
        lr_p, decay_p = real(lr * lr_mults[p]), real(decay * decay_mults[p])
        w[i], v[i] = sgd_element(w[i], g[i], v[i], lr_p, momentum, nesterov, rate_in_velocity, decay_p)


@cuda.jit
def _adamw(w, g, m, s, starts, lr_mults, decay_mults, hyperparameters, beta2, epsilon):
    real = w.dtype.type
    lr, decay, beta1 = hyperparameters[0], hyperparameters[1], real(hyperparameters[2])
    correction1, correction2 = real(hyperparameters[3]), real(hyperparameters[4])
    if math.isnan(lr):
        return
    for i in range(cuda.grid(1), w.size, cuda.gridsize(1)):
        p = _parameter_of(starts, i)
        lr_p, decay_p = real(lr * lr_mults[p]), real(decay * decay_mults[p])
        w[i], m[i], s[i] = adamw_element(
            w[i], g[i], m[i], s[i], lr_p, beta1, beta2, correction1, correction2, epsilon, decay_p
        )


@cuda.jit
def _adapt_rates(w, g, starts, lr_mults, decay_mults, hyperparameters, trust):
    """A block per parameter."""
    w_sums = cuda.shared.array(THREADS, float64)
    g_sums = cuda.shared.array(THREADS, float64)
    t, p = cuda.threadIdx.x, cuda.blockIdx.x
    w_total = g_total = 0.0
    for i in range(starts[p] + t, starts[p + 1], THREADS):
        w_total += float(w[i]) * float(w[i])
        g_total += float(g[i]) * float(g[i])
    w_sums[t], g_sums[t] = w_total, g_total
    reduce_sum(w_sums, t)
    reduce_sum(g_sums, t)
    if t == 0:
        decay = hyperparameters[1] * decay_mults[p]
        lr_mults[p] *= trust_ratio(w_sums[0], g_sums[0], decay, trust) if decay_mults[p] > 0 else trust


@cuda.jit
def _divide_by_norm(w, starts, decay_mults, hyperparameters):
    sums = cuda.shared.array(THREADS, float64)
    t = cuda.threadIdx.x
    total = 0.0
    for p in range(len(decay_mults)):
        if decay_mults[p] > 0:
            for i in range(starts[p] + t, starts[p + 1], THREADS):
                total += float(w[i]) * float(w[i])
    sums[t] = total
    reduce_sum(sums, t)
    if t == 0:
        hyperparameters[1] /= max(math.sqrt(sums[0]), 1e-30)


@cuda.jit
def _limit_columns(w, limit, hyperparameters):
    """A block per column."""
    sums = cuda.shared.array(THREADS, float64)
    t, d = cuda.threadIdx.x, cuda.blockIdx.x
    total = 0.0
    for i in range(t, w.shape[0], THREADS):
        total += float(w[i, d]) * float(w[i, d])
    sums[t] = total
    reduce_sum(sums, t)
    if not math.isnan(hyperparameters[0]):
        scale = column_scale(sums[0], limit)
        for i in range(t, w.shape[0], THREADS):
            w[i, d] *= scale
