"""The ranks of an MPI job, by mpi4py: sums of gradients in a fixed order, and waiting that does not keep a core busy.

Sum. Rank r owns the r-th part of a piece. It receives this part of all others, adds them in the order of the ranks, and sends the
sum to all: a reduce-scatter and an all-gather by direct messages, in which each rank sends 2 (n - 1) / n of the piece's bytes,
the minimum of an all-reduce. The order is the code's own, so the bits depend on neither the MPI library, nor its choice among
algorithms, nor which ranks share a machine.

Waiting. An MPI library busy-waits. Here every message is non-blocking, and is polled between short sleeps, so that the threads
that compute, and other ranks on the same machine, can use the core meanwhile.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import mpi4py
import numpy as np

from engine.memory import Memory
from engine.parameters import FlatBuffer
from engine.runtime.communicator import Communicator, GradientSum, cut, share
from engine.runtime.pulse import SILENCE, Pulse
from engine.typing import Array

mpi4py.rc.initialize = mpi4py.rc.finalize = False  # see `MpiCommunicator`
from mpi4py import MPI  # noqa: E402 -- which reads these settings

LARGEST = 1 << 24  # bytes of a piece that are summed at a time: as much is needed as scratch memory
AT_ONCE = 4  # pieces in flight
TRIES, REST = 20, 1e-3  # of a wait: how often it only yields, then the longest sleep in seconds
FORWARDED = 0.5  # seconds in which a launcher forwards what was printed
PATIENCE = 600.0  # seconds after which a rank that others wait for is taken to hang, though its process lives


class MpiCommunicator(Communicator):
    """All processes that mpiexec, or srun, has started together."""

    def __init__(self) -> None:
        os.environ.setdefault("MPIR_CVAR_SUPPRESS_ABORT_MESSAGE", "1")  # of MPICH, which would repeat our message
        MPI.Init_thread(MPI.THREAD_MULTIPLE)
        self._comm = MPI.COMM_WORLD.Dup()
        self.rank, self.size = self._comm.rank, self._comm.size
        self._nodes = self.gather(platform.node())
        self._pulse = Pulse(MPI.COMM_WORLD.Dup(), self._lost)
        self._pulse.start()

    def gradient_sum(self, gradients: FlatBuffer) -> GradientSum | None:
        return MpiGradientSum(self._comm.Dup(), gradients, self._hangs) if self.size > 1 else None

    def gather_rows(self, *arrays: Array) -> None:
        N = len(arrays[0])
        rows = [array.reshape(-1).view(np.uint8).reshape(N, -1) for array in arrays]
        packed = np.concatenate(rows, axis=1)
        self._gather(packed, [share(N, rank, self.size) for rank in range(self.size)])
        for row, columns in zip(
            rows, np.split(packed, np.cumsum([r.shape[1] for r in rows])[:-1], axis=1), strict=True
        ):
            row[...] = columns

    def gather(self, value: Any) -> list[Any]:
        own = np.frombuffer(json.dumps(value).encode(), np.uint8)
        lengths = np.full(self.size, len(own))
        self._gather(lengths, [slice(rank, rank + 1) for rank in range(self.size)])
        ends = np.cumsum([0, *lengths]).tolist()
        texts = np.empty(ends[-1], np.uint8)
        slices = [slice(start, stop) for start, stop in pairwise(ends)]
        texts[slices[self.rank]] = own
        self._gather(texts, slices)
        return [json.loads(texts[part].tobytes()) for part in slices]

    def broadcast(self, array: Array) -> None:
        self._wait(self._comm.Ibcast([array, MPI.BYTE], 0))

    def any(self, flag: bool) -> bool:
        flags = np.full(1, flag)
        self._wait(self._comm.Iallreduce(MPI.IN_PLACE, flags, MPI.LOR))
        return bool(flags[0])

    def wait_for_all(self) -> None:
        self._wait(self._comm.Ibarrier(), however_long=True)  # one may fill a cache meanwhile

    def leave(self) -> None:
        """End MPI, once all ranks are here."""
        self.wait_for_all()
        self._pulse.stop()
        MPI.Finalize()

    def abort(self, status: int) -> None:
        """End all ranks; the message has been printed, and a launcher gets the time to forward it."""
        time.sleep(FORWARDED)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the library would report the call
        MPI.COMM_WORLD.Abort(status)

    def _lost(self, rank: int) -> None:
        """End all ranks, because one is silent."""
        self._end(f"rank {rank} on {self._nodes[rank]} has been silent for {SILENCE:.0f} seconds")

    def _hangs(self, rank: int | None) -> None:
        """End all ranks, because this one, or None where it is not known which, has not done its part."""
        who = "one of the other ranks" if rank is None else f"rank {rank} on {self._nodes[rank]}"
        self._end(f"{who} lives, but has not answered for {PATIENCE:.0f} seconds")

    def _end(self, reason: str) -> None:
        os.write(2, f"error: {reason}: see what it does, and {self.remedy}\n".encode())
        self.abort(1)

    def _gather(self, array: Array, parts: Sequence[slice]) -> None:
        """Fill in the parts (slices of the first axis) of the other ranks."""
        width = array.nbytes // max(len(array), 1)
        counts, starts = [(p.stop - p.start) * width for p in parts], [p.start * width for p in parts]
        self._wait(self._comm.Iallgatherv(MPI.IN_PLACE, [array, (counts, starts), MPI.BYTE]))

    def _wait(self, request: Any, however_long: bool = False) -> None:
        """Wait for what all ranks do together."""
        waiting = Waiting()
        while not request.Test():
            if waiting.rest() > PATIENCE and not however_long:
                self._hangs(None)


class MpiGradientSum:
    """A `GradientSum`; its pieces are cut between parameters, from the last ones on, which the backward pass reaches first.

    hangs -- is called with the number of a rank that does not answer
    """

    def __init__(self, comm: Any, gradients: FlatBuffer, hangs: Callable[[int], None]) -> None:
        self._comm, self._buffer, self._memory, self._hangs = comm, gradients.buffer, Memory(), hangs
        self.pieces = tuple(cut(gradients.starts.tolist(), gradients.buffer.itemsize))
        self._given, self._under_way = deque[int](), list[Iterator[None]]()
        self._awaited = dict[int, Any]()  # of the last exchange, by rank, what it has not sent yet

    def give(self, piece: int) -> None:
        self._given.append(piece)

    def advance(self) -> bool:
        self._under_way = [one for one in self._under_way if next(one, self) is None]
        while self._given and len(self._under_way) < AT_ONCE:
            self._under_way.append(self._sum(self._given.popleft()))
            next(self._under_way[-1])
        return bool(self._under_way)

    def finish(self) -> None:
        waiting = Waiting()
        while self.advance():
            if waiting.rest() > PATIENCE:
                self._hangs(next(rank for rank, request in self._awaited.items() if not request.Test()))

    def _sum(self, piece: int) -> Iterator[None]:
        """Sum a piece; yields while messages are under way."""
        whole = self._buffer[self.pieces[piece]]
        step = LARGEST // whole.itemsize
        for start in range(0, len(whole), step):
            yield from self._sum_part(whole[start : start + step], piece)

    def _sum_part(self, array: Array, tag: int) -> Iterator[None]:
        """Sum an array, in the order of the ranks."""
        own, n = self._comm.rank, self._comm.size
        parts = [array[share(len(array), rank, n)] for rank in range(n)]
        others = [rank for rank in range(n) if rank != own]
        mine = {rank: self._memory.empty(parts[own].shape, array.dtype) for rank in others} | {own: parts[own]}
        yield from self._exchange(parts, mine, others, tag)
        total = mine[0]
        for rank in range(1, n):
            total += mine[rank]
        if total is not parts[own]:
            parts[own][...] = total
        yield from self._exchange(dict.fromkeys(others, parts[own]), parts, others, tag)

    def _exchange(self, sent: Any, received: Any, others: Sequence[int], tag: int) -> Iterator[None]:
        """Send sent[rank] to each other rank, and receive received[rank] of it."""
        self._awaited = {rank: self._comm.Irecv(received[rank], rank, tag) for rank in others}
        requests = [*self._awaited.values(), *(self._comm.Isend(sent[rank], rank, tag) for rank in others)]
        yield  # pieces handed over meanwhile start, too
        while not MPI.Request.Testall(requests):
            yield


class Waiting:
    """One wait with back-off: at first it only yields to others, later it sleeps for longer and longer."""

    def __init__(self) -> None:
        self._tries, self._seconds, self._looked = 0, 0.0, time.monotonic()

    def rest(self) -> float:
        """Rest; for how many seconds this wait has lasted, without those in which this process was stopped itself."""
        self._tries += 1
        time.sleep(0 if self._tries < TRIES else min(REST, 1e-5 * (self._tries - TRIES)))
        now = time.monotonic()
        self._seconds, self._looked = self._seconds + min(now - self._looked, 1.0), now
        return self._seconds
