"""The child's side of a pipe: an engine that keeps its warm state and sleeps until the next request.

Each line that comes in is JSON, [method, arguments]; each line that goes out is {"result": ...} or {"error": "..."}.
Nothing but the standard library is needed here, for PyTorch may live in another environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

LONG = 0.05  # seconds: in a longer call, starting with cold caches does not matter


def serve(make: Callable) -> None:
    """Make an engine from the command line's arguments, and serve its methods until the pipe closes."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr, not among the replies

    def answer(ask: Callable):
        try:
            reply = {"result": ask()}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}
        print(json.dumps(reply), file=replies, flush=True)

    engine: list = []

    def begin() -> dict:
        engine.append(make(Path(sys.argv[1]), *sys.argv[2:]))
        forget_peak()
        return {"versions": engine[0].versions, "memory": memory()}

    answer(begin)
    for line in sys.stdin:
        method, arguments = json.loads(line)
        answer(lambda method=method, arguments=arguments: getattr(engine[0], method)(**arguments))


def seconds_of(act: Callable[[], object], count: int) -> list[float]:
    """How long each of `count` calls takes."""
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - began)
    return seconds


def least_of_three(act: Callable[[], object], clock: Callable[[], float]) -> float:
    """The least seconds of three calls, or those of the first where it takes long."""

    def seconds() -> float:
        began = clock()
        act()
        return clock() - began

    first = seconds()
    return first if first > LONG else min(first, seconds(), seconds())


def forget_peak() -> None:
    """Reset the peak where the system supports it, as the memory of the start does not count for a step."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def memory() -> dict[str, int]:
    """Bytes of this process in memory: now, and at its peak."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        # not resource's ru_maxrss: on Linux that begins with what the parent had when it started us
        return {now: 1024 * int(lines[key].split()[0]) for now, key in (("now", "VmRSS"), ("peak", "VmHWM"))}
    except (OSError, KeyError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return {"now": most, "peak": most}
