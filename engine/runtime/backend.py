"""The interface of the backends, which run batches, and the choice of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from engine.parameters import FlatBuffer, Parameter
from engine.random import Key
from engine.runtime.communicator import ALONE, Communicator
from engine.runtime.cpu import CpuBackend, chunk_of


class Backend(Protocol):
    """Takes a batch through a network's layers: `CpuBackend`, or `engine.runtime.cuda.CudaBackend`."""

    threads: int
    comm: Communicator

    def run(
        self, samples: int, work: Callable[[Any, int, int], None], *, training: bool = False, key: Key | None = None
    ) -> None:
        """Call `work(ctx, start, stop)` for every chunk of a batch of `samples`."""

    @property
    def gradients(self) -> FlatBuffer:
        """The sum of the gradients of the last `run`."""
        ...

    @property
    def device_name(self) -> str:
        """The device in words."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes of scratch memory held."""
        ...


def make_backend(
    device: str,
    parameters: Sequence[Parameter],
    *,
    threads: int | None = None,
    precision: str = "float32",
    sample_bytes: int = 0,
    comm: Communicator = ALONE,
) -> Backend:
    """The backend for "cpu" or "cuda"; on a GPU the parameters are moved there.

    sample_bytes -- of all layers' outputs for one sample: the larger, the fewer samples a thread takes at once
    comm         -- the processes that take their slices of each batch; on GPUs each has its own

    Raises:    UserError, on all of several ranks, where a node has fewer GPUs than ranks.
    """
    if device == "cpu":
        return CpuBackend(parameters, threads=threads, chunk=chunk_of(sample_bytes), comm=comm)
    from engine.runtime.cuda import CudaBackend

    return CudaBackend(parameters, precision=precision, comm=comm)
