"""PyTorch, as a worker: the job's network, CLDL's loss, the optimiser. Needs PyTorch and NumPy, nothing of this engine."""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import worker

LAYERS: dict[str, Callable[[dict], nn.Module]] = {
    "Conv2d": lambda s: nn.Conv2d(
        s["inputs"], s["outputs"], s["kernel"], s["stride"], s["padding"], groups=s["groups"]
    ),
    "MaxPool2d": lambda s: nn.MaxPool2d(s["kernel"], s["stride"], s["padding"], ceil_mode=s["ceil"]),
    "AvgPool2d": lambda s: nn.AvgPool2d(s["kernel"], s["stride"], s["padding"], ceil_mode=s["ceil"]),
    "LocalResponseNorm": lambda s: nn.LocalResponseNorm(s["size"], s["alpha"], s["beta"], s["k"]),
    "Concat": lambda s: Concat(),
    "Linear": lambda s: nn.Linear(s["inputs"], s["outputs"]),
    "Dropout": lambda s: nn.Dropout(s["rate"]),
    "ReLU": lambda s: nn.ReLU(inplace=True),
    "Flatten": lambda s: FlattenChannelsLast(),
    "GlobalAvgPool": lambda s: GlobalAvgPool(),
}


class FlattenChannelsLast(nn.Module):
    """(N, C, H, W) to (N, H W C), the order of the job's weights; with channels last nothing is moved."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Concat(nn.Module):
    """The channels side by side."""

    def forward(self, *x: Tensor) -> Tensor:
        return torch.cat(x, 1)


class GlobalAvgPool(nn.Module):
    """The mean of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Network(nn.Module):
    """The job's nodes, each a layer on the outputs of earlier ones, and its exits.

    An output is freed once its last consumer has run, as in a hand-written network.
    """

    def __init__(self, layers: list[dict], exits: list[str]) -> None:
        super().__init__()
        self.named = {spec["name"]: LAYERS[spec["kind"]](spec) for spec in layers}
        self.layers = nn.ModuleList(self.named.values())
        self.sources = [(spec["name"], spec["sources"]) for spec in layers]
        self.exits = exits
        last = {name: i for i, spec in enumerate(layers) for name in spec["sources"]}
        self.over = [[n for n, j in last.items() if j == i and n not in exits] for i in range(len(layers))]

    def forward(self, x: Tensor) -> list[Tensor]:
        h = {"x": x}
        del x
        for layer, (name, sources), over in zip(self.layers, self.sources, self.over):  # noqa: B905 - one a layer
            h[name] = layer(*[h[source] for source in sources])
            for source in over:
                del h[source]
        return [h[name] for name in self.exits]

    def parameter(self, name: str) -> nn.Parameter:
        """The parameter conv1.weight."""
        layer, _, own = name.rpartition(".")
        return getattr(self.named[layer], own)


def cldl_loss(logits: list[Tensor], labels: Tensor, weights: Tensor, exponent: float) -> Tensor:
    """The mean over the samples of sum_m lambda_m C^(m) T^(m), from margins, as in cldl/loss.py."""
    target = labels[:, None]
    margins = torch.stack(  # (M, N)
        [z.gather(1, target)[:, 0] - z.scatter(1, target, -torch.inf).logsumexp(1) for z in logits]
    )
    C = functional.softplus(-margins, threshold=50)
    log_q = -functional.softplus(margins, threshold=50)
    T = (exponent * (log_q.sum(0) - log_q)).exp()
    return (weights[:, None] * C * T).sum(0).mean()


class TorchEngine:
    """A network in training: in the memory layout "default" or "channels_last", "eager" or "compiled"."""

    device = "cpu"
    compiling: ClassVar[dict[str, str]] = {}  # options of torch.compile

    def __init__(self, folder: Path, layout: str = "default", mode: str = "eager") -> None:
        self.folder, self.job = folder, json.loads((folder / "job.json").read_text())
        torch.set_num_threads(self.job["threads"])
        torch.manual_seed(0)
        self.versions = {"Python": platform.python_version(), "PyTorch": torch.__version__}
        self.arrays = np.load(folder / "arrays.npz")  # lazy: each access reads the array
        self.images, self.labels = (
            torch.from_numpy(self.arrays[name]).to(self.device) for name in ("images", "labels")
        )
        self.format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        self.network = self._network()
        self.weights = torch.tensor(self.job["weights"], device=self.device)
        self.optimiser = self._optimiser()
        self.batches = torch.randperm(len(self.labels), device=self.device).split(self.job["batch"])
        self.turn = 0
        compile_ = functools.partial(torch.compile, **self.compiling)
        compiled = compile_ if mode == "compiled" else lambda function: function
        self.loss_of, self.answer = compiled(self._loss_of), compiled(self.network)

    def step(self, count: int) -> list[float]:
        """Seconds of training steps."""
        self.network.train()
        return worker.seconds_of(self._step, count)

    def evaluate(self, count: int) -> list[float]:
        """Seconds of forward passes over a batch, from its bytes to the logits."""
        self.network.eval()
        with torch.inference_mode():
            return worker.seconds_of(lambda: self.answer(self._input(slice(self.job["batch"]))), count)

    def memory(self) -> dict[str, int]:
        return worker.memory()

    def check(self, double: bool) -> float:
        """The loss of the first batch without dropout; its gradients go to gradients.npz."""
        network = self._network().train()
        for layer in network.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
        real = torch.float64 if double else torch.float32
        batch = slice(self.job["batch"])
        logits = network.to(real)(self._input(batch).to(real))
        loss = cldl_loss(logits, self.labels[batch], self.weights.to(real), self.job["exponent"])
        loss.backward()
        gradients: dict[str, Any] = {name: _ours(network.parameter(name).grad) for name in self.job["multiples"]}
        np.savez(self.folder / "gradients.npz", **gradients)
        return loss.item()

    def _step(self) -> None:
        batch = self.batches[self.turn % len(self.batches)]
        self.turn += 1
        loss = self.loss_of(self._input(batch), self.labels[batch])
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        loss.item()

    def _loss_of(self, x: Tensor, labels: Tensor) -> Tensor:
        return cldl_loss(self.network(x), labels, self.weights, self.job["exponent"])

    def _input(self, batch) -> Tensor:
        """Bytes (N, H, W, C) to floats (N, C, H, W)."""
        x = self.images[batch].to(torch.float32).mul_(self.job["scale"]).sub_(self.job["shift"])
        return x.permute(0, 3, 1, 2).contiguous(memory_format=self.format)

    def _network(self) -> Network:
        network = Network(self.job["layers"], self.job["exits"])
        with torch.no_grad():
            for name in self.job["multiples"]:
                network.parameter(name).copy_(torch.from_numpy(_theirs(self.arrays[name])))
        return network.to(self.device, memory_format=self.format)

    def _optimiser(self) -> torch.optim.Optimizer:
        job = self.job
        groups: dict[tuple, list[nn.Parameter]] = {}
        for name, multiples in job["multiples"].items():
            groups.setdefault(tuple(multiples), []).append(self.network.parameter(name))
        parameters = [
            {"params": group, "lr": job["rate"] * rate, "weight_decay": job["weight_decay"] * decay}
            for (rate, decay), group in groups.items()
        ]
        if job["optimiser"] == "sgd":
            return torch.optim.SGD(parameters, momentum=job["momentum"], nesterov=job["nesterov"], fused=True)
        return torch.optim.AdamW(parameters, betas=(job["beta1"], job["beta2"]), fused=True)


def _theirs(array: np.ndarray) -> np.ndarray:
    """A parameter of the job in PyTorch's order: (k, k, C, D) to (D, C, k, k), (C, D) to (D, C)."""
    return np.ascontiguousarray(
        {4: lambda a: a.transpose(3, 2, 0, 1), 2: lambda a: a.T}.get(array.ndim, np.copy)(array)
    )


def _ours(gradient: Tensor) -> np.ndarray:
    """A gradient in the job's order."""
    array = gradient.cpu().numpy()
    return {4: lambda a: a.transpose(2, 3, 1, 0), 2: lambda a: a.T}.get(array.ndim, np.copy)(array)


if __name__ == "__main__":
    worker.serve(TorchEngine)
