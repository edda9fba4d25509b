"""The networks of the poster, as their authors published them."""

from __future__ import annotations

from dataclasses import dataclass

from cldl.network import Network
from engine.errors import UserError
from engine.parameters import Initialiser, constant, he, normal
from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.flatten import Flatten
from layers.layer import Layer, Shape
from layers.linear import Linear
from layers.pooling import GlobalAvgPool, MaxPool2d
from layers.relu import ReLU
from layers.sequential import Sequential

LOWER = {"map": Flatten, "mean": GlobalAvgPool}  # what a lower classifier sees
INITIALISERS = ("he", "published")
Triple = tuple[float, float, float]

_FIVE: tuple[Triple, Triple, Triple] = ((0.05, 0.05, 0.05), (0.05, 0.05, 0.05), (0.05, 0.05, 0.05))


@dataclass(frozen=True)
class Nin:
    """What tells one Network in Network from another: three blocks of a convolution and two 1x1 convolutions."""

    image: Shape  # (H, W, C)
    outputs: tuple[tuple[int, int, int], ...]  # of the three convolutions of each block
    kernels: tuple[int, int, int]  # of each block's first convolution
    deviations: tuple[Triple, Triple, Triple] = _FIVE  # N(0, d^2), of the published weights


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
    """Network in Network for "mnist" (28 x 28 x 1, 10 classes) or "cifar100" (32 x 32 x 3, 100), with 1, 2 or 3 classifiers.

    Source: the authors' cuda-convnet definitions (mavenlin/cuda-convnet, NIN/mnist_def and NIN/cifar-100_def): mlpconv blocks
    with the windows and outputs of `NINS`, max pooling 3/2 in ceil mode (28 to 14 to 7, 32 to 16 to 8), dropout 0.5 after both
    poolings, a ReLU on the scores too, and their mean over the image as the top classifier. `relu_on_scores=False` leaves
    that last ReLU out, as the authors of DSN do in their definition of NIN (s9xie/DSN, best_cifar10_9.65): under it a
    class whose score is 0 for all samples never learns again. `initialisation="published"` draws the weights as the authors
    do, from N(0, d^2) with the deviations of `NINS`; "he" does not depend on them.

    CLDL's paper leaves the form of the lower classifiers open. Inferred: at the end of a block, behind its pooling and
    before the dropout, one linear layer on the whole map, as the authors of DSN put theirs, with a smaller learning rate
    (`lower_rate`), as they do too. `lower="mean"` puts it on the map's mean instead, as NIN does at the top; there the
    bottom classifier starves (docs/results.md). The weights begin at 0: before it has seen an image, a lower
    classifier prefers no class. With one classifier only the top one is left (NIN itself); with two, the top
    one and that on block 2.
    """
    if name not in NINS:
        raise UserError(f"there is no NIN for {name!r}; choose one of {', '.join(NINS)}.")
    if classifiers not in (1, 2, 3):
        raise UserError(f"NIN was asked for {classifiers} classifiers; it has three blocks: choose 1, 2 or 3.")
    if initialisation not in INITIALISERS:
        raise UserError(f"the initialisation {initialisation!r} is unknown; choose one of {', '.join(INITIALISERS)}.")
    if lower not in LOWER:
        raise UserError(f"the lower classifiers' form {lower!r} is unknown; choose one of {', '.join(LOWER)}.")
    form = NINS[name]
    inputs, parts = form.image[-1], []
    rows = zip(form.outputs, form.kernels, form.deviations, strict=True)
    for place, (outputs, kernel, deviations) in enumerate(rows):
        weights = [he if initialisation == "he" else normal(deviation) for deviation in deviations]
        top = place == 2
        part = mlpconv(inputs, outputs, kernel, weights, top_rate if top else 1.0)
        parts.append([*([Dropout(dropout)] if place else []), *part, *([] if top else [MaxPool2d(3, 2, ceil=True)])])
        inputs = outputs[-1]
    if not relu_on_scores:
        del parts[-1][-1]
    untapped = 3 - classifiers
    joined = [layer for part in parts[: untapped + 1] for layer in part]
    blocks = [Sequential(*joined), *(Sequential(*part) for part in parts[untapped + 1 :])]
    below: list[Layer] = []
    shape = form.image
    for block in blocks[:-1]:
        shape = block.output_shape(shape)
        seen = LOWER[lower]()
        (features,) = seen.output_shape(shape)
        below.append(Sequential(seen, Linear(features, inputs, weight=constant(0), rate=lower_rate)))
    return Network(blocks, [*below, GlobalAvgPool()], form.image)


def mlpconv(
    inputs: int, outputs: tuple[int, int, int], kernel: int, weights: list[Initialiser], rate: float = 1.0
) -> list[Layer]:
    """A convolution and two 1x1 convolutions, a ReLU after each (Lin et al., ICLR 2014, section 3.1).

    The convolution keeps the image's size; `rate` multiplies the learning rate of the last 1x1 convolution.
    """
    a, b, c = outputs
    return [
        Conv2d(inputs, a, kernel, padding=kernel // 2, weight=weights[0]),
        ReLU(),
        Conv2d(a, b, 1, weight=weights[1]),
        ReLU(),
        Conv2d(b, c, 1, weight=weights[2], rate=rate),
        ReLU(),
    ]
