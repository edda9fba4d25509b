"""Whether a run that is killed at any moment, and resumed, ends with the bits of one that was never killed.

python tools/kill_runs.py [--kills 60] [--seed 0]

Small runs of mnist_nin on synthetic images are killed (SIGKILL) after a random time, from the imports to the report, each
resumed and killed again, until as many kills were dealt; the first of them also compile their kernels. Each run ends with the
weights and metrics of an undisturbed one and without a temporary file, or it is named. The exit status is 1 if one does not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.io.storage import read_arrays

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "tests.cldl.synthetic"]
OPTIONS = ["--epochs", "3", "--batch-size", "8", "--warmup", "0", "--threads", "1"]
KILLS_A_RUN = 4
MEASURED = ("seconds", "images_per_second")


def start(folder: Path, cache: Path) -> subprocess.Popen[bytes]:
    """Begin the run in a folder, or resume it where one was begun."""
    begun = (folder / "config.json").exists()
    command = [*COMMAND, "--resume"] if begun else [*COMMAND, "mnist_nin", *OPTIONS]
    environment = {**os.environ, "CLDL_CACHE": str(cache)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, "--run", str(folder)], cwd=ROOT, env=environment, **quiet)


def finish(folder: Path, cache: Path) -> float:
    """Let the run go to its end; how long that took."""
    began = time.monotonic()
    _, error = (process := start(folder, cache)).communicate()
    if process.returncode:
        raise RuntimeError(f"{folder}: status {process.returncode}, {error.decode().strip()}")
    return time.monotonic() - began


def outcome(folder: Path) -> tuple[dict, list]:
    """The checkpoint's arrays as bytes, and the lines of the metrics without their times."""
    arrays, _ = read_arrays(folder / "checkpoint.h5", kind="checkpoint", version=2)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    kept = [{key: value for key, value in line.items() if key not in MEASURED} for line in lines]
    return {name: array.tobytes() for name, array in arrays.items()}, kept


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, kills, failed, runs = random.Random(options.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary), Path(temporary) / "cache"
        first = finish(folder / "compiling", cache)  # the longest that a start takes
        usual = finish(folder / "undisturbed", cache)
        expected = outcome(folder / "undisturbed")
        while kills < options.kills:
            runs += 1
            run = folder / f"run{runs}"
            own_cache = folder / "cold" if runs == 1 else cache
            longest = first if runs == 1 else usual
            for _ in range(min(KILLS_A_RUN, options.kills - kills)):
                process = start(run, own_cache)
                time.sleep(rng.uniform(0, longest))
                process.kill()
                process.communicate()
                kills += 1
            finish(run, cache)
            temporaries = [path.name for path in run.rglob("*.tmp")]
            if outcome(run) != expected or temporaries or not (run / "report" / "index.html").exists():
                failed += 1
                print(f"run {runs} ends with other bits, without its report, or with {temporaries}")
        print(f"{kills} kills in {runs} runs, of {usual:.0f} s each undisturbed: {failed} runs ended otherwise")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
