"""How long every algorithm takes for every convolution, and where the one that is chosen is not the fastest.

python -m benchmarks.convolutions [--batch 1 16 128] [--threads N] [--only TEXT ...] [--torch-python PATH]

A convolution with its ReLU is timed in inference ("forward") and in training ("step": the weights' transform, forward, backward
to the input and the weights, the transform's adjoint). The algorithms take turns, round by round; the median of the rounds
counts, and in a round the least of three short calls: the first finds the caches full of what ran before. On one thread it is
the processor's time, which other programs on the machine disturb less. What only one algorithm can compute is left out, and
windows of one pixel: every algorithm but the product with the image itself is slower.

With --torch-python PyTorch takes turns with them, in both of its memory layouts, on all convolutions; what the faster of these
needs is printed beside the algorithm that is chosen, and the geometric mean of the ratios in the end.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from math import prod
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.interleaved import Worker
from benchmarks.shapes import Geometry, geometries
from benchmarks.worker import least_of_three
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


class Chosen(NamedTuple):
    """The algorithms that are chosen in inference, and in training."""

    forward: str
    step: str

    @classmethod
    def of(cls, geometry: Geometry, images: int) -> Chosen:
        """Those for so many images at a time."""
        layer, shape = geometry.layer(), (images, *geometry.image)
        return cls(*(layer.conv_algorithm(shape, inference=inference).name for inference in (True, False)))

    def seconds(self, measured: dict[str, Seconds]) -> Seconds:
        """Their seconds."""
        return Seconds(measured[self.forward].forward, measured[self.step].step)


class Ratio(NamedTuple):
    """How many times as long as the chosen algorithms PyTorch takes."""

    name: str
    batch: int
    forward: float
    step: float

    def __str__(self) -> str:
        return f"{self.forward:5.2f} {self.step:5.2f} times as long"


@guarded
def main(argv: list[str] | None = None) -> int:
    """Print a line a convolution and batch, then the worst choices."""
    p = parser(
        "benchmarks.convolutions", "Time every algorithm on the convolutions of all recipes and of known networks."
    )
    p.add_argument("--batch", type=whole(1), nargs="+", default=[1, 16, 128], metavar="N", help="images")
    p.add_argument("--threads", type=whole(1), default=1, help="threads")
    p.add_argument("--seconds", type=float, default=0.5, help="for each convolution and algorithm")
    p.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="those whose name contains one of these")
    p.add_argument("--chosen", action="store_true", help="leave out the algorithms that are not chosen")
    p.add_argument("--torch-python", metavar="PATH", help="a Python that has PyTorch, which is timed as well")
    with contextlib.ExitStack() as stack:
        return run(p.parse_args(argv), stack)


def run(options: Any, stack: contextlib.ExitStack) -> int:
    """`main` with its options; the stack ends PyTorch's process."""
    torch, losses, ratios = pytorch(options, stack), [], []
    print(
        f"{'convolution':<34}{'batch':>6}  {'chosen for both':<19} forward and step in ms (GFLOP/s of the direct convolution)"
    )
    for geometry, name in geometries().items():
        is_told = any(text in name for text in options.only)
        if not is_told or not (torch or (geometry.window.kernel > 1 and len(algorithms(geometry, 1)) > 1)):
            continue
        for batch in sorted({fitting(geometry, batch) for batch in options.batch}):
            chunk = images_of_chunk(batch, options.threads)
            chosen = Chosen.of(geometry, chunk)
            names = sorted(set(chosen)) if options.chosen else algorithms(geometry, batch)
            seconds, theirs = measure(geometry, batch, names, options.threads, options.seconds, torch)
            line = f"{name:<34}{batch:>6}  {chosen.forward:<9} {chosen.step:<9} {_columns(geometry, batch, seconds)}"
            if theirs:
                ratios.append(
                    Ratio(name, batch, *(b / a for a, b in zip(chosen.seconds(seconds), theirs, strict=True)))
                )
                line += f"  PyTorch {1e3 * theirs.forward:7.2f} {1e3 * theirs.step:7.2f}  {ratios[-1]}"
            print(line, flush=True)
            losses += [(loss, part, name, batch) for part, loss in lost(seconds, chosen).items()]
    if not options.chosen:
        print(report(losses))
    if ratios:
        print(beside(ratios))
    return 0


def pytorch(options: Any, stack: contextlib.ExitStack) -> Worker | None:
    """A worker with PyTorch, where one is asked for."""
    if not options.torch_python:
        return None
    folder, threads = Path(stack.enter_context(tempfile.TemporaryDirectory())), options.threads
    module = "benchmarks.torch_convolution"
    return stack.enter_context(Worker("PyTorch", options.torch_python, module, folder, str(threads), threads=threads))


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


def measure(
    geometry: Geometry, batch: int, names: list[str], threads: int, budget: float, torch: Worker | None
) -> tuple[dict[str, Seconds], Seconds | None]:
    """What each of these algorithms takes, and PyTorch; about `budget` seconds are spent on each, and three rounds at least."""
    runs = {name: _runs(geometry, name, batch, threads) for name in names}
    clock = time.process_time if threads == 1 else time.perf_counter
    times: dict[str, list[Seconds]] = {name: [] for name in runs}
    theirs: dict[str, list[Seconds]] = {}
    if torch:
        sizes, window = (geometry.inputs, geometry.outputs), geometry.window
        torch.ask("prepare", image=geometry.image, sizes=sizes, window=window, groups=geometry.groups, batch=batch)
    for forward, step in runs.values():  # compiled, and all memory taken
        step(), forward()
    began = time.perf_counter()
    while len(next(iter(times.values()))) < 3 or time.perf_counter() - began < budget * len(runs):
        for name, (forward, step) in runs.items():
            times[name].append(Seconds(least_of_three(forward, clock), least_of_three(step, clock)))
        for layout, pair in (torch.ask("seconds") if torch else {}).items():
            theirs.setdefault(layout, []).append(Seconds(*pair))
    fastest = Seconds(*map(min, zip(*map(_medians, theirs.values()), strict=True))) if theirs else None
    return {name: _medians(rounds) for name, rounds in times.items()}, fastest


def _medians(rounds: list[Seconds]) -> Seconds:
    return Seconds(*(median(column) for column in zip(*rounds, strict=True)))


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
        convolution.weight.touch()  # so that its transform is computed anew
        backend.run(batch, train, training=True)

    return lambda: backend.run(batch, infer), step


def lost(seconds: dict[str, Seconds], chosen: Chosen) -> dict[str, float]:
    """By which factor the choice is slower than the fastest, forward and in a step; where it is not, nothing."""
    factors = {
        part: getattr(chosen.seconds(seconds), part) / min(getattr(s, part) for s in seconds.values())
        for part in Seconds._fields
    }
    return {part: factor for part, factor in factors.items() if factor > 1}


def beside(ratios: list[Ratio]) -> str:
    """How many times as long as the chosen algorithm PyTorch takes: the mean, and where it is the faster one.

    >>> print(beside([Ratio("a", 1, 4.0, 2.0), Ratio("b", 1, 1.0, 0.5)]))
    PyTorch takes 2.00 times as long forward and 1.00 times in a step: the geometric mean of 2 measurements.
    PyTorch is the faster one:
       0.50 times as long: step of b, batch 1
    """
    means = (geometric_mean(getattr(r, part) for r in ratios) for part in Seconds._fields)
    said = (
        "PyTorch takes {:.2f} times as long forward and {:.2f} times in a step: the geometric mean of {} measurements."
    )
    slower = sorted((getattr(r, part), part, r) for r in ratios for part in Seconds._fields if getattr(r, part) < 1)
    lines = [f"  {value:5.2f} times as long: {part} of {r.name}, batch {r.batch}" for value, part, r in slower]
    return "\n".join([said.format(*means, len(ratios)), *(["PyTorch is the faster one:", *lines] if lines else [])])


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
