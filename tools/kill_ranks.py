"""Kill one rank of a training at random moments, see that the others end, resume, and compare the bits.

python tools/kill_ranks.py [TIMES] [--ranks N] [--seed S]

Each time a training of `mnist_nin` on few images is begun anew, and a random rank is killed (SIGKILL) at a random moment of the
time that an unbroken run takes. Then the run is resumed to its end, or begun again where it had no folder yet; one that had ended
before is not counted. The exit status is 1 where a rank was left, or the weights are not those of the unbroken run.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.io.storage import read_arrays

TRAINING = ["mnist_nin", "--epochs", "3", "--limit-train", "512", "--limit-test", "100", "--threads", "1"]
LIMIT = 10.0  # seconds in which all must have ended


def start(ranks: int, *arguments: object) -> subprocess.Popen:
    """The command on so many ranks."""
    command = ["mpiexec", "-n", str(ranks), sys.executable, "-m", "cldl.train", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ranks_of(folder: Path) -> list[int]:
    """The processes that train in a folder, by rank."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
            environment = dict(w.partition("=")[::2] for w in (process / "environ").read_text().split("\0"))
        except OSError:  # it has ended
            continue
        if str(folder) in words and "PMI_RANK" in environment and "cldl.train" in words and "python" in words[0]:
            found[int(environment["PMI_RANK"])] = int(process.name)
    return [found[rank] for rank in sorted(found)]


def digest(folder: Path) -> str:
    """A SHA-256 over the weights."""
    arrays, _ = read_arrays(folder / "checkpoint.h5", kind="checkpoint", version=2)
    return hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays) if "weights" in name)).hexdigest()


def kill_one(folder: Path, ranks: int, after: float, rng: random.Random) -> str:
    """Begin, kill a rank, and see that all end; what happened, in words, or nothing where the run had ended before."""
    process = start(ranks, *TRAINING, "--run", folder)
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < after:
        time.sleep(0.01)
    found = ranks_of(folder)
    if not found or process.poll() is not None:
        process.wait()
        return ""
    number = rng.randrange(len(found))
    os.kill(found[number], signal.SIGKILL)
    began = time.monotonic()
    process.wait(LIMIT)
    while ranks_of(folder) and time.monotonic() - began < LIMIT:
        time.sleep(0.05)
    left = ranks_of(folder)
    return f"rank {number} killed, all ended in {time.monotonic() - began:.1f} s" if not left else f"LEFT: {left}"


def main() -> int:
    """Run the command; the exit status: 0 where all ended and all bits are equal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("times", type=int, nargs="?", default=20)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, failed = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as root:
        whole, began = Path(root, "whole"), time.monotonic()
        if start(options.ranks, *TRAINING, "--run", whole).wait():
            raise SystemExit("error: the unbroken training failed: run it by itself.")
        seconds, expected = time.monotonic() - began, digest(whole)
        killed = tried = 0
        while killed < options.times:
            tried += 1
            folder, after = Path(root, f"run{tried}"), rng.uniform(0.5, seconds)
            began = time.monotonic()
            happened = kill_one(folder, options.ranks, after, rng)
            if not happened:
                seconds = min(seconds, time.monotonic() - began)
                continue
            killed += 1
            kept = (folder / "checkpoint.h5").exists()
            again = ["--resume"] if (folder / "config.json").exists() else TRAINING
            status = start(options.ranks, *again, "--run", folder).wait()
            same = not status and digest(folder) == expected
            failed += not same or "LEFT" in happened
            found = "a checkpoint" if kept else "no checkpoint yet"
            bits = "the same bits" if same else "OTHER BITS"
            print(f"{killed:3}  after {after:4.1f} s: {happened}; {found}; resumed to {bits}", flush=True)
    print(f"{options.times - failed} of {options.times} as they should be")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
