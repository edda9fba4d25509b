"""The ranks of a job with a GPU each: sums of gradients by NCCL, on the GPUs, while the layers below are still at work.

A pass is queued on the backend's stream, the sums on a second one. An event is recorded behind what makes a piece of the
gradients final, and the second stream waits for it before it sums the piece; another one is recorded behind the last piece,
and the first stream waits for it before the update. The CPU waits for nothing, so a step's graph can hold all of it.

Losses and predictions are summed, too: a rank writes its rows among zeros, and their bits are added as integers, which gives
every rank all rows. So each rank decides by itself, and all alike, whether to make the update.

Gradients are added in an order that is NCCL's own. All ranks receive the same bits. That two runs do is not written down by
NVIDIA; additions inside NVLink's switches, which are known to differ from call to call, are switched off.
"""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cupy
from cupy.cuda import nccl

from engine.errors import UserError
from engine.parameters import FlatBuffer
from engine.runtime.communicator import Communicator, cut
from engine.typing import CudaArray

POLL, NOT_READY = 1e-4, 600  # seconds between two looks at a GPU; cudaErrorNotReady, for which CuPy has no name
INSTALL = "pip install 'cldl[nccl13]' (or nccl12, depending on the driver)"


def choose_gpu(comm: Communicator) -> int:
    """The number of this rank's GPU: ranks on one node take, in their order, the first that they see and that is not taken.

    Whether each sees all GPUs of its node, or a launcher shows each some, none is taken twice.

    Raises:    UserError, on all ranks, where a node has more ranks than GPUs.
    """
    runtime = cupy.cuda.runtime
    every = comm.gather([platform.node(), [runtime.deviceGetPCIBusId(i) for i in range(runtime.getDeviceCount())]])
    taken, chosen = set[tuple[str, str]](), list[int]()
    for node, gpus in every:
        free = [i for i, gpu in enumerate(gpus) if (node, gpu) not in taken]
        if not free:
            ranks = sum(other == node for other, _ in every)
            total = len({gpu for other, theirs in every if other == node for gpu in theirs})
            raise UserError(
                f"{node} has {ranks} ranks and {total} GPU{'s' * (total != 1)} that they see: start one rank a GPU, or give "
                "--device cpu."
            )
        taken.add((node, gpus[free[0]]))
        chosen.append(free[0])
    return chosen[comm.rank]


class NcclGradientSum:
    """A `GradientSum` of a buffer on the current GPU. All is queued, behind what the current stream has been given."""

    def __init__(self, comm: Communicator, gradients: FlatBuffer) -> None:
        if not nccl.available:
            raise UserError(f"{comm.size} ranks on GPUs need NCCL, which CuPy does not find: {INSTALL}.")
        os.environ.setdefault("NCCL_NVLS_ENABLE", "0")
        unique_id = bytes(comm.gather(list(nccl.get_unique_id()) if comm.is_first else None)[0])
        with _errors_in_words():
            self._nccl = nccl.NcclCommunicator(comm.size, unique_id, comm.rank)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._nccl))  # its destruction would wait until all graphs are gone
        self._buffer, self._stream = gradients.buffer, cupy.cuda.Stream(non_blocking=True)
        self.pieces = tuple(cut(gradients.starts.tolist(), gradients.buffer.itemsize))
        self._final, self._summed = (cupy.cuda.Event(disable_timing=True) for _ in range(2))

    def give(self, piece: int) -> None:
        self._sum(self._buffer[self.pieces[piece]])

    def advance(self) -> bool:
        return False  # the GPU does it

    def finish(self) -> None:
        self._summed.record(self._stream)
        cupy.cuda.get_current_stream().wait_event(self._summed)

    def add(self, array: CudaArray) -> None:
        """array = its sum over the ranks."""
        self._sum(array)
        self.finish()

    def wait(self, stream: Any) -> None:
        """Wait for all that a stream was given; raises UserError where NCCL has met an error, as a sum then never ends.

        Between two polls Python can handle signals.
        """
        while cupy.cuda.runtime.streamQuery(stream.ptr) == NOT_READY:
            with _errors_in_words():
                self._nccl.check_async_error()
            time.sleep(POLL)
        stream.synchronize()  # raises any other error

    def _sum(self, array: CudaArray) -> None:
        self._final.record(cupy.cuda.get_current_stream())
        self._stream.wait_event(self._final)
        kind = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64, "int64": nccl.NCCL_INT64}[array.dtype.name]
        with _errors_in_words():
            self._nccl.allReduce(array.data.ptr, array.data.ptr, array.size, kind, nccl.NCCL_SUM, self._stream.ptr)


@contextmanager
def _errors_in_words() -> Iterator[None]:
    try:
        yield
    except nccl.NcclError as error:
        raise UserError(f"NCCL cannot go on ({error}): NCCL_DEBUG=WARN in the environment makes it say why.") from None
