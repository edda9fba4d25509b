"""PyTorch on a GPU, as a worker, channels last: `python -m benchmarks.torch_gpu FOLDER eager|compiled PRECISION`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from benchmarks import worker
from benchmarks.torch_engine import TorchEngine, cldl_loss


class TorchGpu(TorchEngine):
    """Seconds by CUDA events; compiled with CUDA graphs; a step ends when its loss is on the CPU."""

    device = "cuda"
    compiling: ClassVar[dict[str, str]] = {"mode": "reduce-overhead"}

    def __init__(self, folder: Path, mode: str, precision: str) -> None:
        self.half = precision == "bf16"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "float32"
        torch.backends.cudnn.benchmark = True
        super().__init__(folder, "channels_last", mode)

    def step(self, count: int) -> list[float]:
        self.network.train()
        return [self._seconds() for _ in range(count)]

    def _seconds(self) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        self._step()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1000

    def _loss_of(self, x: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=self.half):
            logits = self.network(x)
        return cldl_loss([z.float() for z in logits], labels, self.weights, self.job["exponent"])


if __name__ == "__main__":
    worker.serve(TorchGpu)
