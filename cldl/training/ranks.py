"""How a command becomes one of several ranks, and how all of them end where one does.

    with joined() as comm:          # ALONE where no mpiexec or srun has started several processes
        ...

Every rank leaves the block with the others, or all end at once, with one sentence. What all ranks meet, such as a wrong option,
is said by rank 0; what one rank meets, by this rank, after a second in which rank 0 could have said it.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from cldl.commands import last_line
from engine.errors import UserError
from engine.runtime.communicator import ALONE, Communicator

GRACE = 1.0  # seconds that the others leave to rank 0
LAUNCHERS = (  # of each, what tells a process its number, and how many there are
    ("PMI_RANK", "PMI_SIZE"),  # MPICH and what is made of it, Slurm's pmi2
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMIX_RANK", "SLURM_STEP_NUM_TASKS"),
)


def launched() -> tuple[int, int]:
    """The number of this process and how many a launcher has started: (0, 1) without one."""
    for rank, size in LAUNCHERS:
        with suppress(KeyError, ValueError):
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 1


@contextmanager
def joined() -> Iterator[Communicator]:
    """The communicator of all processes that were started together.

    Raises:    UserError where there are several, and no mpi4py that could connect them.
    """
    rank, size = launched()
    if size < 2:
        yield ALONE
        return
    try:
        from engine.runtime.mpi import MpiCommunicator
    except (ImportError, RuntimeError) as error:  # RuntimeError: mpi4py finds no MPI
        time.sleep(GRACE if rank else 0)
        raise UserError(
            f"{size} processes were started, and mpi4py is not there ({error}): pip install cldl[mpi]."
        ) from None
    comm = MpiCommunicator()
    try:
        yield comm
    except BaseException as error:
        _end_all(comm, error)
    comm.leave()


def _end_all(comm: Any, error: BaseException) -> NoReturn:
    """Say what has happened, and end all ranks."""
    line, status = last_line(error)
    if comm.rank:
        time.sleep(GRACE * (1 + comm.rank / comm.size))  # rank 0 may say it; or the lowest that can
    if isinstance(error, KeyboardInterrupt) and comm.rank:
        line = ""
    elif comm.rank or isinstance(error, MemoryError):
        line = line.replace("error:", f"error: rank {comm.rank} on {platform.node()}:", 1)
    if status == 1:
        traceback.print_exception(error)
    if line:
        print(line, file=sys.stderr, flush=True)
    comm.abort(status)
    raise AssertionError  # abort does not return


class LastWords:
    """A line that is printed where this process ends without `dismiss`, by a small one that outlives it.

    A launcher kills all ranks where one has died: then none of them can say how to continue.
    """

    def __init__(self, words: str) -> None:
        self._shell = subprocess.Popen(
            ["sh", "-c", 'read -r dismissed || echo "$WORDS" >&2'],
            stdin=subprocess.PIPE,
            env={**os.environ, "WORDS": words},
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Say nothing."""
        self._shell.communicate(b"\n")
