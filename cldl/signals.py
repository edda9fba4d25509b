"""Ctrl-C, and the signals by which a system asks a program to end: SIGTERM, and SIGHUP of a terminal that was closed.

A command ends at once, with one line and status 130. Only a training that has something to save finishes its step first.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STOPPED = "stopped."
STOPPING = b"\nstopping after this step or test; once more, and it stops at once\n"
STATUS = 130  # 128 + SIGINT, as shells say
KINDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def handled(handler: Callable[[int, Any], object] = signal.default_int_handler) -> Iterator[None]:
    """Have the signals call `handler` during the block: without one they raise KeyboardInterrupt.

    A SIGHUP that is ignored stays ignored (nohup). Signals are the main thread's, so in any other this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ignored = [kind for kind in KINDS[2:] if signal.getsignal(kind) is signal.SIG_IGN]
    before = {kind: signal.signal(kind, handler) for kind in KINDS if kind not in ignored}
    try:
        yield
    finally:
        for kind, previous in before.items():
            signal.signal(kind, signal.SIG_DFL if previous is None else previous)


class Interruption:
    """Whether a signal has asked the training to end; until there is something to save, it ends at once.

    with Interruption() as interruption:
        ...                             # a signal raises KeyboardInterrupt
        interruption.defer()
        ...                             # a signal sets interruption.asked; a second one raises KeyboardInterrupt

    quiet -- whether to print nothing, as another process reports the signal
    """

    def __init__(self, quiet: bool = False) -> None:
        self.asked, self._deferred, self._quiet = False, False, quiet
        self._handled = handled(self._handle)

    def defer(self) -> None:
        """From now on, wait for the end of the step."""
        self._deferred = True

    def _handle(self, number: int, frame: object) -> None:
        if self.asked or not self._deferred:
            raise KeyboardInterrupt
        self.asked = True
        if not self._quiet:
            os.write(2, STOPPING)

    def __enter__(self) -> Interruption:
        self._handled.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._handled.__exit__(*exception)


def end_at_once_while_importing() -> None:
    """Have Ctrl-C end a `python -m cldl.COMMAND` process while it imports the command; in any other process, do nothing."""
    if sys.argv[:1] == ["-m"] and any(word.startswith("cldl.") for word in sys.orig_argv):
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: object) -> None:
    os.write(2, f"{STOPPED}\n".encode())
    os._exit(STATUS)
