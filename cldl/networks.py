"""The networks of the poster, as their authors published them."""

from __future__ import annotations

from cldl.network import Network
from engine.errors import UserError
from engine.parameters import Initialiser, constant, he, normal
from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.flatten import Flatten
from layers.layer import Layer
from layers.linear import Linear
from layers.pooling import GlobalAvgPool, MaxPool2d
from layers.relu import ReLU
from layers.sequential import Sequential

LOWER = {"map": Flatten, "mean": GlobalAvgPool}  # what a lower classifier sees
INITIALISERS: dict[str, Initialiser] = {"he": he, "normal": normal(0.05)}


def mlpconv(inputs: int, outputs: tuple[int, int, int], kernel: int, weight: Initialiser, rate: float = 1.0) -> list:
    """A convolution and two 1x1 convolutions, a ReLU after each (Lin et al., ICLR 2014, section 3.1).

    The convolution keeps the image's size; `rate` multiplies the learning rate of the last 1x1 convolution.
    """
    a, b, c = outputs
    return [
        Conv2d(inputs, a, kernel, padding=kernel // 2, weight=weight),
        ReLU(),
        Conv2d(a, b, 1, weight=weight),
        ReLU(),
        Conv2d(b, c, 1, weight=weight, rate=rate),
        ReLU(),
    ]


def nin_mnist(
    classifiers: int = 3,
    *,
    initialisation: str = "he",
    dropout: float = 0.5,
    top_rate: float = 1.0,
    relu_on_scores: bool = True,
    lower: str = "map",
    lower_rate: float = 1.0,
) -> Network:
    """Network in Network for MNIST: 28 x 28 pixels, 10 classes, with 1, 2 or 3 classifiers.

    Source: the authors' cuda-convnet definition (mavenlin/cuda-convnet, NIN/mnist_def): mlpconv blocks of 96/64/48,
    128/96/48 and 128/96/10 outputs, 5x5 windows, max pooling 3/2 in ceil mode (28 to 14 to 7), dropout 0.5 after both
    poolings, a ReLU on the scores too, and their mean over the image as the top classifier. `relu_on_scores=False` leaves
    that last ReLU out, as the authors of DSN do in their definition of NIN (s9xie/DSN, best_cifar10_9.65): under it a
    class whose score is 0 for all samples never learns again.

    CLDL's paper leaves the form of the lower classifiers open. Inferred: at the end of a block, behind its pooling and
    before the dropout, one linear layer on the whole map, as the authors of DSN put theirs, with a smaller learning rate
    (`lower_rate`), as they do too. `lower="mean"` puts it on the map's mean instead, as NIN does at the top; there the
    bottom classifier starves (docs/results.md). The weights begin at 0: before it has seen an image, a lower
    classifier prefers no class. With one classifier only the top one is left (NIN itself); with two, the top
    one and that on block 2.
    """
    if classifiers not in (1, 2, 3):
        raise UserError(
            f"NIN for MNIST was asked for {classifiers} classifiers; it has three blocks: choose 1, 2 or 3."
        )
    if initialisation not in INITIALISERS:
        raise UserError(f"the initialisation {initialisation!r} is unknown; choose one of {', '.join(INITIALISERS)}.")
    if lower not in LOWER:
        raise UserError(f"the lower classifiers' form {lower!r} is unknown; choose one of {', '.join(LOWER)}.")
    weight = INITIALISERS[initialisation]
    pool = MaxPool2d(3, 2, ceil=True)
    parts = [
        [*mlpconv(1, (96, 64, 48), 5, weight), pool],
        [Dropout(dropout), *mlpconv(48, (128, 96, 48), 5, weight), pool],
        [Dropout(dropout), *mlpconv(48, (128, 96, 10), 5, weight, top_rate)],
    ]
    if not relu_on_scores:
        del parts[-1][-1]
    untapped = 3 - classifiers
    joined = [layer for part in parts[: untapped + 1] for layer in part]
    blocks = [Sequential(*joined), *(Sequential(*part) for part in parts[untapped + 1 :])]
    sides = (14, 7)[untapped:]  # of the maps that the lower classifiers see
    below: list[Layer] = [
        Sequential(
            LOWER[lower](), Linear(48 * (s * s if lower == "map" else 1), 10, weight=constant(0), rate=lower_rate)
        )
        for s in sides
    ]
    return Network(blocks, [*below, GlobalAvgPool()], (28, 28, 1))
