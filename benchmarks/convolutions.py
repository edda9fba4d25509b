"""How long every algorithm takes for every convolution, and where the one that is chosen is not the fastest.

python -m benchmarks.convolutions [--batch 1 16 128] [--threads N] [--only TEXT]

A convolution with its ReLU is timed in inference ("forward") and in training ("step": the weights' transform, forward, backward
to the input and the weights, the transform's adjoint). The algorithms take turns, round by round; the median of the rounds
counts. On one thread it is the processor's time, which other programs on the machine disturb less. Windows of one pixel are left
out: every algorithm but the product with the image itself is slower.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import prod
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.shapes import Geometry, geometries
from cldl.commands import guarded, parser, whole
from engine.context import Context
from engine.ops.convolution import candidates
from engine.runtime.cpu import CHUNK, CpuBackend
from layers.fuse import FusedConv
from layers.relu import ReLU

MAX_ELEMENTS = 2**27  # of x and y: what is larger is measured with fewer images


class Seconds(NamedTuple):
    """Of a batch: in inference, and in training."""

    forward: float
    step: float


@guarded
def main(argv: list[str] | None = None) -> int:
    """Print a line a convolution and batch, then the worst choices."""
    p = parser(
        "benchmarks.convolutions", "Time every algorithm on the convolutions of all recipes and of known networks."
    )
    p.add_argument("--batch", type=whole(1), nargs="+", default=[1, 16, 128], metavar="N", help="images")
    p.add_argument("--threads", type=whole(1), default=1, help="threads")
    p.add_argument("--seconds", type=float, default=0.5, help="for each convolution and algorithm")
    p.add_argument("--only", default="", metavar="TEXT", help="those whose name contains it")
    options = p.parse_args(argv)
    losses = []
    print(f"{'convolution':<34}{'batch':>6}  {'chosen':<9} forward and step in ms (GFLOP/s of the direct convolution)")
    for geometry, name in geometries().items():
        if options.only not in name or geometry.window.kernel == 1 or len(algorithms(geometry, 1)) == 1:
            continue
        for batch in sorted({fitting(geometry, batch) for batch in options.batch}):
            seconds = measure(geometry, batch, options.threads, options.seconds)
            chunk = images_of_chunk(batch, options.threads)
            chosen = geometry.layer().conv_algorithm((chunk, *geometry.image)).name
            print(f"{name:<34}{batch:>6}  {chosen:<9} {_columns(geometry, batch, seconds)}", flush=True)
            losses += [(loss, part, name, batch) for part, loss in lost(seconds, chosen).items()]
    print(report(losses))
    return 0


def algorithms(geometry: Geometry, images: int) -> list[str]:
    """The names of those that can compute it."""
    found = candidates(geometry.window, geometry.groups, (images, *geometry.image), geometry.outputs)
    return [algorithm.name for algorithm in found]


def fitting(geometry: Geometry, batch: int) -> int:
    """So many images, or as many as are measured."""
    elements = prod(geometry.image) + prod(geometry.layer().output_shape(geometry.image))
    return max(1, min(batch, MAX_ELEMENTS // elements))


def images_of_chunk(batch: int, threads: int) -> int:
    """How many images the layer is given at a time; see engine.runtime.cpu."""
    return min(CHUNK, -(-batch // threads))


def measure(geometry: Geometry, batch: int, threads: int, budget: float) -> dict[str, Seconds]:
    """What every algorithm takes; about `budget` seconds are spent on each, and three rounds at least."""
    runs = {name: _runs(geometry, name, batch, threads) for name in algorithms(geometry, batch)}
    clock = time.process_time if threads == 1 else time.perf_counter
    times: dict[str, list[Seconds]] = {name: [] for name in runs}
    for forward, step in runs.values():  # compiled, and all memory taken
        step(), forward()
    began = time.perf_counter()
    while len(next(iter(times.values()))) < 3 or time.perf_counter() - began < budget * len(runs):
        for name, (forward, step) in runs.items():
            times[name].append(Seconds(_seconds(forward, clock), _seconds(step, clock)))
    return {name: Seconds(*(median(column) for column in zip(*rounds, strict=True))) for name, rounds in times.items()}


def _runs(
    geometry: Geometry, algorithm: str, batch: int, threads: int
) -> tuple[Callable[[], None], Callable[[], None]]:
    """A batch in inference, and a step of training."""
    convolution = geometry.layer(algorithm)
    layer = FusedConv(convolution, ReLU())
    backend = CpuBackend(layer.parameters(), threads=threads)
    random = np.random.default_rng(0)
    x, dy = (
        random.standard_normal((batch, *shape), np.float32)
        for shape in (geometry.image, convolution.output_shape(geometry.image))
    )

    def infer(ctx: Context, start: int, stop: int) -> None:
        ctx.needs_backward = False
        layer.forward(x[start:stop], ctx)

    def train(ctx: Context, start: int, stop: int) -> None:
        _, cache = layer.forward(x[start:stop], ctx)
        layer.backward(dy[start:stop], cache, ctx)

    def step() -> None:
        convolution.weight.value[...] *= -1  # so that its transform is computed anew
        backend.run(batch, train, training=True)

    return lambda: backend.run(batch, infer), step


def _seconds(work: Callable[[], None], clock: Callable[[], float]) -> float:
    began = clock()
    work()
    return clock() - began


def lost(seconds: dict[str, Seconds], chosen: str) -> dict[str, float]:
    """By which factor the choice is slower than the fastest, forward and in a step; where it is not, nothing."""
    factors = {
        part: getattr(seconds[chosen], part) / min(getattr(s, part) for s in seconds.values())
        for part in Seconds._fields
    }
    return {part: factor for part, factor in factors.items() if factor > 1}


def _columns(geometry: Geometry, batch: int, seconds: dict[str, Seconds]) -> str:
    flops = 2 * batch * geometry.layer().multiply_adds(geometry.image)
    return "  ".join(
        f"{name} {s.forward * 1e3:7.2f} {s.step * 1e3:7.2f} ({flops / s.forward / 1e9:4.0f} {3 * flops / s.step / 1e9:4.0f})"
        for name, s in seconds.items()
    )


def report(losses: list[tuple[float, str, str, int]]) -> str:
    """The choices that were not the fastest, the worst first."""
    lines = [
        f"  {factor:5.2f} times the fastest's time: {part} of {name}, batch {batch}"
        for factor, part, name, batch in sorted(losses, reverse=True)
    ]
    return "\n".join(
        ["The choice was not the fastest:", *lines] if lines else ["The choice was the fastest everywhere."]
    )


if __name__ == "__main__":
    raise SystemExit(main())
