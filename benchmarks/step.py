"""A training step and an evaluation, side by side with PyTorch.

python -m benchmarks.step [NETWORK ...] [--batch N] [--size PIXELS]
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks import check
from benchmarks.interleaved import Worker, alternate, middle, pinned, python_has
from benchmarks.job import write_job
from benchmarks.networks import NETWORKS, SMALL, recipe
from benchmarks.row import WORK, Engine, Row
from cldl.commands import guarded, parser, whole
from cldl.recipes.recipe import Recipe
from cldl.reporting.display import Display
from cldl.reporting.explain import explain, step_flops
from cldl.training.machine import processor
from engine.errors import UserError
from engine.runtime.cpu import available_threads

CONFIGURATIONS = [(layout, mode) for mode in ("eager", "compiled") for layout in ("default", "channels_last")]


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = parser("benchmarks.step", "Time this engine beside PyTorch.")
    p.add_argument(
        "networks",
        nargs="*",
        metavar="NETWORK",
        help=f"which of {', '.join(NETWORKS)} (otherwise {' and '.join(SMALL)})",
    )
    p.add_argument("--work", choices=tuple(WORK), help="only this (otherwise both)")
    p.add_argument("--batch", type=whole(1), help="images a step (otherwise as many as the network's authors took)")
    p.add_argument("--size", type=whole(8), help="pixels of an image's side, where it can be chosen")
    p.add_argument("--rounds", type=whole(1), default=10, help="blocks of each engine, in turn")
    p.add_argument("--block", type=whole(1), default=4, help="calls a block")
    p.add_argument("--warm", type=whole(0), default=3, help="calls before, which are not timed")
    p.add_argument("--trial", type=whole(1), default=3, help="rounds, of so many calls, to find PyTorch's fastest form")
    p.add_argument("--threads", type=whole(1, available_threads()), default=available_threads())
    p.add_argument("--torch-python", default=sys.executable, metavar="PATH", help="the Python that has PyTorch")
    p.add_argument("--no-compile", action="store_true", help="leave out PyTorch's compiled configurations")
    p.add_argument("--layers", action="store_true", help="then this engine's time by layer, on one thread")
    p.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return p


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, or 2 for an error that the user can fix."""
    options = arguments().parse_args(argv)
    names = options.networks or list(SMALL)
    if unknown := [name for name in names if name not in NETWORKS]:
        raise UserError(f"there is no network {unknown[0]!r} here; choose from {', '.join(NETWORKS)}.")
    with_torch = python_has(options.torch_python, "torch")
    if not with_torch:
        print(
            "without PyTorch: `pip install torch`, or name a Python that has it by --torch-python, to compare.",
            file=sys.stderr,
        )
    with pinned(options.threads):
        found = run(names, options, with_torch)
    if options.json:
        print(json.dumps(found, indent=2))
    return 0


def run(names: Sequence[str], options: argparse.Namespace, with_torch: bool) -> dict:
    """Measure all that is asked for, and say it as it comes, or return it for JSON."""
    say = (lambda line: None) if options.json else functools.partial(print, flush=True)
    found: dict = {"machine": processor(), "threads": options.threads, "checks": {}, "rows": [], "layers": {}}
    say(f"{found['machine']}, {options.threads} threads")
    for name in names:
        if with_torch:
            agreement = agree(name, options)
            found["checks"][name] = asdict(agreement)
            say(f"\n{name}: {agreement}")
        for work in [options.work] if options.work else WORK:
            row = measure(name, work, options, with_torch)
            found["rows"].append(row.summary())
            say(str(row))
        if options.layers:
            chosen = timed_recipe(name, options)
            costs, peaks = explain(chosen)
            found["layers"][name] = {"peak": median(peaks), "parts": [asdict(cost) for cost in costs]}
            if not options.json:
                print()
                Display().costs(costs, peaks, chosen.schedule.batch_size)
    return found


def agree(name: str, options: argparse.Namespace) -> check.Agreement:
    """Compare the two engines' gradients, in processes of their own: what the check needs is no part of a step.

    PyTorch answers by its eager configuration, which is what it compiles.
    """
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        folder = Path(place)
        chosen = timed_recipe(name, options)
        batch = min(chosen.schedule.batch_size, NETWORKS[name].checked)
        network = write_job(folder, name, chosen.changed(batch_size=batch), options.threads)
        ours, theirs = (stack.enter_context(w) for w in (cldl(folder, options), torch(folder, options)))
        return check.check(ours, theirs, folder, network, batch)


def measure(name: str, work: str, options: argparse.Namespace, with_torch: bool) -> Row:
    """Time this engine, and beside it the fastest of PyTorch's configurations."""
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        folder = Path(place)
        chosen = timed_recipe(name, options)
        batch = chosen.schedule.batch_size
        network = write_job(folder, name, chosen, options.threads)
        workers = [stack.enter_context(cldl(folder, options))]
        workers[0].ask(work, count=options.warm)
        tried: dict[str, float | str] = {}
        if with_torch:
            fastest, tried = trial(folder, work, options, stack)
            workers.append(fastest)
        seconds = alternate(workers, work, options.rounds, options.block)
        engines = [
            Engine(worker.name, worker.versions, blocks, worker.base, worker.ask("memory")["peak"])
            for worker, blocks in zip(workers, seconds, strict=True)
        ]
        forward = 2 * batch * network.multiply_adds()
        flops = step_flops(network, batch) if work == "step" else forward
        return Row(name, work, batch, flops, workers[0].ask("peak"), engines, tried)


def trial(
    folder: Path, work: str, options: argparse.Namespace, stack: contextlib.ExitStack
) -> tuple[Worker, dict[str, float | str]]:
    """PyTorch's fastest configuration, warm, and what was found of each; the others are ended."""
    ready: list[Worker] = []
    found: dict[str, float | str] = {}
    for layout, mode in CONFIGURATIONS:
        if mode == "compiled" and options.no_compile:
            continue
        worker = stack.enter_context(torch(folder, options, layout, mode))
        try:
            worker.ask(work, count=options.warm)
            ready.append(worker)
        except UserError as error:  # compiling needs a C++ compiler
            found[worker.name] = str(error)
            worker.close()
    if not ready:
        raise UserError("; ".join(map(str, found.values())))
    medians = [middle(blocks) for blocks in alternate(ready, work, options.trial, options.trial)]
    fastest = ready[medians.index(min(medians))]
    for worker, seconds in zip(ready, medians, strict=True):
        found[worker.name] = seconds
        if worker is not fastest:
            worker.close()
    return fastest, found


def timed_recipe(name: str, options: argparse.Namespace) -> Recipe:
    """The recipe of a row."""
    return recipe(name, options.batch, options.size)


def cldl(folder: Path, options: argparse.Namespace) -> Worker:
    """A worker with this engine."""
    return Worker("cldl", sys.executable, "benchmarks.cldl_engine", folder, threads=options.threads)


def torch(folder: Path, options: argparse.Namespace, layout: str = "channels_last", mode: str = "eager") -> Worker:
    """A worker with PyTorch."""
    name, module = f"PyTorch {mode} {layout}", "benchmarks.torch_engine"
    return Worker(name, options.torch_python, module, folder, layout, mode, threads=options.threads)


if __name__ == "__main__":
    sys.exit(main())
