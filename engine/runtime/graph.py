"""Work that is captured once as a CUDA graph, and from then on replayed in one launch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any


class CapturedGraph:
    """Work that is the same launches with the same arrays every time.

    The first call runs it plainly: kernels are compiled, memory is found. The second captures it, and from then on the graph is
    launched. Where it cannot be captured (`reason` says why) it goes on being launched plainly; the numbers are the same.
    """

    def __init__(self, work: Callable[[], None], stream: Any) -> None:
        self._work, self._stream = work, stream
        self._calls = 0
        self.graph: Any = None
        self.reason = ""

    def __call__(self) -> None:
        self._calls += 1
        if self._calls == 2:
            self._capture()
        if self.graph is None:
            self._work()
        else:
            self.graph.launch(self._stream)

    def _capture(self) -> None:
        try:
            self._stream.begin_capture()
            try:
                self._work()
            finally:
                self.graph = self._stream.end_capture()
        except Exception as error:  # of CUDA, CuPy or Numba: none of them says which ones a capture may raise
            self.graph, self.reason = None, str(error) or type(error).__name__
            warnings.warn(f"the step is launched kernel by kernel, not as a CUDA graph: {self.reason}", stacklevel=3)
