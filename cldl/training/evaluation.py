"""What a network predicts on a set of images, and how well."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cldl.inference import softmax
from cldl.loss import CldlResult
from cldl.objective import Objective
from data.dataset import Split, is_varied, read_images
from data.disk.read_ahead import ReadAhead
from data.transforms.preprocessing import Preprocessing
from engine.context import Context
from engine.runtime.backend import Backend
from engine.runtime.cpu import CpuBackend, available_threads
from engine.typing import Array
from layers.network import Network
from layers.relu import ReLU

MANY_CLASSES = 100  # of which the five best are told too
ROWS = 4096  # samples whose classes are ranked at a time
ALIVE_SAMPLES = 512  # images on which a unit must be 0 everywhere to count as dead


@dataclass(frozen=True)
class Evaluation:
    """The logits of M classifiers on N labelled images, and what follows from them.

    logits    -- M arrays (N, K)
    labels    -- (N,)
    objective -- gives the loss and the predictions
    """

    logits: list[Array]
    labels: Array
    objective: Objective

    @cached_property
    def loss(self) -> CldlResult:
        """The loss of these images."""
        return self.objective(self.logits, self.labels)

    @cached_property
    def predictions(self) -> Array:
        """The joint predictions, (N,)."""
        return self.objective.predictions(self.logits)

    @cached_property
    def deciding_exits(self) -> Array:
        """Which classifier decided each prediction, (N,) in 0..M-1."""
        return self.objective.deciding_exits(self.logits, self.predictions)

    @property
    def probabilities(self) -> list[Array]:
        """P^(m), M arrays (N, K)."""
        return [softmax(z) for z in self.logits]

    @property
    def errors(self) -> dict[str, float]:
        """The error in % of each classifier by itself, "1" to "M" from bottom to top, and of the joint prediction, "fused"."""
        errors = {str(m): _error(z.argmax(axis=1), self.labels) for m, z in enumerate(self.logits, 1)}
        return {**errors, "fused": _error(self.predictions, self.labels)}

    def top_errors(self, k: int = 5) -> dict[str, float]:
        """The error in %, by the names of `errors`, where a sample is right if its class is among the k best."""
        N, parts = len(self.labels), []
        for start in range(0, N, ROWS):
            logits, labels = [z[start : start + ROWS] for z in self.logits], self.labels[start : start + ROWS]
            scores = [*logits, self.objective.class_scores(logits)]
            parts.append([_is_among(z, labels, k) for z in scores])
        wrong = 100 * (1 - np.concatenate(parts, axis=1).mean(axis=1))
        return dict(zip((*map(str, range(1, len(self.logits) + 1)), "fused"), wrong.tolist(), strict=True))

    @property
    def shares(self) -> dict[str, float]:
        """The share in % of the samples that each classifier decides."""
        M = len(self.logits)
        return {str(m + 1): float(100 * np.mean(self.deciding_exits == m)) for m in range(M)}

    @property
    def right_shares(self) -> dict[str, float]:
        """The share in % of the samples that each classifier decides, and decides rightly."""
        is_right = self.predictions == self.labels
        return {
            str(m + 1): float(100 * np.mean(is_right & (self.deciding_exits == m))) for m in range(len(self.logits))
        }

    @property
    def companions(self) -> dict[str, float]:
        """The mean of T^(m) over the samples."""
        return {str(m): float(T.mean()) for m, T in enumerate(self.loss.companions, 1)}


def _is_among(scores: Array, labels: Array, k: int) -> Array:
    """Whether each label's score is one of the k highest, (N,) bool; where scores are equal, the label comes last."""
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    return ~((scores >= own).sum(axis=1) > k) & np.isfinite(scores).all(axis=1)


def _error(predictions: Array, labels: Array) -> float:
    return float(100 * np.mean(predictions != labels))


def compute_logits(network: Network, split: Split, preprocessing: Preprocessing, backend: Backend) -> list[Array]:
    """The logits of the M classifiers on all images of a split: M arrays (N, K) float32."""
    logits = [np.empty((len(split), network.classes), np.float32) for _ in network.exits]
    on_gpu = not isinstance(backend, CpuBackend)  # where one thread takes the chunks
    source = ReadAhead(split, available_threads()) if is_varied(split) and on_gpu else split

    def work(ctx: Context, start: int, stop: int) -> None:
        ctx.needs_backward = False
        z, _ = network.forward(preprocessing(_read(source, start, stop, ctx), ctx), ctx)
        for whole, part in zip(logits, z, strict=True):
            whole[start:stop] = ctx.to_host(part)

    backend.run(len(split), work)
    return logits


def dead_units(network: Network, split: Split, preprocessing: Preprocessing, backend: Backend) -> dict[str, int]:
    """For each ReLU, how many of its channels are 0 on all of the first 512 images: they no longer learn."""
    alive: dict[str, list[Array]] = {}

    def work(ctx: Context, start: int, stop: int) -> None:
        ctx.needs_backward = False
        for node, _, y in network.trace(preprocessing(_read(split, start, stop, ctx), ctx), ctx):
            if isinstance(node.layer, ReLU):
                channels: Any = y.reshape(-1, y.shape[-1])  # (n H W, C)
                alive.setdefault(node.name, []).append(ctx.to_host((channels > 0).any(axis=0)))

    backend.run(min(len(split), ALIVE_SAMPLES), work)
    return {name: int(np.sum(~np.any(parts, axis=0))) for name, parts in alive.items()}


def _read(split: Split, start: int, stop: int, ctx: Context) -> Array:
    """The images from start to stop, where the pass computes."""
    if isinstance(split, ReadAhead):
        split.prepare(np.arange(start, stop), np.arange(stop, min(2 * stop - start, len(split))))
    return ctx.to_device(read_images(split, range(start, stop)))
