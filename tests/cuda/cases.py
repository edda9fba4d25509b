"""Every kernel with arguments on a small shape: the same for the CPU and the GPU, and how closely the results must agree."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cldl.hinge import batch_hinge
from cldl.loss import batch_loss
from engine.kernels.cpu import elementwise, images, maxout, normalise, patches, pooling, updates
from engine.random import Key

KEY = Key(5).fold(3)
WINDOWS = {"2, 2, 0": (2, 2, 0), "3, 2, 1": (3, 2, 1), "3, 1, 1": (3, 1, 1), "4, 3, 2": (4, 3, 2)}


@dataclass(frozen=True)
class Case:
    """A kernel and its arguments, some of them arrays that it writes to; `ulps` is how far the results may be apart."""

    name: str
    kernel: Callable
    arguments: tuple
    ulps: int = 0  # 0: the same bits
    draws: int = 0  # the last two arguments are the halves of this child of KEY


def cases() -> Iterator[Case]:
    for real in (np.float32, np.float64):
        for case in of_precision(real):
            yield Case(f"{case.name} {real.__name__}", case.kernel, case.arguments, case.ulps, case.draws)
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (3, 20)).astype(np.uint8)
    pixels[1] = 7  # no contrast
    yield Case("scale", images.scale, (pixels, empty((3, 20), np.float32), reals(rng, 20), reals(rng, 20)), ulps=4)
    yield Case("contrast", images.contrast, (pixels, empty((3, 20), np.float32), 55.0), ulps=1)
    yield Case("centre", images.centre, (reals(rng, 3, 4), reals(rng, 4)))


def of_precision(real: type) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    x, y, dy = (reals(rng, 11, dtype=real) for _ in range(3))
    yield Case("relu_forward", elementwise.relu_forward, (np.append(x, [0, np.nan]).astype(real), empty(13, real)))
    yield Case("relu_backward", elementwise.relu_backward, (y, dy, empty(11, real)))
    rows = reals(rng, 3, 11, dtype=real), empty((3, 11), real), empty((3, 11), np.uint8)
    scalars = np.uint64(2**15), real(2), 4
    yield Case("dropout_forward", elementwise.dropout_forward, (*rows, *scalars), draws=2)
    mask = rng.integers(0, 2, 11).astype(np.uint8)
    yield Case("dropout_backward", elementwise.dropout_backward, (dy, mask, real(2), empty(11, real)))
    for name, window in WINDOWS.items():
        k, s, p = window
        H, W, C = 6, 5, 3
        Ho, Wo = ((extent + 2 * p - k) // s + 1 for extent in (H, W))
        image, output = (2, H, W, C), (2, Ho, Wo, C)
        x, dy = reals(rng, *image, dtype=real), reals(rng, *output, dtype=real)
        for first, n in ((0, 2 * Ho * Wo), (3, Ho * Wo)):
            P, dP = empty((n, k * k * C), real), reals(rng, n, k * k * C, dtype=real)
            of = f"{n} windows {name}"
            yield Case(f"patches_forward {of}", patches.patches_forward, (x, P, first, *window))
            yield Case(f"patches_backward {of}", patches.patches_backward, (dP, x.copy(), first, *window))
        ties = np.round(x)  # of equal values the first is chosen
        ties[0, 1, 1:3] = ties[1, 2, 3] = np.nan  # of NaNs, too
        argmax = empty(output, np.uint8)
        yield Case(f"max_forward {name}", pooling.max_forward, (ties, empty(output, real), argmax, *window))
        maxima_only = ties, empty(output, real), None, *window
        yield Case(f"max_forward {name} in inference", pooling.max_forward, maxima_only)
        argmax = rng.integers(0, k * k, output).astype(np.uint8)
        yield Case(f"max_backward {name}", pooling.max_backward, (dy, argmax, empty(image, real), *window))
        yield Case(f"average_forward {name}", pooling.average_forward, (x, empty(output, real), *window), ulps=2)
        yield Case(f"average_backward {name}", pooling.average_backward, (dy, empty(image, real), *window), ulps=4)
    pixels = reals(rng, 2, 6, 3, dtype=real)
    yield Case("mean_forward", pooling.mean_forward, (pixels, empty((2, 3), real)), ulps=2)
    yield Case("mean_backward", pooling.mean_backward, (reals(rng, 2, 3, dtype=real), empty((2, 6, 3), real)), ulps=1)
    x = reals(rng, 2, 5, 4, 3, dtype=real)
    yield Case("crop_flip", images.crop_flip, (x, empty(x.shape, real), 2, 4), draws=1)
    yield from of_updates(real)
    pieces = np.round(reals(rng, 4, 3, 2, dtype=real))
    pieces[0, 0, 1] = np.nan
    argmax = rng.integers(0, 2, (4, 3)).astype(np.uint8)
    yield Case("maxout forward", maxout.forward, (pieces, empty((4, 3), real), empty((4, 3), np.uint8)))
    yield Case("maxout backward", maxout.backward, (reals(rng, 4, 3, dtype=real), argmax, empty((4, 3, 2), real)))
    yield from of_normalisation(real)
    logits, labels, weights, _, _, *outputs = loss_arguments(rng, 3, True, real)
    yield Case("batch_hinge", batch_hinge, (logits, labels, weights, *outputs), ulps=8)
    for M, through in ((1, True), (2, False), (3, True), (4, True)):
        yield Case(f"batch_loss of {M}, {through}", batch_loss, loss_arguments(rng, M, through, real), ulps=64)


def of_normalisation(real: type) -> Iterator[Case]:
    rng = np.random.default_rng(4)
    x, dy = (reals(rng, 3, 7, dtype=real) for _ in range(2))
    s, row = 1 + abs(reals(rng, 3, 7, dtype=real)), (3, 7)
    for size, beta in ((5, 0.75), (3, 0.5)):
        constants = size, real(0.3), real(beta)
        arguments = (x, empty(row, real), empty(row, real), *constants, real(2))
        yield Case(f"lrn_forward {size} {beta}", normalise.lrn_forward, arguments, ulps=4)
        without_s = x, empty(row, real), None, *constants, real(2)
        yield Case(f"lrn_forward {size} {beta} in inference", normalise.lrn_forward, without_s, ulps=4)
        yield Case(
            f"lrn_backward {size} {beta}", normalise.lrn_backward, (x, s, dy, empty(row, real), *constants), ulps=8
        )
    x[1] = 0
    lengths = np.array([1.5, 0, 2])
    yield Case("l2_forward", normalise.l2_forward, (x, empty(row, real), empty(3, np.float64)), ulps=2)
    yield Case("l2_backward", normalise.l2_backward, (x, lengths, dy, empty(row, real)), ulps=4)


def of_updates(real: type) -> Iterator[Case]:
    rng = np.random.default_rng(2)
    w, g, v = (reals(rng, 20, dtype=real) for _ in range(3))
    starts, lr_mults, decay_mults = np.array([0, 7, 8, 20]), np.array([1.0, 0.5, 2.0]), np.array([1.0, 0.0, 1.0])
    layout = starts, lr_mults, decay_mults
    usual, nan = np.array([0.1, 0.01, 0.8, 1.2, 1.1]), np.array([np.nan, 0.01, 0.8, 1.2, 1.1])
    for name, hyperparameters in (("", usual), (" at a NaN learning rate", nan)):
        for nesterov in (False, True):
            arguments = (w, g, v, *layout, hyperparameters, nesterov, False)
            yield Case(f"sgd {nesterov}{name}", updates.sgd, arguments, ulps=64)
        arguments = (w, g, v, abs(v), *layout, hyperparameters, *map(real, (0.95, 1e-6)))
        yield Case(f"adamw{name}", updates.adamw, arguments, ulps=64)
        yield Case(f"lars{name}", updates.sgd, (w, g, v, *layout, hyperparameters, False, True), ulps=64)
        columns = reals(rng, 6, 3, dtype=real), 1.5, hyperparameters
        yield Case(f"limit_columns{name}", updates.limit_columns, columns, ulps=2)
    yield Case("adapt_rates", updates.adapt_rates, (w, g, *layout, usual, 0.01), ulps=2**30)
    yield Case("divide_by_norm", updates.divide_by_norm, (w, starts, decay_mults, usual), ulps=2**30)


def loss_arguments(rng: np.random.Generator, M: int, through: bool, real: type) -> tuple:
    N, K = 5, 4
    logits = tuple(reals(rng, N, K, dtype=real) * 3 for _ in range(M))
    labels, weights = rng.integers(0, K, N), rng.random(M)
    outputs = empty((N, M), np.float64), empty((N, M), np.float64), tuple(empty((N, K), real) for _ in range(M))
    return logits, labels, weights, 1 / max(M - 1, 1), through, *outputs, 1 / N


def reals(rng: np.random.Generator, *shape: int, dtype: type = np.float32) -> np.ndarray:
    return rng.normal(size=shape).astype(dtype)


def empty(shape: int | tuple[int, ...], dtype: type) -> np.ndarray:
    """Bytes of ones: NaN, so that what is not written shows."""
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[...] = 0xFF
    return array


def copied(argument: Any, copy: Callable[[np.ndarray], Any]) -> Any:
    """An argument with its arrays copied."""
    if isinstance(argument, tuple):
        return tuple(copied(part, copy) for part in argument)
    return copy(argument) if isinstance(argument, np.ndarray) else argument


def arrays(arguments: tuple) -> list[Any]:
    """All arrays among the arguments, those in tuples too."""
    flat = [a for argument in arguments for a in (argument if isinstance(argument, tuple) else (argument,))]
    return [a for a in flat if hasattr(a, "shape") and a.shape]


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """How far two arrays are apart, in ULPs of the larger of the two's largest element (infinity where one is NaN)."""
    if np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
        return 0.0
    if a.dtype.kind != "f" or not np.array_equal(np.isnan(a), np.isnan(b)):
        return np.inf
    a, b = np.nan_to_num(a), np.nan_to_num(b)
    return float(np.abs(a - b).max() / np.spacing(np.abs(a).max()))


def on_gpu_arguments(case: Case, asarray: Callable[[np.ndarray], Any]) -> tuple:
    """The arguments with arrays on the GPU; a key is given as the step's key and the number of the draw."""
    arguments = copied(case.arguments, asarray)
    return (*arguments, asarray(np.array(KEY.halves, np.uint64)), case.draws) if case.draws else arguments


def on_cpu_arguments(case: Case) -> tuple:
    arguments = copied(case.arguments, np.copy)
    return (*arguments, *KEY.fold(case.draws).halves) if case.draws else arguments


def difference(case: Case, asarray: Callable[[np.ndarray], Any], asnumpy: Callable[[Any], np.ndarray]) -> float:
    """Run a kernel on both devices; how far its arrays are apart at the end, in ULPs."""
    from engine.device import dispatch

    cpu, gpu = on_cpu_arguments(case), on_gpu_arguments(case, asarray)
    dispatch(case.kernel, *cpu)
    dispatch(case.kernel, *gpu)
    expected = arrays(cpu)
    return max(apart(a, asnumpy(b)) for a, b in zip(expected, arrays(gpu)[: len(expected)], strict=True))
