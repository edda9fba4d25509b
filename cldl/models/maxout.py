"""Maxout networks (Goodfellow, Warde-Farley, Mirza, Courville and Bengio, ICML 2013)."""

from __future__ import annotations

from typing import NamedTuple

from cldl.models.tapped import check_initialisation
from engine.errors import UserError
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
NORM = 1.9365  # of a column


class Hidden(NamedTuple):
    """A hidden layer: the largest of `pieces` convolutions, then of each window of `pool` pixels, 2 apart."""

    channels: int
    pieces: int
    kernel: int
    padding: int
    pool: int
    norm: float = NORM


class Form(NamedTuple):
    """What tells one Maxout network from another."""

    image: Shape
    hidden: tuple[Hidden, ...]
    units: tuple[int, int, float] | None  # of a hidden linear layer: units, pieces, norm
    classes: int


FORMS = {
    "mnist": Form(
        (28, 28, 1),
        (Hidden(48, 2, 8, 0, 4, 0.9), Hidden(48, 2, 8, 3, 4), Hidden(24, 4, 5, 3, 2)),
        None,
        10,
    ),
    "cifar100": Form(
        (32, 32, 3),
        (Hidden(96, 2, 8, 4, 4, 0.9), Hidden(192, 2, 8, 3, 4), Hidden(192, 2, 5, 3, 2)),
        (500, 5, 1.9),
        100,
    ),
}


def maxout(
    name: str,
    *,
    initialisation: str = "published",
    dropout: float = 0.5,
    input_dropout: float = 0.2,
    convolution_rate: float = 1.0,
) -> Network:
    """The Maxout network for "mnist" or "cifar100", with one classifier.

    Source: lisa-lab/pylearn2, scripts/papers/maxout, mnist.yaml and cifar10_no_aug.yaml: `FORMS`. The image is dropped out at
    0.2 without making up for it, the input of every other layer at 0.5; weights are drawn from U(-0.005, 0.005); no kernel
    or column grows beyond its norm. `convolution_rate` multiplies the learning rate of the convolutions (0.05 for CIFAR-10).
    The largest piece is taken before the pooling; both are maxima, so their order changes nothing.

    Inferred for "cifar100": the network for CIFAR-10 with 100 outputs; the authors' own was never published. Inferred for
    "mnist": one bias a channel, as for CIFAR-10; mnist.yaml does not tie a channel's biases.
    """
    if name not in FORMS:
        raise UserError(f"there is no Maxout network for {name!r}; choose one of {', '.join(FORMS)}.")
    check_initialisation(initialisation)
    form, weight = FORMS[name], he if initialisation == "he" else uniform(IRANGE)
    layers: list[Layer] = [Dropout(input_dropout, scale=1.0)]
    inputs = form.image[-1]
    for h in form.hidden:
        outputs, rate = h.channels * h.pieces, convolution_rate
        conv = Conv2d(inputs, outputs, h.kernel, padding=h.padding, weight=weight, lr_mult=rate, max_norm=h.norm)
        layers += [conv, Maxout(h.pieces), MaxPool2d(h.pool, 2, ceil=True), Dropout(dropout)]
        inputs = h.channels
    layers.append(Flatten())
    (features,) = Sequential(*layers).output_shape(form.image)
    if form.units:
        units, pieces, norm = form.units
        layers += [Linear(features, units * pieces, weight=weight, max_norm=norm), Maxout(pieces), Dropout(dropout)]
        features = units
    top = Linear(features, form.classes, weight=weight, max_norm=NORM)
    return Network([Sequential(*layers)], [top], form.image)
