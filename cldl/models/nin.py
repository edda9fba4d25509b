"""Network in Network (Lin, Chen and Yan, ICLR 2014), and where CLDL's classifiers look at it."""

from __future__ import annotations

from dataclasses import dataclass

from cldl.models.tapped import check_initialisation, tapped
from engine.errors import UserError
from engine.initialisers import constant, he, normal
from engine.typing import Shape
from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.flatten import Flatten
from layers.layer import Layer
from layers.linear import Linear
from layers.network import Network
from layers.pooling import GlobalAvgPool, MaxPool2d
from layers.relu import ReLU
from layers.sequential import Sequential

LOWER = {"map": Flatten, "mean": GlobalAvgPool}  # what a lower classifier sees
TAPS = ("pool2", "pool1", "relu3", "relu2")  # where the second, third, fourth and fifth classifier look
Triple = tuple[float, float, float]

FIVE: tuple[Triple, Triple, Triple] = ((0.05, 0.05, 0.05), (0.05, 0.05, 0.05), (0.05, 0.05, 0.05))


@dataclass(frozen=True)
class Nin:
    """What tells one Network in Network from another: three blocks of a convolution and two 1x1 convolutions."""

    image: Shape  # (H, W, C)
    outputs: tuple[tuple[int, int, int], ...]  # of the three convolutions of each block
    kernels: tuple[int, int, int]  # of each block's first convolution
    deviations: tuple[Triple, Triple, Triple] = FIVE  # N(0, d^2), of the published weights


NINS = {
    "mnist": Nin((28, 28, 1), ((96, 64, 48), (128, 96, 48), (128, 96, 10)), (5, 5, 5)),
    "cifar100": Nin(
        (32, 32, 3),
        ((192, 160, 96), (192, 192, 192), (192, 192, 100)),
        (5, 5, 3),
        ((0.001, 0.01, 0.01), (0.05, 0.05, 0.05), (0.05, 0.05, 0.05)),
    ),
}


def nin(
    name: str,
    classifiers: int = 3,
    *,
    initialisation: str = "he",
    dropout: float = 0.5,
    top_rate: float = 1.0,
    relu_on_scores: bool = True,
    lower: str = "map",
    lower_rate: float = 1.0,
) -> Network:
    """Network in Network for "mnist" (28 x 28 x 1, 10 classes) or "cifar100" (32 x 32 x 3, 100), with 1 to 5 classifiers.

    Source: the authors' cuda-convnet definitions (mavenlin/cuda-convnet, NIN/mnist_def and NIN/cifar-100_def): mlpconv blocks
    with the windows and outputs of `NINS`, max pooling 3/2 in ceil mode (28 to 14 to 7, 32 to 16 to 8), dropout 0.5 after both
    poolings, a ReLU on the scores too, and their mean over the image as the top classifier. `relu_on_scores=False` leaves
    that last ReLU out, as the authors of DSN do in their definition of NIN (s9xie/DSN, best_cifar10_9.65): under it a
    class whose score is 0 for all samples never learns again. `initialisation="published"` draws the weights as the authors
    do, from N(0, d^2) with the deviations of `NINS`; "he" does not depend on them.

    CLDL's paper leaves the place and the form of the lower classifiers open. Inferred: at the end of a block, behind its
    pooling and before the dropout, one linear layer on the whole map, as the authors of DSN put theirs, with a smaller
    learning rate (`lower_rate`), as they do too. `lower="mean"` puts it on the map's mean instead, as NIN does at the top;
    there the bottom classifier starves (docs/results.md). The weights begin at 0: before it has seen an image, a lower
    classifier prefers no class.

    With one classifier only the top one is left (NIN itself); the second stands on block 2 and the third on block 1. The
    poster's second figure goes on to five; inferred: the fourth looks at the first convolution of block 3, behind its ReLU,
    and the fifth at that of block 2, so that each new one stands between two that are there.
    """
    if not 1 <= classifiers <= 1 + len(TAPS):
        raise UserError(f"NIN was asked for {classifiers} classifiers; it has places for 1 to {1 + len(TAPS)}.")
    if lower not in LOWER:
        raise UserError(f"the lower classifiers' form {lower!r} is unknown; choose one of {', '.join(LOWER)}.")
    layers, places = trunk(name, initialisation=initialisation, dropout=dropout, top_rate=top_rate)
    if not relu_on_scores:
        layers.pop()

    def classifier(shape: Shape) -> Layer:
        seen = LOWER[lower]()
        (features,) = seen.output_shape(shape)
        return Sequential(seen, Linear(features, NINS[name].outputs[-1][-1], weight=constant(0), lr_mult=lower_rate))

    tap = [places[place] for place in TAPS[: classifiers - 1]]
    return tapped(layers, tap, classifier, GlobalAvgPool(), NINS[name].image)


def trunk(
    name: str, *, initialisation: str, dropout: float, top_rate: float, deviations: tuple[Triple, ...] | None = None
) -> tuple[list[Layer], dict[str, int]]:
    """NIN's layers from the image to the K maps of scores, and for each named place the number of layers before it.

    The places, for blocks b = 1, 2, 3: "conv" behind the first convolution, "relu" behind its ReLU, "pool" behind the pooling.
    A block: a convolution that keeps the image's size and two 1x1 convolutions, a ReLU after each (Lin et al., ICLR 2014,
    section 3.1); `top_rate` multiplies the learning rate of the last one.
    """
    if name not in NINS:
        raise UserError(f"there is no NIN for {name!r}; choose one of {', '.join(NINS)}.")
    check_initialisation(initialisation)
    form = NINS[name]
    inputs, layers, places = form.image[-1], list[Layer](), {}
    rows = zip(form.outputs, form.kernels, deviations or form.deviations, strict=True)
    for block, ((a, b, c), kernel, published) in enumerate(rows, 1):
        weights = [he if initialisation == "he" else normal(deviation) for deviation in published]
        top = block == 3
        if block > 1:
            layers.append(Dropout(dropout))
        layers.append(Conv2d(inputs, a, kernel, padding=kernel // 2, weight=weights[0]))
        places[f"conv{block}"], places[f"relu{block}"] = len(layers), len(layers) + 1
        layers += [ReLU(), Conv2d(a, b, 1, weight=weights[1]), ReLU()]
        layers += [Conv2d(b, c, 1, weight=weights[2], lr_mult=top_rate if top else 1.0), ReLU()]
        if not top:
            layers.append(MaxPool2d(3, 2, ceil=True))
            places[f"pool{block}"] = len(layers)
        inputs = c
    return layers, places
