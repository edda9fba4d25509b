"""Sums over the ranks that begin while the layers below are still at work.

A backward pass goes from the last layer to the first, and so do the pieces of the gradients' buffer. When all threads have taken
their last chunk past the layers of a piece, its gradients are final: they are added up, thread by thread, and the sum over the
ranks begins. Messages are moved by the thread that waits for the pass, which has nothing else to do. A GPU counts as one thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future

from engine.context import Context
from engine.parameters import FlatBuffer, Parameter
from engine.runtime.communicator import GradientSum

POLL = 1e-3  # seconds between two looks at the messages while threads compute


class Overlap:
    """One backend's passes, whose gradients become sums over the ranks.

    reduce  -- computes the sum over the threads of one parameter's gradient
    threads -- their number
    """

    def __init__(
        self, total: GradientSum, gradients: FlatBuffer, threads: int, reduce: Callable[[Parameter], None]
    ) -> None:
        self._total, self._threads, self._reduce = total, threads, reduce
        starts = dict(zip(gradients.views, gradients.starts.tolist(), strict=False))
        self._parameters = [[p for p, s in starts.items() if part.start <= s < part.stop] for part in total.pieces]
        self._piece = {p: i for i, parameters in enumerate(self._parameters) for p in parameters}
        self._lock, self._event = threading.Lock(), threading.Event()

    def begin(self) -> None:
        """Begin a pass."""
        self._left = [[len(parameters)] * self._threads for parameters in self._parameters]  # by piece and thread
        self._at_work = [self._threads] * len(self._parameters)  # threads, by piece
        self._final, self._next = set[int](), 0

    def finished(self, thread: int, ctx: Context, parameters: Iterable[Parameter]) -> None:
        """A thread adds nothing more to the gradients of these parameters in this pass."""
        for i in (self._piece[p] for p in parameters if p in self._piece):
            self._left[i][thread] -= 1
            if not self._left[i][thread]:
                ctx.apply_adjoints(self._parameters[i])
                with self._lock:
                    self._at_work[i] -= 1
                    if not self._at_work[i]:
                        self._give(i)

    def wait(self, futures: Sequence[Future]) -> None:
        """Wait for the threads, and then for the sums."""
        for future in futures:
            future.add_done_callback(lambda _: self._event.set())
        under_way = False
        while not all(future.done() for future in futures):
            self._event.wait(POLL if under_way else None)
            self._event.clear()
            under_way = self._total.advance()
        for future in futures:
            future.result()
        for i, threads in enumerate(self._at_work):
            if threads:  # some of them never reported it as final
                self._give(i)
        self._total.finish()

    def _give(self, piece: int) -> None:
        """Hand over a piece that is final here, after all those before it: in the same order on all ranks."""
        for parameter in self._parameters[piece]:
            self._reduce(parameter)
        self._final.add(piece)
        while self._next in self._final:
            self._total.give(self._next)
            self._next += 1
        self._event.set()
