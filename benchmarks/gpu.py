"""A training step on a GPU, side by side with PyTorch on the same GPU, eager and compiled.

python -m benchmarks.gpu
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.interleaved import Worker, alternate, middle, python_has
from benchmarks.job import write_job
from benchmarks.networks import NETWORKS, SMALL, recipe
from cldl.commands import guarded, parser, whole
from cldl.reporting.explain import step_flops, time_steps
from engine.device import PRECISIONS, choose
from engine.errors import UserError

WARM = 5  # steps that are not timed: kernels are compiled, the graph is captured
MODES = ("eager", "compiled")


@dataclass(frozen=True)
class Row:
    """A network at one batch size and precision: median seconds of a step, and the rates that follow."""

    network: str
    batch: int
    precision: str
    seconds: dict[str, float]  # by engine
    flops: int  # by direct convolution
    bytes: int  # if every array is read or written once
    peak: float  # FLOP/s
    copy: float  # bytes a second
    launched: str
    failed: dict[str, str]

    def __str__(self) -> str:
        ours = self.seconds["cldl"]
        lines = [
            f"\n{self.network}, batch {self.batch}, {self.precision}: {self.flops / 1e9:.1f} GFLOP, {self.bytes / 1e6:.0f} MB; "
            f"peaks {self.peak / 1e12:.1f} TFLOP/s, {self.copy / 1e12:.2f} TB/s; launched as {self.launched}"
        ]
        for name, seconds in self.seconds.items():
            lines.append(
                f"  {name:18} {1e3 * seconds:8.3f} ms  {self.batch / seconds:10,.0f} images/s  "
                f"{self.flops / seconds / self.peak:4.0%} of the products' peak  "
                f"{self.bytes / seconds / self.copy:4.0%} of the copies'  {seconds / ours:5.2f} times as long as cldl"
            )
        return "\n".join([*lines, *(f"  {name}: {why}" for name, why in self.failed.items())])


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = parser("benchmarks.gpu", "Time a training step on a GPU beside PyTorch on the same one.")
    p.add_argument("networks", nargs="*", metavar="NETWORK", help=f"which of {', '.join(NETWORKS)}")
    p.add_argument("--batch", type=whole(1), nargs="+", default=[128, 1024], help="images a step")
    p.add_argument("--precision", choices=PRECISIONS, nargs="+", default=["float32", "tf32"])
    p.add_argument("--rounds", type=whole(1), default=10, help="blocks of each engine, in turn")
    p.add_argument("--block", type=whole(1), default=20, help="steps a block")
    p.add_argument("--torch-python", default=sys.executable, metavar="PATH", help="the Python that has PyTorch")
    p.add_argument("--no-compile", action="store_true", help="leave out PyTorch compiled")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    return p


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, or 2 for an error that the user can fix."""
    options = arguments().parse_args(argv)
    names = options.networks or list(SMALL)
    if unknown := [name for name in names if name not in NETWORKS]:
        raise UserError(f"there is no network {unknown[0]!r} here; choose from {', '.join(NETWORKS)}.")
    choose("cuda")
    rows = []
    for precision in options.precision:
        for name in names:
            for batch in options.batch:
                rows.append(measure(name, batch, precision, options))
                print(rows[-1], flush=True)
                if options.json:
                    options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2))
    return 0


def measure(name: str, batch: int, precision: str, options: argparse.Namespace) -> Row:
    """Time the engines in turn."""
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        folder = Path(place)
        network = write_job(folder, name, recipe(name, batch), threads=1)
        form = (folder, precision)
        ours = stack.enter_context(Worker("cldl", sys.executable, "benchmarks.cldl_gpu", *form, threads=1))
        ours.ask("step", count=WARM)
        backend, failed = [ours], {}
        for mode in MODES if python_has(options.torch_python, "torch") else ():
            if mode == "compiled" and options.no_compile:
                continue
            python, module = options.torch_python, "benchmarks.torch_gpu"
            try:
                theirs = Worker(f"PyTorch {mode}", python, module, folder, mode, precision, threads=1)
                stack.enter_context(theirs)
                theirs.ask("step", count=WARM)
                backend.append(theirs)
            except UserError as error:
                failed[f"PyTorch {mode}"] = str(error)
        blocks = alternate(backend, "step", options.rounds, options.block)
        seconds = {worker.name: middle(own) for worker, own in zip(backend, blocks, strict=True)}
        flops, moved = step_flops(network, batch), sum(part.cost.bytes for part in time_steps(network, batch))
        peaks = ours.ask("peak"), ours.ask("copy")
        return Row(name, batch, precision, seconds, flops, moved, *peaks, ours.ask("graph"), failed)


if __name__ == "__main__":
    sys.exit(main())
