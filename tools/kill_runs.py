"""Whether a run that is killed at any moment, and resumed, ends with the bits of one that was never killed.

python tools/kill_runs.py [--kills 60] [--seed 0] [--ranks 1]

Small runs of mnist_nin on synthetic images are killed (SIGKILL) after a random time, from the imports to the report, each
resumed and killed again, until as many kills were dealt; the first of a single process also compile their kernels. Each run ends
with the weights and metrics of an undisturbed one and without a temporary file, or it is named. Of several ranks one is killed,
and all must have ended within LIMIT seconds. The exit status is 1 if a run ends otherwise, or a rank is left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from engine.io.storage import read_arrays

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "tests.cldl.synthetic"]
OPTIONS = ["--epochs", "3", "--batch-size", "8", "--warmup", "0", "--threads", "1"]
KILLS_A_RUN = 4
MEASURED = ("seconds", "images_per_second")
LIMIT = 10.0


def start(folder: Path, cache: Path, ranks: int) -> subprocess.Popen[bytes]:
    """Begin the run in a folder, or resume it where one was begun."""
    begun = (folder / "config.json").exists()
    launcher = ["mpiexec", "-n", str(ranks)] if ranks > 1 else []
    command = [*launcher, *COMMAND, *(["--resume"] if begun else ["mnist_nin", *OPTIONS])]
    environment = {**os.environ, "CLDL_CACHE": str(cache)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, "--run", str(folder)], cwd=ROOT, env=environment, **quiet)


def finish(folder: Path, cache: Path, ranks: int) -> float:
    """Let the run go to its end; how long that took."""
    began = time.monotonic()
    _, error = (process := start(folder, cache, ranks)).communicate()
    if process.returncode:
        raise RuntimeError(f"{folder}: status {process.returncode}, {error.decode().strip()}")
    return time.monotonic() - began


def ranks_in(folder: Path) -> list[int]:
    """The processes that mpiexec has started to train in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            words = (process / "cmdline").read_bytes().split(b"\0")
            if os.fsencode(folder) in words and words[0] == os.fsencode(sys.executable):
                found.append(int(process.name))
    return found


def kill(process: subprocess.Popen[bytes], folder: Path, rng: random.Random, ranks: int) -> list[int]:
    """Kill the process, or one of its ranks; the ranks that are left after LIMIT seconds."""
    if ranks == 1:
        process.kill()
        process.communicate()
        return []
    while process.poll() is None and len(ranks_in(folder)) < ranks:  # mpiexec is starting them, or is about to end
        time.sleep(0.01)
    if found := ranks_in(folder):
        os.kill(rng.choice(found), signal.SIGKILL)
    began = time.monotonic()
    while (process.poll() is None or ranks_in(folder)) and time.monotonic() - began < LIMIT:
        time.sleep(0.05)
    left = ranks_in(folder)
    process.kill()
    process.communicate()
    return left


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
    parser.add_argument("--ranks", type=int, default=1)
    options = parser.parse_args()
    rng, kills, failed, runs = random.Random(options.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary), Path(temporary) / "cache"
        first = finish(folder / "compiling", cache, options.ranks)  # the longest that a start takes
        usual = finish(folder / "undisturbed", cache, options.ranks)
        expected = outcome(folder / "undisturbed")
        while kills < options.kills:
            runs += 1
            run = folder / f"run{runs}"
            is_cold = runs == 1 and options.ranks == 1  # each of its kills may take as long as all others
            own_cache = folder / "cold" if is_cold else cache
            longest = first if is_cold else usual
            for _ in range(min(KILLS_A_RUN, options.kills - kills)):
                process = start(run, own_cache, options.ranks)
                time.sleep(rng.uniform(0, longest))
                if left := kill(process, run, rng, options.ranks):
                    failed += 1
                    print(f"run {runs}: the ranks {left} have not ended")
                kills += 1
            finish(run, cache, options.ranks)
            temporaries = [path.name for path in run.rglob("*.tmp")]
            if outcome(run) != expected or temporaries or not (run / "report" / "index.html").exists():
                failed += 1
                print(f"run {runs} ends with other bits, without its report, or with {temporaries}")
        print(f"{kills} kills in {runs} runs, of {usual:.0f} s each undisturbed: {failed} runs ended otherwise")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
