"""The roofline of a training step: what each layer attains, and what the machine allows.

python -m benchmarks.roofline FILE.png

A layer that does I operations for every byte that it must move cannot pass min(peak, I x bandwidth) (Williams, Waterman and
Patterson, CACM 2009). Operations are those of the direct convolution and bytes those of arrays read or written once (see
cldl.reporting.explain), so a convolution by FFT may stand above the roof: it does fewer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.figure import Figure

from benchmarks.networks import NETWORKS, recipe
from cldl.commands import guarded, parser
from cldl.reporting.explain import Cost, explain

COPIED = 2**26  # bytes: more than the caches hold


@guarded
def main(argv: list[str] | None = None) -> int:
    """Draw the figure into a file."""
    p = parser("benchmarks.roofline", "Draw the roofline of a training step of mnist_nin, on one thread.")
    p.add_argument("file", type=Path, help="the picture to write")
    p.add_argument("--batch", type=int, default=NETWORKS["mnist_nin"].batch, help="images a step")
    options = p.parse_args(argv)
    costs, peaks = explain(recipe("mnist_nin", options.batch))
    draw([cost for cost in costs if cost.flops], median(peaks), bandwidth()).savefig(options.file, dpi=110)
    return 0


def bandwidth() -> float:
    """Bytes a second that a copy reads and writes, the fastest of several."""
    source = np.ones(COPIED // 4, np.float32)
    target = np.empty_like(source)
    seconds = []
    for _ in range(7):
        began = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - began)
    return 2 * COPIED / min(seconds)


def draw(costs: Sequence[Cost], peak: float, copied: float) -> Figure:
    """Each layer at its operations a byte and its operations a second, under the roof; its area is its share of the time."""
    figure = Figure(figsize=(8.5, 5), layout="constrained")
    axes = figure.subplots()
    intensity = np.geomspace(1, 700, 200)
    axes.loglog(intensity, np.minimum(peak, intensity * copied) / 1e9, color="0.45")
    axes.annotate(
        f"matrix product of BLAS: {peak / 1e9:.0f} GFLOP/s", (700, peak / 1e9), ha="right", va="bottom", color="0.45"
    )
    axes.annotate(f"copy: {copied / 1e9:.0f} GB/s", (1.1, 1.2 * copied / 1e9), rotation=32, va="bottom", color="0.45")
    total = sum(cost.seconds for cost in costs)
    for place, cost in enumerate(sorted(costs, key=lambda cost: cost.flops / cost.bytes)):
        x, y = cost.flops / cost.bytes, cost.rate / 1e9
        colour = "#D55E00" if cost.algorithm == "fft" else "#0072B2"
        axes.scatter(x, y, s=30 + 1500 * cost.seconds / total, color=colour, alpha=0.5)
        away = (14, -20, 28, -34)[place % 4]  # points: neighbours' names stand apart
        axes.annotate(cost.name, (x, y), (0, away), textcoords="offset points", fontsize=7, ha="center")
    axes.margins(y=0.12)
    axes.set(
        xlabel="operations a byte", ylabel="GFLOP/s, one thread", title="A training step of mnist_nin; orange: by FFT"
    )
    return figure


if __name__ == "__main__":
    raise SystemExit(main())
