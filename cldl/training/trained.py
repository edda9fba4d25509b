"""A trained network with its preprocessing, classes and rule of prediction: what it takes to classify images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cldl.exits import ExitRule
from cldl.inference import softmax
from cldl.objective import Objective
from cldl.training.dense import dense_logits
from cldl.training.evaluation import PIECE, Evaluation, compute_logits
from cldl.training.seen import Seen
from data.dataset import ArraySplit, Split, VariedSplit, part_of, read_images
from data.floats import FloatSplit, Standardise
from data.transforms.preprocessing import Preprocessing
from engine.context import Context
from engine.errors import UserError
from engine.runtime.backend import Backend
from engine.runtime.cpu import CHUNK
from engine.typing import Array
from layers.in_turn import forward_in_turn
from layers.network import Network

TINY = np.finfo(np.float32).tiny  # the least probability of which a logarithm is taken


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """Classifies uint8 images (N, H, W, C), or floats if it was trained on floats: labels, probabilities, logits.

    model = Run.open(folder).model()    # of a run that was saved; trainer.model(): of a training in this process
    model.predict(images)               # (N,) labels; their names: [model.class_names[k] for k in labels]
    model.predict_proba(images)         # (N, K)
    model.logits(images)                # M arrays (N, K), one of each classifier, from the bottom to the top
    """

    network: Network
    objective: Objective
    preprocessing: Preprocessing
    backend: Backend
    class_names: tuple[str, ...]

    def logits(self, images: Array) -> list[Array]:
        """The logits of the M classifiers, M arrays (N, K) float32; raises UserError for images of another form."""
        images = np.asarray(images)
        labels = np.zeros(images.shape[:1], np.int64)  # a split has labels; these are not read
        split = (
            FloatSplit(images, labels) if isinstance(self.preprocessing, Standardise) else ArraySplit(images, labels)
        )
        if split.shape != tuple(self.network.input_shape):
            raise UserError(
                f"images have shape {split.shape}; the network takes {tuple(self.network.input_shape)}: resize them."
            )
        return self.split_logits(split)

    def predict(self, images: Array) -> Array:
        """The labels (N,), as the objective predicts them: under CLDL, by all classifiers jointly."""
        return self.objective.predictions(self.logits(images))

    def predict_proba(self, images: Array) -> Array:
        """The probability of each class, (N, K), of which the predicted one is the largest; see `Objective.probabilities`."""
        return self.objective.probabilities(self.logits(images))

    def evaluate(self, split: Split, crops: int = 1, *, scales: Sequence[int] = (), dense: bool = False) -> Evaluation:
        """Losses, errors and predictions on a split of a data set; crops, scales and dense as of `cldl.training.seen.Seen`.

        Photographs can be seen several times: the classifiers' probabilities are averaged, and their logarithms taken as logits
        (Krizhevsky et al., NIPS 2012, section 4.1); hinge losses' logits are averaged themselves. Whatever the split's size, no
        more than `cldl.training.evaluation.PIECE` logits of a classifier are held.

        Raises:    UserError where images cannot be seen so.
        """
        seen = Seen(crops, tuple(scales), dense)
        if seen.is_once:
            return self._in_pieces(split, self.split_logits)
        photos = seen.check(split)
        if dense:
            return self._in_pieces(photos, lambda part: self._mean(self._dense_logits(part, seen)))
        return self._in_pieces(photos, lambda part: self._mean(map(self.split_logits, seen.splits(part))))

    def in_turn(self, split: Split, rule: ExitRule) -> tuple[list[Array], Array]:
        """The logits where each image came to, M arrays (N, K), else NaN, and the exit at which it left, (N,) in 0..M-1.

        The layers above that exit are not computed for it (see `layers.in_turn`).
        """
        N, M = len(split), len(self.network.exits)
        logits, left_at = [np.empty((N, self.network.classes), np.float32) for _ in range(M)], np.empty(N, np.int64)

        def work(ctx: Context, start: int, stop: int) -> None:
            x = self.preprocessing(ctx.to_device(read_images(split, range(start, stop))), ctx)
            parts, left_at[start:stop] = forward_in_turn(self.network, x, ctx, rule.leaves)
            for whole, part in zip(logits, parts, strict=True):
                whole[start:stop] = part

        self.backend.run(N, work)
        return logits, left_at

    def split_logits(self, split: Split) -> list[Array]:
        """The logits of the M classifiers on all images of a split, M arrays (N, K) float32."""
        return compute_logits(self.network, split, self.preprocessing, self.backend)

    def _in_pieces(self, split: Split, logits: Callable[[Any], list[Array]]) -> Evaluation:
        """The evaluation of a split, a piece of its images at a time."""
        N, each = len(split), len(self.network.exits) * self.network.classes
        chunks = CHUNK * self.backend.threads * self.backend.comm.size  # images that are computed at the same time
        size, pieces = max(1, PIECE // each // chunks) * chunks, list[Evaluation]()
        for start in range(0, N, size):
            part = split if size >= N else part_of(split, start, start + size)
            pieces.append(Evaluation.of(logits(part), part.labels, self.objective, samples=N))
        return Evaluation.join(pieces)

    def _dense_logits(self, split: VariedSplit, seen: Seen) -> Iterator[list[Array]]:
        """The logits on the whole images of a split, as often as they are seen."""
        for scaled, mirrored in seen.whole(split):
            yield dense_logits(self.network, scaled, mirrored, self.preprocessing, self.backend)

    def _mean(self, every: Iterable[list[Array]]) -> list[Array]:
        """The logits of the mean of the predictions."""
        hinge, total, count = self.objective.loss == "hinge", list[Array](), 0
        for logits in every:
            parts = [z if hinge else softmax(z) for z in logits]
            total = [a + b for a, b in zip(total, parts, strict=True)] if total else parts
            count += 1
        return [z / count if hinge else np.log(np.maximum(z / count, TINY)) for z in total]


def load_weights(network: Network, arrays: Mapping[str, Array], checkpoint: Path) -> None:
    """Copy the weights in the arrays of a checkpoint to the network.

    Raises:    UserError where they are another network's.
    """
    for parameter in network.parameters():
        stored = arrays.get(f"weights/{parameter.name}")
        if stored is None or stored.shape != parameter.shape or stored.dtype != parameter.dtype:
            raise UserError(
                f"{checkpoint} does not hold the weights of the network in config.json "
                f"({parameter.name} is not there or differs): restore both files of one run."
            )
        parameter.value[...] = stored
        parameter.touch()
