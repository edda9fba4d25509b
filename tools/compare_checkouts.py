"""Whether two checkouts train to the same bits, and which one is faster.

python tools/compare_checkouts.py BEFORE [AFTER]            the losses of 20 steps, and a SHA-256 over the weights after them
python tools/compare_checkouts.py BEFORE [AFTER] --time     seconds of a training step and of an evaluation, taken in turn

AFTER is this checkout unless it is named. Each checkout works on the same synthetic images in a process of its own, on 1 and on
2 threads. The exit status is 1 where bits differ. Run it on one machine: another processor rounds in another order.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median, quantiles

RECIPES = ("mnist_nin", "cifar100_nin", "mnist_dsn", "mnist_maxout")
ROUNDS, BLOCK, REST = 12, 4, 0.1  # of the timing: rounds, calls per checkout in a round, seconds of rest before them
PROBE = """
import hashlib, sys, time
import numpy as np
from cldl.recipes import find
from data.dataset import Dataset

name, threads, steps, batch = sys.argv[1], *map(int, sys.argv[2:5])
rng, recipe = np.random.default_rng(0), find(name)
if batch:
    recipe = recipe.changed(batch_size=batch)
shape, K = ((32, 32, 3), 100) if name.startswith("cifar100") else ((28, 28, 1), 10)
part = lambda n: (rng.integers(0, 256, (n, *shape)).astype(np.uint8), rng.integers(0, K, n))
arrays = (*part(steps * (batch or 64)), *part(8 * batch or 64))
names = tuple(map(str, range(K)))
try:
    from cldl.training.trainer import Trainer
except ImportError:  # version 0.1
    from cldl.training import Trainer
if hasattr(Dataset, "from_arrays"):
    trainer = Trainer.from_recipe(recipe, Dataset.from_arrays("noise", *arrays, names), seed=3, threads=threads)
else:
    trainer = Trainer(recipe, Dataset("noise", *arrays, names), seed=3, threads=threads)

def seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began

def steps_without_end():
    while True:
        yield from trainer.steps()
        trainer.step = 0

if batch:
    stream = steps_without_end()
    for line in sys.stdin:
        work = trainer.evaluate if line.strip() == "evaluation" else lambda: next(stream)
        print(*(seconds(work) for _ in range(4)), flush=True)
else:
    losses, before = [], 0.0
    for sums, _ in zip(trainer.steps(), range(steps)):
        losses.append(sums.loss - before)
        before = sums.loss
    digest, weights = hashlib.sha256(np.asarray(losses).tobytes()), hashlib.sha256()
    for parameter in trainer.network.parameters():
        weights.update(np.ascontiguousarray(parameter.value))
    print(f"{losses[0]:.6f} .. {losses[-1]:.6f}  losses {digest.hexdigest()[:16]}  weights {weights.hexdigest()}")
"""


def start(checkout: Path, recipe: str, threads: int, steps: int, batch: int = 0) -> subprocess.Popen[str]:
    """A process that works in a checkout."""
    command = [sys.executable, "-c", PROBE, recipe, str(threads), str(steps), str(batch)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=checkout, env=environment, text=True, **pipes)


def same_bits(checkouts: tuple[Path, Path], recipe: str, threads: int, steps: int) -> bool:
    """Print what both checkouts computed, and whether it is the same."""
    found = []
    for checkout in checkouts:
        out, error = (process := start(checkout, recipe, threads, steps)).communicate()
        found.append(out.strip() if process.returncode == 0 else f"failed: {error.strip().splitlines()[-1]}")
    same = found[0] == found[1] and not found[0].startswith("failed")
    print(f"{recipe:14} {threads} threads  {'equal' if same else 'DIFFERENT'}  {found[0]}", flush=True)
    if not same:
        print(f"{'':14} after:              {found[1]}", flush=True)
    return same


def speed(checkouts: tuple[Path, Path], recipe: str, threads: int, batch: int) -> None:
    """Print the medians of both checkouts, and how many times as long the second takes."""
    both = [start(checkout, recipe, threads, 4, batch) for checkout in checkouts]
    for work in ("step", "evaluation"):
        seconds: tuple[list, list] = ([], [])
        for _ in range(ROUNDS + 1):
            for process, rounds in zip(both, seconds, strict=True):
                time.sleep(REST)
                assert process.stdin
                assert process.stdout
                print(work, file=process.stdin, flush=True)
                rounds.append([float(s) for s in process.stdout.readline().split()])
        before, after = ([s for calls in rounds[1:] for s in calls] for rounds in seconds)  # the first round compiles
        ratios = [median(b) / median(a) for a, b in zip(seconds[0][1:], seconds[1][1:], strict=True)]
        low, _, high = quantiles(ratios)
        print(
            f"{recipe:14} {threads} threads  {work:10}  {1000 * median(before):7.1f} ms before, {1000 * median(after):7.1f} ms "
            f"after, ratio {median(ratios):.3f} ({low:.3f} to {high:.3f})",
            flush=True,
        )
    for process in both:
        process.communicate()


def main() -> int:
    """Run the command; the exit status: 0 where all bits are equal, or times were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path, metavar="BEFORE", help="a checkout")
    parser.add_argument("after", type=Path, metavar="AFTER", nargs="?", default=Path(__file__).parents[1])
    parser.add_argument("--recipes", nargs="+", default=RECIPES, metavar="NAME")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="of which the bits are compared")
    parser.add_argument("--time", action="store_true", help="compare the time of a step and of an evaluation instead")
    parser.add_argument("--batch", type=int, default=128, metavar="N", help="images of a step that is timed")
    options = parser.parse_args()
    checkouts = options.before.resolve(), options.after.resolve()
    cases = [(recipe, threads) for recipe in options.recipes for threads in options.threads]
    if options.time:
        for recipe, threads in cases:
            speed(checkouts, recipe, threads, options.batch)
        return 0
    different = [case for case in cases if not same_bits(checkouts, *case, options.steps)]
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
