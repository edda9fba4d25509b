"""The parent's side: workers that take turns, and what their times say.

A machine is never quiet, so the engines alternate in blocks of a few steps, A B A B: what disturbs one disturbs the
other, and the ratio is taken within each round. While one works the others sleep.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import IO, Any

from engine.errors import UserError

ROOT = Path(__file__).parents[1]
REST = 0.1  # seconds before a block: the other's threads have stopped spinning by then


class Worker:
    """A process with an engine in it; leave its `with` block to end it."""

    def __init__(self, name: str, python: str, module: str, folder: Path, *options: str, threads: int) -> None:
        self.name, self.options = name, options
        self._log: IO[str] = open(folder / f"{name}.log", "w+")  # noqa: SIM115 - closed by `close`
        self._process = subprocess.Popen(
            [python, "-m", module, str(folder), *options],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        try:
            begun = self._answer()
        except UserError:
            self.close()
            raise
        self.versions, self.base = begun["versions"], begun["memory"]["now"]

    def ask(self, method: str, **arguments: Any) -> Any:
        """What the engine's method returns; raises UserError with the reason if it cannot."""
        assert self._process.stdin
        print(json.dumps([method, arguments]), file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        reply = json.loads(line) if line else {"error": self._last_words()}
        if "error" in reply:
            raise UserError(f"{self.name} failed: {reply['error']}.")
        return reply["result"]

    def _last_words(self) -> str:
        self._process.wait()
        self._log.seek(0)
        return (self._log.read().strip().splitlines() or [f"it ended with status {self._process.returncode}"])[-1]


@contextlib.contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Keep this process, and those that it starts, on so many processors, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def alternate(workers: Sequence[Worker], work: str, rounds: int, block: int) -> list[list[list[float]]]:
    """Seconds of each call: workers, rounds, calls of a block."""
    seconds: list[list[list[float]]] = [[] for _ in workers]
    for _ in range(rounds):
        for worker, blocks in zip(workers, seconds, strict=True):
            time.sleep(REST)
            blocks.append(worker.ask(work, count=block))
    return seconds


def middle(blocks: Sequence[Sequence[float]]) -> float:
    """The median of all calls."""
    return median(second for block in blocks for second in block)


def ratio(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> dict[str, float]:
    """How many times as long b takes: the median over the rounds, and the middle half of the rounds.

    >>> ratio([[1.0, 1.0], [2.0], [4.0]], [[3.0], [4.0], [4.0]])
    {'median': 2.0, 'low': 1.5, 'high': 2.5}
    """
    each = [median(theirs) / median(ours) for ours, theirs in zip(a, b, strict=True)]
    low, _, high = quantiles(each, method="inclusive") if len(each) > 1 else each * 3
    return {"median": median(each), "low": low, "high": high}


def python_has(python: str, module: str) -> bool:
    """Whether this interpreter finds the module."""
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    try:
        return subprocess.run([python, "-c", look], cwd=ROOT, check=False).returncode == 0
    except OSError as error:
        raise UserError(
            f"{python} cannot be run ({error.strerror}): give --torch-python a Python interpreter."
        ) from error
