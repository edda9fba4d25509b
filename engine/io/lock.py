"""The lock of a folder, for what only one process at a time may do there."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import UserError
from engine.io.files import explained

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"  # the file that is locked; it stays, with the name of the last process, and can be deleted


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder during the block; the system releases it however the process ends.

    Where the system or the file system has no locks, nothing is held.

    Raises:    UserError that names the process which holds the lock; where the folder cannot be written to.
    """
    with explained(folder / LOCK):
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 1000, 0).decode("utf-8", "replace") or "another process"
                raise UserError(f"{folder} is in use by {holder}: wait until that has ended, or stop it.") from None
            except OSError:  # no locks on this file system
                pass
        with suppress(OSError):  # the name is only informative
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {platform.node()}".encode())
        yield
    finally:
        os.close(descriptor)
