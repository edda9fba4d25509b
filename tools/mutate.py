"""Mutation testing: one bug at a time is put into the layers, the loss and the checks of its arguments, and the tests must
notice.

    python tools/mutate.py                  all mutants, from scratch
    python tools/mutate.py 'layers.relu.*'  only those whose names match

mutmut makes the mutants and runs the tests; `[tool.mutmut]` in pyproject.toml says of what, and by which tests. It leaves
decorated functions alone, and the heart of the loss is one: `@exact` compiles it. Here nothing is compiled
(`NUMBA_DISABLE_JIT=1`: a mutant would cost minutes of compilation), so the decorator does nothing, and mutmut works on a
copy of the project without it, in build/mutation.

Prints the change that every survivor makes, and the score last. Exit code 1 if less than 95 % of the mutants died.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPY = ROOT / "build" / "mutation"
LEAST = 95.0
QUIET = {"NUMBA_DISABLE_JIT": "1", "HYPOTHESIS_PROFILE": "ci"}


def mutmut(*arguments: str, capture: bool = True) -> str:
    """Run mutmut in the copy; its output, where it is captured."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=COPY, env=os.environ | QUIET, text=True, capture_output=capture, check=True)
    return done.stdout or ""


def copy_without_compilation() -> None:
    """Make the copy, fresh."""
    shutil.rmtree(COPY, ignore_errors=True)
    for package in ("engine", "data", "layers", "cldl", "tests"):
        shutil.copytree(ROOT / package, COPY / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", COPY)
    loss = COPY / "cldl" / "loss.py"
    loss.write_text(loss.read_text().replace("@exact\n", ""))


def main(patterns: list[str]) -> int:
    """Run the mutants, tell of those that live, and say whether they are few enough."""
    started = time.monotonic()
    copy_without_compilation()
    mutmut("run", *patterns, capture=False)
    lines = mutmut("results", "--all", "true").splitlines()
    states = {name: state for name, state in (line.strip().split(": ") for line in lines) if state != "not checked"}
    alive = [name for name, state in states.items() if state not in ("killed", "timeout")]
    for name in alive:
        print(mutmut("show", name))
    score = 100 * (1 - len(alive) / len(states))
    counts = ", ".join(f"{count} {state}" for state, count in Counter(states.values()).items())
    print(f"{len(states)} mutants in {(time.monotonic() - started) / 60:.0f} minutes: {counts}")
    print(f"mutation score: {score:.1f} % (at least {LEAST:.0f} % are needed)")
    return int(score < LEAST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
