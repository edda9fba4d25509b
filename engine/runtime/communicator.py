"""The processes that train one network together, the ranks: each takes its slice of every batch.

    a step    each rank takes its slice of the batch through the network; the gradients, which are divided by the whole batch's
              size, are summed over the ranks; each rank makes the same update

A network sees no other rank: samples do not interact in a pass, random numbers belong to a sample's place in the batch, and
gradients lie in one flat buffer. So all communication goes through this one object. `ALONE` is a single process, for which
there is nothing to do; `engine.runtime.mpi` has the communicator of several.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from engine.parameters import FlatBuffer
from engine.typing import Array

PIECE = 1 << 20  # bytes of gradients that are summed at a time, at least


def share(samples: int, rank: int, size: int) -> slice:
    """The samples of a rank, in whole-batch coordinates: slices in the order of the ranks, whose lengths differ by one at most.

    >>> [share(10, rank, 4) for rank in range(4)]
    [slice(0, 2, None), slice(2, 5, None), slice(5, 7, None), slice(7, 10, None)]
    """
    return slice(samples * rank // size, samples * (rank + 1) // size)


def cut(starts: Sequence[int], itemsize: int) -> Iterator[slice]:
    """Slices of PIECE bytes or more, from the end of a buffer whose parameters begin at `starts`; the last may be smaller.

    >>> list(cut([0, 200_000, 200_016, 700_000], 4))
    [slice(200016, 700000, None), slice(0, 200016, None)]
    """
    stop = starts[-1]
    for start in reversed(starts[:-1]):
        if (stop - start) * itemsize >= PIECE or start == 0:
            yield slice(start, stop)
            stop = start


class GradientSum(Protocol):
    """The sum of one flat buffer over the ranks, in pieces: a piece is handed over once it is final here, and receives the sum.

    pieces -- of the buffer, in the order in which all ranks give them
    """

    pieces: tuple[slice, ...]

    def give(self, piece: int) -> None:
        """Hand over piece number `piece`, which is final on this rank: do not read or write it until `finish` has returned."""
        ...

    def advance(self) -> bool:
        """Make what progress is possible without waiting; whether anything is in flight."""
        ...

    def finish(self) -> None:
        """Wait until all pieces hold the sum, and get ready for the next step."""
        ...


class Communicator:
    """What the ranks tell each other; this one is of a single process.

    All ranks call each method, in the same order.

    rank    -- the number of this process, from 0
    size    -- the number of processes
    overlap -- whether sums begin while the layers below are still at work; False is for measuring the gain
    remedy  -- what to do where a rank is lost
    """

    rank, size, overlap = 0, 1, True
    remedy = "start again."

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which writes and shows."""
        return self.rank == 0

    def share(self, samples: int) -> slice:
        """This rank's slice of a batch of so many samples."""
        return share(samples, self.rank, self.size)

    def gradient_sum(self, gradients: FlatBuffer) -> GradientSum | None:
        """How this buffer is summed; None where there is nothing to add."""
        return None

    def gather_rows(self, *arrays: Array) -> None:
        """Fill in the other ranks' rows of arrays (N, ...), in C order, in which each rank has written its `share(N)`."""

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, in rank order; a value is anything that JSON can hold."""
        return [value]

    def broadcast(self, array: Array) -> None:
        """Overwrite an array in C order with that of rank 0."""

    def any(self, flag: bool) -> bool:
        """Whether it is true on any rank."""
        return flag

    def wait_for_all(self) -> None:
        """A barrier: wait until all ranks have reached it."""


ALONE = Communicator()
