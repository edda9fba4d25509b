"""A trained network, out of its run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cldl.inference import class_losses, softmax
from cldl.objective import Objective
from cldl.training.evaluation import compute_logits
from data.dataset import ArraySplit, Split
from data.transforms.preprocessing import Preprocessing
from engine.errors import UserError
from engine.parameters import Parameter
from engine.runtime.backend import Backend, make_backend
from engine.typing import Array
from layers.network import Network


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights and its preprocessing: from images to labels.

    >>> model.predict(images)         # (N,): the labels of uint8 images (N, H, W, C)      # doctest: +SKIP
    >>> model.predict_proba(images)   # (N, K)                                             # doctest: +SKIP
    """

    network: Network
    preprocessing: Preprocessing
    objective: Objective
    class_names: tuple[str, ...]
    backend: Backend

    def logits(self, images: Array) -> list[Array]:
        """The logits of the M classifiers, M arrays (N, K) float32; raises UserError for other images than the network's."""
        if images.ndim != 4 or images.shape[1:] != self.network.input_shape or images.dtype != np.uint8:
            raise UserError(
                f"the images are {images.dtype} of shape {images.shape}; N uint8 images of shape "
                f"{self.network.input_shape} are needed: convert them."
            )
        return self.split_logits(ArraySplit(images, np.zeros(len(images), np.int64)))

    def split_logits(self, split: Split) -> list[Array]:
        """The same for a data set's split."""
        return compute_logits(self.network, split, self.preprocessing, self.backend)

    def predict(self, images: Array) -> Array:
        """The labels (N,)."""
        return self.objective.predictions(self.logits(images))

    def predict_proba(self, images: Array) -> Array:
        """Probabilities (N, K) whose largest is the prediction.

        Under CLDL, exp(-L(y)) / sum over y of exp(-L(y)), with L(y) the loss were y the label: the Boltzmann distribution of the
        energy that the prediction minimises (docs/derivation.md, the conditional random field). Otherwise the softmax of the top
        classifier.
        """
        logits = self.logits(images)
        if self.objective.is_ensemble:
            return softmax(-class_losses(logits, self.objective.weights, self.objective.exponent))
        return softmax(logits[-1].astype(np.float64))


def load_weights(parameters: Sequence[Parameter], arrays: dict[str, Array], where: str) -> None:
    """Write the arrays weights/NAME into the parameters of these names; raises UserError unless all are there and fit."""
    for parameter in parameters:
        stored = arrays.get(f"weights/{parameter.name}")
        if stored is None or stored.shape != parameter.shape or stored.dtype != parameter.dtype:
            raise UserError(
                f"{where} does not hold the weights of the network in config.json ({parameter.name} is not there or differs): "
                "restore both files of one run."
            )
        parameter.value[...] = stored


def trained_model(
    network: Network,
    preprocessing: Preprocessing,
    objective: Objective,
    class_names: Sequence[str] | None = None,
    *,
    device: str = "cpu",
    threads: int | None = None,
    precision: str = "float32",
) -> TrainedModel:
    """The model of a network whose weights are set, on a device; classes without names are called by their numbers."""
    names = tuple(class_names or map(str, range(network.classes)))
    backend = make_backend(device, network.parameters(), threads=threads, precision=precision)
    return TrainedModel(network, preprocessing, objective, names, backend)
