"""Everything to run on a machine with a GPU, in nine minutes; a part that fails does not stop the others.

python tools/gpu_visit.py FOLDER [--data PATH] [--minutes 9]

FOLDER gets a log of each part, the benchmark's rows as JSON, and summary.txt, which is printed as well. A part that takes longer
than its share of the time is stopped; its output until then stays in the log.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHON = sys.executable
SEEDS = range(5)


def parts(folder: Path, data: list[str]) -> list[tuple[str, float, list[str]]]:
    """Name, share of nine minutes in seconds, and command of each part, the most important first."""
    train = [PYTHON, "-m", "cldl.train", "mnist_nin", "--device", "cuda", *data]
    schedule = ["--batch-size", "128", "--epochs", "10"]
    versions = (
        "import cupy, numba, numpy; from numba import cuda; cupy.show_config(); print(numba.__version__, cuda.__file__)"
    )
    runs = [
        (f"train seed {seed}", 40.0, [*train, *schedule, "--seed", str(seed), "--run", str(folder / f"seed{seed}")])
        for seed in SEEDS
    ]
    bench = [PYTHON, "-m", "benchmarks.gpu", "--rounds", "6"]
    small = ["--json", str(folder / "rows.json"), "--batch", "128", "--precision", "float32", "tf32"]
    large = ["--json", str(folder / "large.json"), "--batch", "1024", "--precision", "tf32"]
    two = ("two GPUs", 40.0, ["mpiexec", "-n", "2", PYTHON, "-m", "tests.cuda.two_gpus"])
    ranks = [two] if gpus() > 1 else []
    return [
        ("gpu", 10, ["nvidia-smi"]),
        ("versions", 20, [PYTHON, "-c", versions]),
        (
            "tests",
            150,
            [PYTHON, "-m", "pytest", "-q", "-m", "gpu", "tests/cuda", "-p", "no:cacheprovider", "--tb=short"],
        ),
        *ranks,
        ("train", 40, [*train, "--epochs", "1", "--run", str(folder / "one")]),
        ("bench", 100, [*bench, *small]),
        ("bench large", 60, [*bench, *large]),
        *runs[: len(runs) - len(ranks)],  # which take the time of the last seed
    ]


def gpus() -> int:
    """How many GPUs nvidia-smi lists."""
    with suppress(OSError):
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
        return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return 0


def visit(folder: Path, minutes: float, data: list[str]) -> str:
    """Run all parts and return the summary."""
    folder.mkdir(parents=True, exist_ok=True)
    end, lines = time.monotonic() + 60 * minutes, []
    for name, share, command in parts(folder.resolve(), data):
        left = min(share * minutes / 9, end - time.monotonic())
        status, seconds, last_line = attempt(command, folder / f"{name.replace(' ', '_')}.log", left)
        lines.append(f"{name:14} {status:12} {seconds:6.1f} s  {last_line}")
        print(lines[-1], flush=True)
    summary = "\n".join(lines) + "\n"
    (folder / "summary.txt").write_text(summary)
    return summary


def attempt(command: list[str], log: Path, seconds: float) -> tuple[str, float, str]:
    """Run a command; return how it ended, its seconds, and the last line of its output."""
    began = time.monotonic()
    if seconds < 1:
        return "no time left", 0.0, ""
    with log.open("w") as file:
        try:
            environment = {**os.environ, "PYTHONUNBUFFERED": "1", "CI": "1"}
            run = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, timeout=seconds
            )
            status = "done" if run.returncode == 0 else f"status {run.returncode}"
        except subprocess.TimeoutExpired:
            status = "stopped"
        except OSError as error:
            status = f"failed: {error.strerror}"
    output = log.read_text(errors="replace").strip().splitlines() or [""]
    return status, time.monotonic() - began, output[-1][:120]


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns 0, as the summary says what failed."""
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("folder", type=Path, help="folder for logs and results")
    p.add_argument("--data", help="MNIST's folder, if there is no network")
    p.add_argument("--minutes", type=float, default=9.0)
    options = p.parse_args(argv)
    visit(options.folder, options.minutes, ["--data", options.data] if options.data else [])
    return 0


if __name__ == "__main__":
    sys.exit(main())
