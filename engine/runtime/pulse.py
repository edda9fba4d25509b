"""A heartbeat from rank to rank: a rank that was killed, has stopped or lost its network is noticed within seconds.

Each rank sends a byte to the next one every second, from a thread of its own, however long the others compute, read or write. A
rank that hears nothing of the one before it for SILENCE seconds says so and ends them all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

BEAT, SILENCE = 1.0, 15.0  # seconds


class Pulse(threading.Thread):
    """The thread; `lost` is called with the number of a rank that is silent."""

    def __init__(self, comm: Any, lost: Callable[[int], None]) -> None:
        super().__init__(name="pulse", daemon=True)
        self._comm, self._lost, self._over = comm, lost, threading.Event()
        self._before, self._next = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size

    def run(self) -> None:
        """Send and listen, until `stop`."""
        sent, received = np.zeros(1, np.uint8), np.zeros(1, np.uint8)
        try:
            sending = self._comm.Isend(sent, self._next)
            receiving, heard, looked = self._comm.Irecv(received, self._before), time.monotonic(), time.monotonic()
            while not self._over.wait(BEAT):
                if sending.Test():
                    sending = self._comm.Isend(sent, self._next)
                now = time.monotonic()
                if now - looked > SILENCE / 2:  # this process itself was stopped
                    heard = now
                looked = now
                while receiving.Test():
                    receiving, heard = self._comm.Irecv(received, self._before), now
                if now - heard > SILENCE:
                    self._lost(self._before)
            receiving.Cancel()
        except RuntimeError:  # mpi4py's: the connection is broken
            if not self._over.is_set():
                self._lost(self._before)

    def stop(self) -> None:
        """End the thread, once all ranks are about to."""
        self._over.set()
        self.join()
