"""A sequence of kernel launches that is captured once as a CUDA graph, and from then on replayed in one launch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from engine.runtime.communicator import ALONE, Communicator
from engine.runtime.cuda_context import CudaContext


class CapturedGraph:
    """`work(ctx)`, which launches the same kernels on the same arrays at every call.

    The first call runs it: kernels are compiled, memory is allocated. The second call captures it, and from then on the graph is
    replayed. Where it cannot be captured (`reason` says why) every call runs it; the results are the same.

    The kernels of a graph read and write addresses in the pool of `ctx`. So the context belongs to the graph alone: memory that
    is free when the capture ends is written again by every replay, and must not be handed out to anyone else meanwhile.

    All ranks replay a graph, or none does: NCCL takes a captured sum for another operation than one that is launched.
    """

    def __init__(
        self, work: Callable[[CudaContext], None], ctx: CudaContext, stream: Any, comm: Communicator = ALONE
    ) -> None:
        self._work, self.ctx, self._stream, self._comm = work, ctx, stream, comm
        self._calls = 0
        self.graph: Any = None
        self.reason = ""

    def __call__(self) -> None:
        self._calls += 1
        if self._calls == 2:
            self._capture()
        if self.graph is None:
            self._work(self.ctx)
        else:
            self.graph.launch(self._stream)

    def _capture(self) -> None:
        try:
            self._stream.begin_capture()
            try:
                self._work(self.ctx)
            finally:
                self.graph = self._stream.end_capture()
        except Exception as error:  # CUDA, CuPy and Numba do not document which ones a capture may raise
            self.reason = str(error) or type(error).__name__
        if self._comm.any(bool(self.reason)):
            self.graph, self.reason = None, self.reason or "another rank cannot capture it"
            if self._comm.is_first:
                warnings.warn(
                    f"the step is launched kernel by kernel, not as a CUDA graph: {self.reason}", stacklevel=3
                )
