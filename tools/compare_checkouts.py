"""Whether two checkouts train to the same bits: the losses of some steps, and a SHA-256 over the weights after them.

python tools/compare_checkouts.py BEFORE [AFTER]     (AFTER is this checkout unless it is named)

Each checkout trains every recipe on the same made-up images, in a process of its own, on 1 and on 2 threads. Prints a line a
case; the exit status is 1 where two lines differ. Run it on one machine: another processor rounds in another order.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

RECIPES = ("mnist_nin", "cifar100_nin", "mnist_dsn", "mnist_maxout")
PROBE = """
import hashlib, sys
import numpy as np
from cldl.recipes import find
from data.dataset import Dataset

name, threads, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng, recipe = np.random.default_rng(0), find(name)
shape, K = ((32, 32, 3), 100) if name.startswith("cifar100") else ((28, 28, 1), 10)
part = lambda n: (rng.integers(0, 256, (n, *shape)).astype(np.uint8), rng.integers(0, K, n))
arrays = (*part(steps * 64), *part(64))
names = tuple(map(str, range(K)))
if hasattr(Dataset, "from_arrays"):
    from cldl.training.trainer import Trainer
    trainer = Trainer.from_recipe(recipe, Dataset.from_arrays("noise", *arrays, names), seed=3, threads=threads)
else:  # version 0.1
    try:
        from cldl.training import Trainer
    except ImportError:
        from cldl.training.trainer import Trainer
    trainer = Trainer(recipe, Dataset("noise", *arrays, names), seed=3, threads=threads)
losses, before = [], 0.0
for sums, _ in zip(trainer.steps(), range(steps)):
    losses.append(sums.loss - before)
    before = sums.loss
digest = hashlib.sha256(np.asarray(losses).tobytes())
weights = hashlib.sha256()
for parameter in trainer.network.parameters():
    weights.update(np.ascontiguousarray(parameter.value))
print(f"{losses[0]:.6f} .. {losses[-1]:.6f}  losses {digest.hexdigest()[:16]}  weights {weights.hexdigest()}")
"""


def probe(checkout: Path, recipe: str, threads: int, steps: int) -> str:
    """What a checkout prints of one case."""
    command = [sys.executable, "-c", PROBE, recipe, str(threads), str(steps)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    run = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else f"failed: {run.stderr.strip().splitlines()[-1]}"


def main() -> int:
    """Run the command; the exit status: 0 where all cases are equal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path, metavar="BEFORE", help="a checkout")
    parser.add_argument("after", type=Path, metavar="AFTER", nargs="?", default=Path(__file__).parents[1])
    parser.add_argument("--recipes", nargs="+", default=RECIPES, metavar="NAME")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--steps", type=int, default=20, metavar="N")
    options = parser.parse_args()
    equal = True
    for recipe in options.recipes:
        for threads in options.threads:
            first, second = (
                probe(c.resolve(), recipe, threads, options.steps) for c in (options.before, options.after)
            )
            same = first == second and not first.startswith("failed")
            equal &= same
            print(f"{recipe:14} {threads} threads  {'equal' if same else 'DIFFERENT'}  {first}", flush=True)
            if not same:
                print(f"{'':14} after:              {second}", flush=True)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
