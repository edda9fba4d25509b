"""How long it takes from the start of `python -m cldl.train mnist_nin` to the end of its first step.

python -m benchmarks.start

A second start finds the compiled kernels in Numba's cache; the first ever, timed with an empty cache, compiles them. One
start before, which is not timed, fetches the data if need be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.interleaved import ROOT
from cldl.commands import guarded, parser, whole
from engine.errors import UserError

PROGRAM = """
import os, sys
from cldl import train
from cldl.recipes import find
from data import registry
if sys.argv.pop(1) == "synthetic":
    from cldl.reporting.explain import synthetic_dataset
    registry.LOADERS["mnist"] = lambda *_, **__: synthetic_dataset(find("mnist_nin").build_network(), 64, 100)
train.Display.step = lambda *_: os._exit(0)
sys.exit(train.main(sys.argv[1:]))
"""


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, or 2 for an error that the user can fix."""
    p = parser("benchmarks.start", "Time the way to the first training step.")
    p.add_argument("--starts", type=whole(1), default=5, help="second starts; the first ever is timed once")
    p.add_argument("--cache", help="where MNIST is kept (otherwise where cldl.train keeps it)")
    p.add_argument("--synthetic", action="store_true", help="6,400 images of noise instead of MNIST")
    p.add_argument("--json", action="store_true", help="print JSON")
    options = p.parse_args(argv)
    data = ["synthetic" if options.synthetic else "real", *(["--cache", options.cache] if options.cache else [])]
    seconds_to_first_step(data)
    again = [seconds_to_first_step(data) for _ in range(options.starts)]
    with tempfile.TemporaryDirectory() as empty:
        first = seconds_to_first_step(data, NUMBA_CACHE_DIR=empty)
    if options.json:
        print(json.dumps({"second": again, "first_ever": first}))
    else:
        print("python -m cldl.train mnist_nin, from the start of the process to the end of its first step:")
        print(f"  second start, kernels in Numba's cache  {median(again):6.1f} s (of {len(again)}: median)")
        print(f"  first start ever, kernels compiled      {first:6.1f} s")
    return 0


def seconds_to_first_step(data: list[str], **environment: str) -> float:
    """Start, take one step, end."""
    mode, *cache = data
    with tempfile.TemporaryDirectory() as run:
        command = [sys.executable, "-c", PROGRAM, mode, "mnist_nin", "--run", str(Path(run) / "run"), *cache]
        began = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
        seconds = time.perf_counter() - began
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise UserError(f"the training did not start ({last.removeprefix('error: ')}); --synthetic needs no data.")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
