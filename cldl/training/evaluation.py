"""What a network predicts on a set of images, and how well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from cldl.inference import softmax
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

MANY_CLASSES = 100  # from so many classes on, top-5 errors are reported too
PIECE = 1 << 22  # logits, of all classifiers, that are evaluated at a time: each of them takes some 80 bytes meanwhile
ALIVE_SAMPLES = 512  # a unit that is 0 on all of so many images counts as dead


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The predictions of M classifiers for N labelled images, and their errors.

    Logits are evaluated piece by piece and not kept. What is kept does not grow with the number of classes: 32 + 48 M bytes per
    image, 9 MB for three classifiers on ImageNet's 50,000 validation images, whose logits take 600 MB.

    labels         -- (N,)
    objective      -- that of the losses and the predictions
    loss           -- the mean loss
    predictions    -- (N,), the joint ones
    deciding_exits -- (N,) in 0..M-1, which classifier decided each of them
    answers        -- (M, N), the class of each classifier's largest logit
    confidences    -- (M, N), the probability that each classifier gives to this class
    on_target      -- (M, N), P^(m)(y*), the probability of the right class
    losses, T      -- (M, N), the l^(m) and the T^(m)
    ranks          -- (M + 1, N), the rank of the right class by the scores of each classifier, and of all jointly: 1 is the best,
                      ties count against it; above K where a score is not finite
    """

    labels: Array
    objective: Objective
    loss: float
    predictions: Array
    deciding_exits: Array
    answers: Array
    confidences: Array
    on_target: Array
    losses: Array
    T: Array
    ranks: Array

    @classmethod
    def of(cls, logits: Sequence[Array], labels: Array, objective: Objective, samples: int | None = None) -> Evaluation:
        """What follows from the logits, M arrays (N, K); `samples` is what the loss is divided by, where these are a piece."""
        images = np.arange(len(labels))
        with np.errstate(invalid="ignore", over="ignore"):  # of logits that are not finite: the loss shows them
            result = objective(logits, labels, samples=samples)
            predictions = objective.predictions(logits)
            P = [softmax(z.astype(np.float64)) for z in logits]
            answers = np.stack([z.argmax(axis=1) for z in logits])
            return cls(
                labels=labels,
                objective=objective,
                loss=result.value,
                predictions=predictions,
                deciding_exits=objective.deciding_exits(logits, predictions),
                answers=answers,
                confidences=np.stack([p[images, best] for p, best in zip(P, answers, strict=True)]),
                on_target=np.stack([p[images, labels] for p in P]),
                losses=result.per_classifier,
                T=result.companions,
                ranks=np.stack([_ranks(z, labels) for z in (*logits, objective.class_scores(logits))]),
            )

    @classmethod
    def join(cls, pieces: Sequence[Evaluation]) -> Evaluation:
        """The evaluation of all images, from those of its pieces, whose losses were divided by their number."""
        arrays = {
            field.name: np.concatenate([getattr(piece, field.name) for piece in pieces], axis=-1)
            for field in fields(cls)
            if field.name not in ("objective", "loss")
        }
        return cls(objective=pieces[0].objective, loss=sum(piece.loss for piece in pieces), **arrays)

    @property
    def classifiers(self) -> int:
        """M, their number."""
        return len(self.answers)

    @property
    def errors(self) -> dict[str, float]:
        """The error in % of each classifier by itself, "1" to "M" from bottom to top, and of the joint prediction, "fused"."""
        return self._by_name([*(self.answers != self.labels), self.predictions != self.labels])

    @property
    def apart(self) -> dict[str, int]:
        """By classifier, the samples that either it or the joint prediction gets right, and not both."""
        is_apart = (self.answers == self.labels) != (self.predictions == self.labels)
        return {str(m): int(row.sum()) for m, row in enumerate(is_apart, 1)}

    def top_errors(self, k: int = 5) -> dict[str, float]:
        """The error in %, by the names of `errors`, where a sample is right if its class is among the k best."""
        return self._by_name(list(self.ranks > k))

    @property
    def shares(self) -> dict[str, float]:
        """The share in % of the samples that each classifier decides."""
        return self._by_name([self.deciding_exits == m for m in range(self.classifiers)])

    @property
    def right_shares(self) -> dict[str, float]:
        """The share in % of the samples that each classifier decides, and decides rightly."""
        is_right = self.predictions == self.labels
        return self._by_name([is_right & (self.deciding_exits == m) for m in range(self.classifiers)])

    @property
    def companions(self) -> dict[str, float]:
        """The mean of T^(m) over the samples."""
        return {str(m): float(T.mean()) for m, T in enumerate(self.T, 1)}

    def _by_name(self, rows: Sequence[Array]) -> dict[str, float]:
        """In %, how often each row is true: those of the classifiers, and the joint one's."""
        names = (*map(str, range(1, self.classifiers + 1)), "fused")
        return {name: float(100 * np.mean(row)) for name, row in zip(names, rows, strict=False)}


def _ranks(scores: Array, labels: Array) -> Array:
    """How many scores are at least as high as each label's, (N,); one more than there are classes where not all are finite."""
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    return np.where(np.isfinite(scores).all(axis=1), (scores >= own).sum(axis=1), scores.shape[1] + 1)


def compute_logits(network: Network, split: Split, preprocessing: Preprocessing, backend: Backend) -> list[Array]:
    """The logits of the M classifiers on all images of a split, of which each rank computes a slice: M arrays (N, K) float32."""
    logits = [np.empty((len(split), network.classes), np.float32) for _ in network.exits]
    on_gpu = not isinstance(backend, CpuBackend)  # where one thread takes the chunks
    source = ReadAhead(split, available_threads()) if is_varied(split) and on_gpu else split
    own = backend.comm.share(len(split))

    def work(ctx: Context, start: int, stop: int) -> None:
        ctx.needs_backward = False
        start, stop = start + own.start, stop + own.start
        z, _ = network.forward(preprocessing(_read(source, start, stop, ctx), ctx), ctx)
        for whole, part in zip(logits, z, strict=True):
            whole[start:stop] = ctx.to_host(part)

    backend.run(own.stop - own.start, work)
    backend.comm.gather_rows(*logits)
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
