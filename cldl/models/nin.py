"""Network in Network (Lin, Chen and Yan, ICLR 2014), and where CLDL's classifiers are attached."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cldl.models.heads import NamedLayers, attach_heads, check_initialisation, check_task
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

LOWER = ("map", "mean", "conv")  # what a lower classifier sees, see `lower_head`
TAPS = ("pool2", "pool1", "conv3_relu", "conv2_relu")  # of the second, third, fourth and fifth classifier
Triple = tuple[float, float, float]

FIVE: tuple[Triple, Triple, Triple] = ((0.05, 0.05, 0.05), (0.05, 0.05, 0.05), (0.05, 0.05, 0.05))


@dataclass(frozen=True)
class NinDefinition:
    """A published Network in Network: three blocks of a convolution and two 1x1 convolutions, the last one of K outputs."""

    outputs: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int]]
    kernels: tuple[int, int, int]  # of each block's first convolution
    std: tuple[Triple, Triple, Triple] = FIVE  # of the published weights

    def scaled(self, width: float) -> NinDefinition:
        """The definition with `width` times as many outputs."""
        outputs: Any = tuple(tuple(max(1, round(width * D)) for D in block) for block in self.outputs)
        return replace(self, outputs=outputs)


# The authors' cuda-convnet definitions: mavenlin/cuda-convnet, NIN/mnist_def and NIN/cifar-100_def.
NIN_MNIST = NinDefinition(((96, 64, 48), (128, 96, 48), (128, 96)), (5, 5, 5))
NIN_CIFAR = NinDefinition(
    ((192, 160, 96), (192, 192, 192), (192, 192)), (5, 5, 3), ((0.001, 0.01, 0.01), FIVE[1], FIVE[2])
)


def nin(
    definition: NinDefinition,
    image: Shape,
    classes: int,
    classifiers: int = 3,
    *,
    initialisation: str = "he",
    dropout: float = 0.5,
    top_lr_mult: float = 1.0,
    relu_on_logits: bool = True,
    lower: str = "map",
    lower_lr_mult: float = 1.0,
    lower_dropout: float = 0.0,
    width: float = 1.0,
) -> Network:
    """Network in Network for images (H, W, C) of K classes, with 1 to 5 classifiers.

    Source: the authors' definitions (`NIN_MNIST`, `NIN_CIFAR`): mlpconv blocks, max pooling 3/2 in ceil mode (28 to 14 to 7, 32
    to 16 to 8), dropout 0.5 after both poolings, a ReLU on the class maps too, and their mean over the image as the top
    classifier. `relu_on_logits=False` leaves that last ReLU out, as the authors of DSN do in their definition of NIN
    (s9xie/DSN, best_cifar10_9.65): under it a class whose logit is 0 for all samples never learns again.
    `initialisation="published"` draws the weights as the authors do, from N(0, std^2) with the definition's `std`.

    CLDL's paper leaves the place and the form of the lower classifiers open. Inferred: at the end of a block, behind its
    pooling and before the dropout, one linear layer on the whole map, as the authors of DSN put theirs, with a smaller
    learning rate (`lower_lr_mult`), as they do too. `lower="mean"` puts it on the map's mean instead, as NIN does at the top;
    there the bottom classifier starves (docs/results.md). `lower="conv"` has two 1x1 convolutions, the first with a ReLU, before
    the mean. The last weights begin at 0: before it has seen an image, a lower classifier prefers no class. `lower_dropout` is
    the dropout of what it sees, 0 for none: a linear layer on a whole map has more weights than the rest of the network.

    `width` multiplies the number of outputs of every convolution but the last; 1 is the published network.

    With one classifier only the top one is left (NIN itself); the second is attached to block 2 and the third to block 1. The
    poster's second figure goes on to five; inferred: the fourth is attached to the first convolution of block 3, behind its
    ReLU, and the fifth to that of block 2, so that each new one stands between two that are there.
    """
    if not 1 <= classifiers <= 1 + len(TAPS):
        raise UserError(f"NIN was asked for {classifiers} classifiers; it has places for 1 to {1 + len(TAPS)}.")
    if lower not in LOWER:
        raise UserError(f"the lower classifiers' form {lower!r} is unknown; choose one of {', '.join(LOWER)}.")
    layers = nin_trunk(
        definition.scaled(width),
        image,
        classes,
        initialisation=initialisation,
        dropout=dropout,
        top_lr_mult=top_lr_mult,
    )
    if not relu_on_logits:
        layers.pop()

    def head(shape: Shape) -> NamedLayers:
        dropped: NamedLayers = [("dropout", Dropout(lower_dropout))] if lower_dropout else []
        return [*dropped, *lower_head(lower, shape, classes, lower_lr_mult)]

    return attach_heads(layers, TAPS[: classifiers - 1], head, [("mean", GlobalAvgPool())], image)


def lower_head(form: str, shape: Shape, classes: int, lr_mult: float) -> NamedLayers:
    """A lower classifier behind a map (H, W, C): a linear layer on the whole "map", or on its "mean", or two convolutions."""
    C = shape[-1]
    if form == "conv":
        return [
            ("conv", Conv2d(C, C, 1, lr_mult=lr_mult)),
            ("relu", ReLU()),
            ("linear", Conv2d(C, classes, 1, weight=constant(0), lr_mult=lr_mult)),
            ("mean", GlobalAvgPool()),
        ]
    seen = Flatten() if form == "map" else GlobalAvgPool()
    (features,) = seen.output_shape(shape)
    return [(form, seen), ("linear", Linear(features, classes, weight=constant(0), lr_mult=lr_mult))]


def nin_trunk(
    definition: NinDefinition,
    image: Shape,
    classes: int,
    *,
    initialisation: str,
    dropout: float,
    top_lr_mult: float,
    std: tuple[Triple, ...] | None = None,
) -> list[tuple[str, Layer]]:
    """NIN's layers from the image to the K class maps, with their names.

    Block b: conv b, which keeps the image's size, and two 1x1 convolutions cccp 2b - 1 and 2b (the authors' name: cascaded
    cross-channel parametric pooling), a ReLU after each (Lin et al., ICLR 2014, section 3.1); then pool b and dropout b.
    `top_lr_mult` multiplies the learning rate of the last one.
    """
    check_task(image, classes)
    check_initialisation(initialisation)
    inputs, layers = image[-1], list[tuple[str, Layer]]()
    rows = zip(
        (*definition.outputs[:2], (*definition.outputs[2], classes)),
        definition.kernels,
        std or definition.std,
        strict=True,
    )
    for block, (outputs, kernel, stds) in enumerate(rows, 1):
        names = (f"conv{block}", f"cccp{2 * block - 1}", f"cccp{2 * block}")
        for name, D, k, published_std in zip(names, outputs, (kernel, 1, 1), stds, strict=True):
            weight, lr_mult = (
                he if initialisation == "he" else normal(published_std),
                top_lr_mult if name == "cccp6" else 1.0,
            )
            layers.append((name, Conv2d(inputs, D, k, padding=k // 2, weight=weight, lr_mult=lr_mult)))
            layers.append((f"{name}_relu", ReLU()))
            inputs = D
        if block < 3:
            layers += [(f"pool{block}", MaxPool2d(3, 2, ceil=True)), (f"dropout{block}", Dropout(dropout))]
    return layers
