"""This engine, as a worker."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import worker
from benchmarks.networks import recipe
from cldl.reporting.explain import endless_steps, matmul_peak
from cldl.training.trainer import Trainer
from data.dataset import Dataset, read_images
from engine.context import Context
from engine.device import copy_from_host
from engine.parameters import cast
from engine.random import Key
from engine.runtime.cpu import CHUNK
from layers.dropout import Dropout


class CldlEngine:
    """A trainer on the job's images; `place` is the Trainer's device and precision, where it is not the CPU."""

    def __init__(self, folder: Path, **place: str) -> None:
        self.place: dict[str, Any] = place
        self.folder, self.job = folder, json.loads((folder / "job.json").read_text())
        self.arrays = np.load(folder / "arrays.npz")  # lazy: each access reads the array
        self.versions = {"Python": platform.python_version(), "NumPy": np.__version__}
        self.trainer = self._trainer(len(self.arrays["labels"]))
        self.stream = endless_steps(self.trainer)

    def step(self, count: int) -> list[float]:
        """Seconds of training steps."""
        return worker.seconds_of(lambda: next(self.stream), count)

    def evaluate(self, count: int) -> list[float]:
        """Seconds of forward passes over a batch, from its bytes to the logits."""
        model = self.trainer.model()
        return worker.seconds_of(lambda: model.split_logits(self.trainer.dataset.test), count)

    def memory(self) -> dict[str, int]:
        return worker.memory()

    def peak(self) -> float:
        """FLOP/s of a matrix product on all threads."""
        return matmul_peak(self.job["threads"])

    def check(self, double: bool) -> float:
        """The loss of the first batch without dropout; its gradients go to gradients.npz."""
        trainer = self._trainer(self.job["batch"])
        for node in trainer.network.nodes:
            if isinstance(node.layer, Dropout):
                node.layer.rate = 0.0
        if double:
            loss, gradients = _double(trainer)
        else:
            next(trainer.steps())
            loss, gradients = trainer.metrics.loss / trainer.metrics.samples, trainer.backend.gradients.views
        np.savez(self.folder / "gradients.npz", **{p.name: gradient for p, gradient in gradients.items()})
        return loss

    def _trainer(self, images: int) -> Trainer:
        batch = self.job["batch"]
        chosen = recipe(self.job["network"], batch, self.job["size"])
        pixels, labels = (self.arrays[name][:images] for name in ("images", "labels"))
        names = tuple(map(str, range(chosen.build_network().classes)))
        data = Dataset.from_arrays("noise", pixels, labels, pixels[:batch], labels[:batch], names)
        trainer = Trainer.from_recipe(chosen, data, threads=self.job["threads"], **self.place)
        for parameter in trainer.network.parameters():
            copy_from_host(parameter.value, self.arrays[parameter.name])
            parameter.touch()
        return trainer


def _double(trainer: Trainer) -> tuple[float, dict]:
    """The loss and gradients in float64."""
    network, split = trainer.network, trainer.dataset.train
    cast(network.parameters(), np.float64)
    ctx, loss, N = Context(training=True), 0.0, len(split)
    images = read_images(split)
    for start in range(0, N, CHUNK):
        ctx.restart(training=True, key=Key(0), first_sample=start)
        x = trainer.preprocessing(images[start : start + CHUNK], ctx).astype(np.float64)
        logits, cache = network.forward(x, ctx)
        result = trainer.objective(logits, split.labels[start : start + CHUNK], samples=N)
        network.backward(result.gradients, cache, ctx, need_dx=False)
        loss += result.value
    return loss, ctx.gradients()


if __name__ == "__main__":
    worker.serve(CldlEngine)
