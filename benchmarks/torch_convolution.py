"""PyTorch's convolution with its ReLU, as a worker that is given one convolution after another. Needs PyTorch alone."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from benchmarks import worker

LAYOUTS = {"default": torch.contiguous_format, "channels_last": torch.channels_last}


class TorchConvolution:
    """One convolution in every memory layout; on one thread seconds are the processor's time, as in benchmarks.convolutions."""

    def __init__(self, folder: Path, threads: str) -> None:
        torch.set_num_threads(int(threads))
        self.clock = time.process_time if threads == "1" else time.perf_counter
        self.versions = {"Python": platform.python_version(), "PyTorch": torch.__version__}
        self.forms: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {}

    def prepare(self, image: list[int], sizes: list[int], window: list[int], groups: int, batch: int) -> None:
        """Take this convolution: of `batch` images (H, W, C), from C to D channels, kernel, stride and padding."""
        self.forms = {name: self._form(layout, image, sizes, window, groups, batch) for name, layout in LAYOUTS.items()}
        self.seconds()

    def seconds(self) -> dict[str, tuple[float, float]]:
        """By layout, seconds of a forward pass in inference, and of one in training with its backward pass."""
        least = worker.least_of_three
        return {name: (least(infer, self.clock), least(step, self.clock)) for name, (infer, step) in self.forms.items()}

    def _form(self, layout, image, sizes, window, groups, batch) -> tuple[Callable[[], object], Callable[[], object]]:
        (H, W, C), form = image, {"memory_format": layout}
        network = nn.Sequential(nn.Conv2d(*sizes, *window, groups=groups), nn.ReLU(inplace=True)).to(**form)
        x = torch.randn(batch, C, H, W).to(**form).requires_grad_()
        dy = torch.randn(network(x).shape).to(**form)

        def infer() -> None:
            with torch.inference_mode():
                network(x)

        def step() -> None:
            x.grad = None
            network.zero_grad()
            network(x).backward(dy)

        return infer, step


if __name__ == "__main__":
    worker.serve(TorchConvolution)
