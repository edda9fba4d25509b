"""This engine on a GPU, as a worker: `python -m benchmarks.cldl_gpu FOLDER PRECISION`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cupy

from benchmarks import worker
from benchmarks.cldl_engine import CldlEngine
from cldl.training.cuda.step import CudaStep
from engine.kernels.cuda.gemm import choose_products
from engine.runtime.cuda import CudaBackend

SIDE, TRIES = 8192, 10  # of the square matrices whose product is the peak
BYTES = 2**30  # that are copied


class CldlGpu(CldlEngine):
    """Seconds by CUDA events on the step's own stream; a step ends when its losses are on the CPU."""

    def __init__(self, folder: Path, precision: str) -> None:
        super().__init__(folder, device="cuda", precision=precision)
        self.train_step, self.backend = cast(CudaStep, self.trainer.train_step), cast(CudaBackend, self.trainer.backend)
        self.versions |= {"CuPy": cupy.__version__, "GPU": self.backend.device_name}

    def step(self, count: int) -> list[float]:
        return [self._seconds(lambda: next(self.stream)) for _ in range(count)]

    def graph(self) -> str:
        """How the steps are launched."""
        (step,) = self.train_step.captured.values()
        return "CUDA graph" if step.graph.graph else f"kernel by kernel ({step.graph.reason})"

    def peak(self) -> float:
        """FLOP/s of the fastest of some products of two large matrices, in this precision."""
        a, out = cupy.random.rand(SIDE, SIDE, dtype=cupy.float32), cupy.empty((SIDE, SIDE), cupy.float32)
        products = choose_products(self.place["precision"])
        return 2 * SIDE**3 / min(self._seconds(lambda: products.multiply(a, a, out)) for _ in range(TRIES))

    def copy(self) -> float:
        """Bytes a second, read and written, of the fastest of some copies from the GPU's memory to itself."""
        a, b = (cupy.zeros(BYTES, cupy.uint8) for _ in range(2))
        return 2 * BYTES / min(self._seconds(lambda: cupy.copyto(b, a)) for _ in range(TRIES))

    def _seconds(self, act) -> float:
        with self.backend.stream:
            begin, end = cupy.cuda.Event(), cupy.cuda.Event()
            begin.record()
            act()
            end.record()
            end.synchronize()
            return cupy.cuda.get_elapsed_time(begin, end) / 1000


if __name__ == "__main__":
    worker.serve(CldlGpu)
