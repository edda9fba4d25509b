"""Maxout networks (Goodfellow, Warde-Farley, Mirza, Courville and Bengio, ICML 2013)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cldl.models.heads import attach_heads, check_initialisation, check_task
from engine.initialisers import he, uniform
from engine.typing import Shape
from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.flatten import Flatten
from layers.layer import Layer
from layers.linear import Linear
from layers.maxout import Maxout
from layers.network import Network
from layers.pooling import MaxPool2d
from layers.sequential import Sequential

IRANGE = 0.005
MAX_NORM = 1.9365  # of a column


class Hidden(NamedTuple):
    """A hidden layer: the largest of `pieces` convolutions, then of each window of `pool` pixels, 2 apart."""

    channels: int
    pieces: int
    kernel: int
    padding: int
    pool: int
    max_norm: float = MAX_NORM


@dataclass(frozen=True)
class MaxoutDefinition:
    """A published Maxout network."""

    hidden: tuple[Hidden, ...]
    units: tuple[int, int, float] | None = None  # of a hidden linear layer: units, pieces, max_norm


# lisa-lab/pylearn2, scripts/papers/maxout, mnist.yaml and cifar10_no_aug.yaml
MAXOUT_MNIST = MaxoutDefinition((Hidden(48, 2, 8, 0, 4, 0.9), Hidden(48, 2, 8, 3, 4), Hidden(24, 4, 5, 3, 2)))
MAXOUT_CIFAR = MaxoutDefinition(
    (Hidden(96, 2, 8, 4, 4, 0.9), Hidden(192, 2, 8, 3, 4), Hidden(192, 2, 5, 3, 2)), (500, 5, 1.9)
)


def maxout(
    definition: MaxoutDefinition,
    image: Shape,
    classes: int,
    *,
    initialisation: str = "published",
    dropout: float = 0.5,
    input_dropout: float = 0.2,
    convolution_lr_mult: float = 1.0,
) -> Network:
    """A Maxout network with one classifier, for images (H, W, C) of K classes.

    Source: `MAXOUT_MNIST`, `MAXOUT_CIFAR`. The image is dropped out at 0.2 without making up for it, the input of every other
    layer at 0.5; weights are drawn from U(-0.005, 0.005); no kernel or column grows beyond its `max_norm`.
    `convolution_lr_mult` multiplies the learning rate of the convolutions (0.05 for CIFAR-10). The largest piece is taken before
    the pooling; both are maxima, so their order changes nothing.

    Inferred for CIFAR-100: the network for CIFAR-10 with 100 outputs; the authors' own was never published. Inferred for
    MNIST: one bias a channel, as for CIFAR-10; mnist.yaml does not tie a channel's biases.
    """
    check_task(image, classes)
    check_initialisation(initialisation)
    weight = he if initialisation == "he" else uniform(IRANGE)
    layers: list[tuple[str, Layer]] = [("dropout0", Dropout(input_dropout, scale=1.0))]
    inputs = image[-1]
    for i, h in enumerate(definition.hidden, 1):
        conv = Conv2d(
            inputs,
            h.channels * h.pieces,
            h.kernel,
            padding=h.padding,
            weight=weight,
            lr_mult=convolution_lr_mult,
            max_norm=h.max_norm,
        )
        layers += [(f"conv{i}", conv), (f"maxout{i}", Maxout(h.pieces)), (f"pool{i}", MaxPool2d(h.pool, 2, ceil=True))]
        layers.append((f"dropout{i}", Dropout(dropout)))
        inputs = h.channels
    layers.append(("map", Flatten()))
    (features,) = Sequential(*(layer for _, layer in layers)).output_shape(image)
    if definition.units:
        units, pieces, max_norm = definition.units
        layers.append(("linear4", Linear(features, units * pieces, weight=weight, max_norm=max_norm)))
        layers += [("maxout4", Maxout(pieces)), ("dropout4", Dropout(dropout))]
        features = units
    top = [("linear", Linear(features, classes, weight=weight, max_norm=MAX_NORM))]
    return attach_heads(layers, (), lambda shape: (), top, image)
