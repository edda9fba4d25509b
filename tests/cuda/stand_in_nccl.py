"""A stand-in for cupy.cuda.nccl on the CPU's memory: the ranks of the test add arrays by MPI.

Names, types and order of arguments are those of CuPy 14: a unique id is 128 bytes, pointers and streams are integers. What NCCL
refuses is refused (two ranks on one GPU), and what would corrupt memory or wait for ever: addresses that are not the GPU's, and
ranks that do not call the same. A sum in a stream that has waited for nothing since the one before is refused, too.

The order of additions is not that of the ranks. A sum is made as late as possible, when its stream is waited for, or, if not
`mode.late`, as early as possible, at once: one that begins too early, and one that is used too early, show in numbers.
"""

import os
import platform
import sys
from types import ModuleType, SimpleNamespace

import numpy as np

from engine.runtime.mpi import MPI
from tests.cuda import stand_in

NCCL_SUM = 0
NCCL_INT64, NCCL_FLOAT32, NCCL_FLOAT64 = 4, 7, 8
DTYPES = {NCCL_INT64: np.int64, NCCL_FLOAT32: np.float32, NCCL_FLOAT64: np.float64}
available = True
mode = SimpleNamespace(late=True, error="")
calls: list[tuple[int, int]] = []  # datatype and count of each sum


class NcclError(RuntimeError):
    pass


def get_unique_id() -> bytes:
    return os.urandom(128)


class NcclCommunicator:
    def __init__(self, ndev, commId, rank, config=None):
        _expect(int, ndev, rank)
        _expect(bytes, commId)
        assert len(commId) == 128
        self._comm = MPI.COMM_WORLD.Dup()
        assert (ndev, rank) == (self._comm.size, self._comm.rank)
        self._device = stand_in.Device.current
        gpu = platform.node(), self._device
        every = self._comm.allgather((commId, gpu))
        assert len({identity for identity, _ in every}) == 1, "ncclCommInitRank waits for ranks with the same unique id"
        if len({gpu for _, gpu in every}) < ndev:
            raise NcclError("NCCL_ERROR_INVALID_USAGE: Duplicate GPU detected")

    def __del__(self):
        os.write(2, b"ncclCommDestroy waits until all graphs are gone\n")

    def allReduce(self, sendbuf, recvbuf, count, datatype, op, stream):  # noqa: N802 - CuPy's name
        _expect(int, sendbuf, recvbuf, count, datatype, op, stream)
        assert op == NCCL_SUM
        own, to = (_on_gpu(address, count, DTYPES[datatype]) for address in (sendbuf, recvbuf))
        at = stand_in.Stream.by_pointer[stream]
        assert at.device == self._device == stand_in.Device.current
        assert at.waited_for, "what is summed may not be final"
        at.waited_for = None

        def work():
            every = self._comm.allgather((count, datatype, np.array(own)))
            assert len({(n, kind) for n, kind, _ in every}) == 1, "NCCL would wait for ever"
            first, *others = [part for _, _, part in reversed(every)]
            for part in others:
                first += part
            to[...] = first

        calls.append((datatype, count))
        if at.origin:
            at.origin.forked.add(at)
        at.later.append(work)
        if not mode.late and not at.origin:
            at.synchronize()

    def check_async_error(self):
        if mode.error:
            raise NcclError(mode.error)


def _expect(kind: type, *arguments) -> None:
    for argument in arguments:
        if type(argument) is not kind:
            raise TypeError(f"expected {kind.__name__}, got {type(argument).__name__}")


def _on_gpu(address: int, count: int, dtype: type) -> np.ndarray:
    """The elements at an address of the GPU's memory."""
    size = count * np.dtype(dtype).itemsize
    for start, array in stand_in.allocated.items():
        if start <= address and address + size <= start + array.nbytes:
            return array.view(np.ndarray).reshape(-1).view(np.uint8)[address - start :][:size].view(dtype)
    raise NcclError("NCCL_ERROR_INVALID_ARGUMENT: not the GPU's memory")


def install() -> ModuleType:
    """Let `from cupy.cuda import nccl` give the stand-in."""
    nccl = sys.modules[__name__]
    sys.modules["cupy.cuda"].nccl = sys.modules["cupy.cuda.nccl"] = nccl
    return nccl
