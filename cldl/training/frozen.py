"""A frozen network with one trainable classifier on top: the features of each image are computed only once.

This applies if every other parameter has the learning rate 0, as in the recipes on features, images are not augmented, and
training is on the CPU. Then a step takes the time of one linear layer, and gradients are needed for that layer only.
"""

from __future__ import annotations

from functools import cached_property

from cldl.objective import Objective
from cldl.training.evaluation import PIECE, Evaluation, compute_logits
from data.dataset import Dataset, Split, is_varied
from data.transforms.augmentation import Augmentation
from data.transforms.preprocessing import Preprocessing
from engine.context import Context
from engine.runtime.backend import Backend
from engine.typing import Array
from layers.linear import Linear
from layers.network import Network
from layers.node import Node


def learning_part(network: Network, dataset: Dataset, augmentation: Augmentation | None, device: str) -> Network:
    """The part that is trained: the classifier on top as a network of its own, with the same parameters, or else the network."""
    top = network.nodes[-1]
    below = [p for node in network.nodes[:-1] for p in node.layer.parameters()]
    if (
        len(network.exits) > 1
        or not isinstance(top.layer, Linear)
        or not below
        or any(p.lr_mult for p in below)
        or augmentation is not None
        or (is_varied(dataset.train) and dataset.train.is_random)
        or device != "cpu"
    ):
        return network
    return Network([Node(top.name, top.layer)], [top.name], (top.layer.weight.shape[0],))


class Features:
    """The outputs of the layers below the classifier for the images of a data set, computed when they are first needed.

    train, test -- (N, D) float32
    """

    def __init__(self, network: Network, dataset: Dataset, preprocessing: Preprocessing, backend: Backend) -> None:
        self._network, self._dataset = network, dataset
        self._preprocessing, self._backend = preprocessing, backend

    @cached_property
    def train(self) -> Array:
        return self._of(self._dataset.train)

    @cached_property
    def test(self) -> Array:
        return self._of(self._dataset.test)

    def evaluate(self, classifier: Network, objective: Objective) -> Evaluation:
        """The classifier on the test images, a piece of them at a time."""
        labels, ctx, pieces = self._dataset.test.labels, Context(), list[Evaluation]()
        ctx.needs_backward = False
        N, size = len(labels), max(1, PIECE // classifier.classes)
        for start in range(0, N, size):
            part = slice(start, start + size)
            logits, _ = classifier.forward(self.test[part], ctx)
            pieces.append(Evaluation.of(logits, labels[part], objective, samples=N))
        return Evaluation.join(pieces)

    def _of(self, split: Split) -> Array:
        *below, top = self._network.nodes
        body = Network(below, top.inputs, self._network.input_shape)
        (features,) = compute_logits(body, split, self._preprocessing, self._backend)
        return features
