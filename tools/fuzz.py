"""Damaged files of every kind that the project reads: each must be read, or refused in one sentence.

python tools/fuzz.py [--inputs N] [--seed S] [--keep FOLDER] [KIND ...]

N inputs of each kind are made from intact files by damage to their bytes and structure (tools/fuzzing/), and read in worker
processes. It counts the inputs that were read and refused, and those that failed:

    traceback   an exception that is not UserError, or a UserError of several lines
    opened      a file outside the input's folder, a connection or a process
    memory      more than 2 GB
    hang        more than 10 seconds of processor time
    crash       the worker died

An input that failed is kept, and named by its kind, seed and index, which make it anew. The exit status is 1 if there is one.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import warnings
from multiprocessing.connection import Connection, wait
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from tools.fuzzing.damage import damage  # noqa: E402 -- the checkout's own packages, not installed ones
from tools.fuzzing.kinds import KINDS, Kind  # noqa: E402

MEMORY, SECONDS, PATIENCE = 2 << 30, 10, 1200  # bytes, of processor time, of waiting for a worker that sleeps
FAILURES = ("traceback", "opened", "memory", "hang", "crash")
VERDICTS = ("read", "refused", *FAILURES)
EVENTS = ("open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
ALLOWED = (".py", ".pyc", ".so", "/proc/self/maps")  # what an import opens, and where threadpoolctl looks for a BLAS


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    p = argparse.ArgumentParser(prog="python tools/fuzz.py", description=__doc__.splitlines()[0])
    p.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)} (all)")
    p.add_argument("--inputs", type=int, default=2000, metavar="N", help="damaged inputs of each kind (2000)")
    p.add_argument("--seed", type=int, default=0, help="of the damage (0)")
    p.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    p.add_argument("--keep", type=Path, default=ROOT / "build" / "fuzz", metavar="FOLDER", help="where failures go")
    options = p.parse_args(argv)
    names = options.kinds or list(KINDS)
    if unknown := set(names) - set(KINDS):
        p.error(f"there is no kind {min(unknown)!r}; choose from {', '.join(KINDS)}")
    jobs = collections.deque((name, index) for name in names for index in range(options.inputs))
    counts: dict[str, collections.Counter[str]] = {name: collections.Counter() for name in names}
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # writes are flushed, which takes long on a disk
    with tempfile.TemporaryDirectory(dir=memory) as scratch:
        for name, index, verdict, detail, file in run(jobs, options.seed, options.workers, Path(scratch)):
            counts[name][verdict] += 1
            if verdict in FAILURES:
                options.keep.mkdir(parents=True, exist_ok=True)
                kept = options.keep / f"{name}-{options.seed}-{index}{file.suffix}"
                shutil.copyfile(file, kept)
                print(f"{verdict}: {kept}: {detail}", flush=True)
    print(table(counts))
    return int(any(counts[name][verdict] for name in names for verdict in FAILURES))


def table(counts: dict[str, collections.Counter[str]]) -> str:
    """The verdicts of each kind, and their sums."""
    rows = [("kind", "inputs", *VERDICTS)]
    total = sum(counts.values(), collections.Counter())
    for name, own in [*counts.items(), ("in all", total)]:
        rows.append((name, *(f"{n:,}" for n in (own.total(), *(own[verdict] for verdict in VERDICTS)))))
    return "\n".join("  ".join([f"{row[0]:12}", *(f"{cell:>9}" for cell in row[1:])]) for row in rows)


def run(jobs: collections.deque, seed: int, workers: int, scratch: Path):
    """Yield (kind, index, verdict, detail, file) of every job; a worker that dies is replaced."""
    running: dict[Connection, tuple] = {}
    started = 0
    while jobs or running:
        while jobs and len(running) < workers:
            started += 1
            folder = scratch / str(started)
            ours, theirs = multiprocessing.get_context("spawn").Pipe()
            process = multiprocessing.get_context("spawn").Process(
                target=work, args=(theirs, folder, seed), daemon=True
            )
            process.start()
            theirs.close()
            running[ours] = (process, folder, jobs.popleft())
            ours.send(running[ours][2])
        ready = wait(list(running), timeout=PATIENCE)
        for connection in ready or list(running):
            process, folder, job = running[connection]
            try:
                verdict, detail = connection.recv() if ready else ("hang", f"no answer in {PATIENCE} seconds")
            except EOFError:
                process.join()
                hung = process.exitcode == -signal.SIGPROF
                verdict, detail = (
                    ("hang", f"{SECONDS} seconds") if hung else ("crash", f"exit status {process.exitcode}")
                )
            yield *job, verdict, detail, folder / job[0] / KINDS[job[0]].file
            if verdict not in ("hang", "crash", "memory") and jobs:
                running[connection] = (process, folder, jobs.popleft())
                connection.send(running[connection][2])
                continue
            del running[connection]
            connection.close()
            process.kill()
            process.join()
            shutil.rmtree(folder, ignore_errors=True)


def work(connection: Connection, scratch: Path, seed: int) -> None:
    """Read the inputs that are asked for; the files of each kind have a folder of their own."""
    warnings.simplefilter("ignore")
    opened: list[str] = []
    kinds: dict[str, tuple[Kind, list[bytes]]] = {}

    def watch(event: str, args: tuple) -> None:
        if event in EVENTS and watching:
            path = args[0] if args else ""
            inside = isinstance(path, int) or os.fsdecode(os.path.abspath(path)).startswith(f"{scratch}{os.sep}")
            if event != "open" or not (inside or os.fsdecode(path).endswith(ALLOWED)):
                opened.append(f"{event} {args[:2]}")

    watching = False
    sys.addaudithook(watch)
    try:
        while True:
            name, index = connection.recv()
            folder = scratch / name
            if name not in kinds:
                folder.mkdir(parents=True)
                kind = KINDS[name]
                seeds = kind.make(folder)
                for intact in seeds:
                    (folder / kind.file).write_bytes(intact)
                    kind.read(folder)  # an intact file is read, and what its reader imports is loaded
                kinds[name] = kind, seeds
                limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
                resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            kind, seeds = kinds[name]
            random = Random(f"{seed} {name} {index}")
            (folder / kind.file).write_bytes(damage(random, seeds, kind.restructure))
            opened.clear()
            watching = True
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            verdict, detail = judge(kind, folder)
            signal.setitimer(signal.ITIMER_PROF, 0)
            watching = False
            connection.send(("opened", opened[0]) if opened else (verdict, detail))
    except EOFError:
        pass


def judge(kind: Kind, folder: Path) -> tuple[str, str]:
    """Read an input; what happened."""
    from engine.errors import UserError

    try:
        kind.read(folder)
    except BaseException as error:
        cause: BaseException | None = error
        while cause:
            if isinstance(cause, MemoryError):
                return "memory", repr(error)
            cause = cause.__cause__ or cause.__context__
        sentence = isinstance(error, UserError) and str(error).isprintable() and len(str(error)) < 1000
        return "refused" if sentence else "traceback", repr(error)[:300]
    return "read", ""


if __name__ == "__main__":
    sys.exit(main())
