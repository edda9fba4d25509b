"""What several ranks reach: measured with one and with two on this machine, simulated with more.

python -m benchmarks.scaling [NETWORK ...] [--threads T]

Measured: the seconds of each layer's forward and backward on one thread; a step of one rank, of two ranks with as many images
each (a thread a rank), and of one with two threads; how long the smallest sum takes, what one more message costs, and how many
bytes a second two ranks sum. Of steps and sums the fastest counts, as other programs only slow them down.

Simulated: n ranks of T threads, each of which takes as many images as the one thread did, in the time of the step of one rank, of
which the layers have their shares. A piece of the gradients is ready when the backward pass has left its layers; pieces go over
the network one after another, one of S bytes in

    2 (n - 1) / n S / bandwidth  +  latency  +  2 (n - 2) message

Without overlap the first one begins when the pass is over. What is left out: disks, switches that many ranks share, nodes of
unequal speed, threads that slow each other down, the sum itself, and what a network's latency is beyond that of this machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.networks import recipe
from cldl.recipes.recipe import Recipe
from cldl.reporting.explain import endless_steps, explain, synthetic_dataset
from cldl.training.trainer import Trainer
from engine.parameters import FlatBuffer, Parameter
from engine.runtime.communicator import PIECE, Communicator

IMAGES = {"mnist_nin": 64, "googlenet": 4, "vgg16": 4}  # of one thread
ROUNDS, MESSAGES, LARGE = 5, 200, 4 << 20  # of the measurement: in turn, at once, and elements of the large sum
RANKS, GIGABITS = (8, 64, 512), (10, 100)
MB = 1e6


@dataclass(frozen=True)
class Timeline:
    """One rank's step, in seconds and bytes.

    before -- the backward pass
    layers -- from the last to the first: what a layer's backward takes, and the bytes of gradients that are final behind it
    """

    before: float
    layers: tuple[tuple[float, int], ...]

    @property
    def seconds(self) -> float:
        """Of a step of one process."""
        return self.before + sum(seconds for seconds, _ in self.layers)

    @property
    def nbytes(self) -> int:
        """Of all gradients."""
        return sum(nbytes for _, nbytes in self.layers)

    def taking(self, seconds: float) -> Timeline:
        """The same shares of another time."""
        factor = seconds / self.seconds
        return Timeline(factor * self.before, tuple((factor * own, nbytes) for own, nbytes in self.layers))

    def pieces(self) -> list[tuple[float, int]]:
        """When each piece is ready, in seconds from the step's beginning, and its bytes."""
        now, held, found = self.before, 0, list[tuple[float, int]]()
        for seconds, nbytes in self.layers:
            now, held = now + seconds, held + nbytes
            if held >= PIECE:
                found.append((now, held))
                held = 0
        return [*found, (now, held)] if held else found


@dataclass(frozen=True)
class Link:
    """What connects the ranks: bytes a second; seconds of the smallest sum of two ranks, and of one more message."""

    bandwidth: float
    latency: float = 0.0
    message: float = 0.0

    def all_reduce(self, nbytes: float, ranks: int) -> float:
        """Seconds.

        >>> Link(bandwidth=1e9).all_reduce(100e6, ranks=2)
        0.1
        """
        return 2 * (ranks - 1) / ranks * nbytes / self.bandwidth + self.latency + 2 * (ranks - 2) * self.message


def step_seconds(line: Timeline, ranks: int, link: Link, overlap: bool) -> float:
    """A step of so many ranks.

    >>> line = Timeline(1.0, ((1.0, 2 * PIECE), (2.0, 2 * PIECE)))
    >>> [round(step_seconds(line, 2, Link(2 * PIECE), overlap), 3) for overlap in (True, False)]
    [5.0, 6.0]
    """
    free = 0.0
    for ready, nbytes in line.pieces():
        free = max(free, ready if overlap else line.seconds) + link.all_reduce(nbytes, ranks)
    return max(free, line.seconds)


def measure_layers(chosen: Recipe) -> Timeline:
    """The timeline of a recipe on one thread."""
    network, seen = chosen.build_network(), set()
    *costs, rest = explain(chosen, steps=3)[0]
    layers = []
    for step, cost in zip(network.steps, costs, strict=True):
        own = [p for p in step.layer.parameters() if p not in seen]
        seen.update(own)
        layers.append((cost.backward, 4 * sum(p.size for p in own)))
    return Timeline(rest.seconds + sum(cost.forward for cost in costs), tuple(reversed(layers)))


def measure_ranks(name: str, batch: int, ranks: int, threads: int = 1) -> dict[str, float]:
    """What `rank` finds, on so many ranks of so many threads."""
    words = [sys.executable, "-m", "benchmarks.scaling", "--rank", name, str(batch), str(threads)]
    run = subprocess.run(["mpiexec", "-n", str(ranks), *words], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout)


def summing(comm: Communicator, size: int) -> Callable[[], None]:
    """What sums one piece of so many elements over the ranks."""
    total = comm.gradient_sum(FlatBuffer([Parameter((size,), lambda key, shape: np.zeros(shape))]))
    assert total

    def work() -> None:
        total.give(0)
        total.finish()

    return work


def rank(name: str, batch: int, threads: int) -> None:
    """One of the ranks that measure: rank 0 prints the fastest steps with and without overlap, and what messages cost."""
    from cldl.training.ranks import joined

    def message() -> float:
        """Seconds of this thread's processor for one message of many, there and back."""
        from mpi4py import MPI

        other, bytes_, began = 1 - comm.rank, np.zeros((2, MESSAGES), np.uint8), time.thread_time()
        requests = [MPI.COMM_WORLD.Irecv(bytes_[0, i : i + 1], other, i) for i in range(MESSAGES)]
        requests += [MPI.COMM_WORLD.Isend(bytes_[1, i : i + 1], other, i) for i in range(MESSAGES)]
        while not MPI.Request.Testall(requests):
            time.sleep(1e-3)
        return (time.thread_time() - began) / MESSAGES

    def timed(work: Callable[[], object], times: int) -> list[float]:
        seconds = []
        for _ in range(times):
            comm.wait_for_all()
            began = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - began)
        return seconds

    with joined() as comm:
        chosen = recipe(name, batch)
        data = synthetic_dataset(chosen.build_network(), batch)
        trainer = Trainer.from_recipe(chosen, data, threads=threads, comm=comm)
        stream = endless_steps(trainer)
        next(stream)
        found: dict[str, list[float]] = {"overlapped": [], "in turn": []}
        for _ in range(ROUNDS):
            for kind, overlap in (("overlapped", True), ("in turn", False)):
                comm.overlap = overlap
                found[kind] += timed(lambda: next(stream), 2)
        result = {kind: min(seconds) for kind, seconds in found.items()}
        if comm.size == 2:
            result |= {"latency": min(timed(summing(comm, 4), 50)), "message": min(message() for _ in range(20))}
            result["bandwidth"] = 4 * LARGE / min(timed(summing(comm, LARGE), 20))
        if comm.is_first:
            print(json.dumps(result), flush=True)


def table(line: Timeline, images: int, measured: Link) -> list[str]:
    """A row for each number of ranks and each network."""
    rows = ["  Gb/s  ranks  all-reduce   step, overlapped        step, in turn       images/s"]
    for gigabits in GIGABITS:
        for ranks in RANKS:
            link = replace(measured, bandwidth=gigabits * 1e9 / 8)
            whole = sum(link.all_reduce(nbytes, ranks) for _, nbytes in line.pieces())
            over, turn = (step_seconds(line, ranks, link, overlap) for overlap in (True, False))
            rows.append(
                f"{gigabits:6} {ranks:6} {whole:9.3f} s {over:8.3f} s, {line.seconds / over:4.0%}"
                f"      {turn:8.3f} s, {line.seconds / turn:4.0%}  {ranks * images / over:12,.0f}"
            )
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", default=["mnist_nin", "googlenet", "vgg16"], metavar="NETWORK")
    parser.add_argument("--threads", type=int, default=16, metavar="T", help="of a simulated rank")
    parser.add_argument("--rank", nargs=3, metavar=("NETWORK", "BATCH", "THREADS"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.rank:
        rank(options.rank[0], *map(int, options.rank[1:]))
        return 0
    for name in options.networks:
        images = IMAGES[name]
        layers = measure_layers(recipe(name, images))
        one, two, threads = (measure_ranks(name, n * images, *how) for n, *how in ((1, 1), (2, 2), (2, 1, 2)))
        line = layers.taking(one["overlapped"])
        link = Link(two["bandwidth"], two["latency"], two["message"])
        guess = [step_seconds(line, 2, link, overlap) for overlap in (True, False)]
        one_step, of_threads = one["overlapped"], threads["overlapped"]
        over, turn = two["overlapped"], two["in turn"]
        rows = [
            f"{name}: {images} images a thread, {line.nbytes / MB:.1f} MB of gradients in {len(line.pieces())} pieces",
            f"  measured: layers {layers.seconds:.3f} s; 1 rank {one_step:.3f} s, of 2 threads {of_threads:.3f} s",
            f"  2 ranks {over:.3f} s, in turn {turn:.3f} s; simulated {guess[0]:.3f} s, in turn {guess[1]:.3f} s",
            f"  the smallest sum {1e6 * link.latency:.0f} us, one more message {1e6 * link.message:.1f} us, "
            f"sums of 2 ranks {link.bandwidth / MB:,.0f} MB/s",
            f"  simulated: ranks of {options.threads} threads, {images * options.threads} images each; % of one rank's speed",
            *table(line, images * options.threads, link),
        ]
        print("\n".join(rows), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
