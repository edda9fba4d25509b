"""Deep networks whose trunk is one chain: convolutions, poolings and normalisations, then hidden linear layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cldl.models.branch import Branch, branch
from cldl.models.heads import NamedLayers, attach_heads, check_classifiers, check_initialisation, check_task
from engine.errors import UserError
from engine.initialisers import Initialiser, constant, he, normal, xavier
from engine.typing import Shape
from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.flatten import Flatten
from layers.layer import Layer
from layers.linear import Linear
from layers.network import Network
from layers.normalise import LocalResponseNorm
from layers.pooling import MaxPool2d
from layers.relu import ReLU
from layers.sequential import Sequential


class Conv(NamedTuple):
    """A convolution with a ReLU behind it; `bias` is what its biases begin at."""

    name: str
    outputs: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    groups: int = 1
    bias: float = 0.0


class Pool(NamedTuple):
    """Max pooling, in ceil mode as Caffe's is."""

    name: str
    kernel: int = 2
    stride: int = 2


class Norm(NamedTuple):
    """Local response normalisation: 5 channels, alpha 0.0001, beta 0.75."""

    name: str


@dataclass(frozen=True)
class ChainDefinition:
    """A published chain.

    parts       -- from the image to the map below the hidden layers
    taps        -- the nodes of the second, third, ... classifier, see `chain_network`
    branch      -- the form of these classifiers
    std         -- of the published weights N(0, std^2) of convolutions and classifiers; None: Caffe's xavier for all
    hidden_std  -- of the published weights of the hidden layers; as `std`
    hidden_bias -- what their biases begin at
    """

    parts: tuple[Conv | Pool | Norm, ...]
    taps: tuple[str, ...]
    branch: Branch
    std: float | None = 0.01
    hidden_std: float | None = 0.01
    hidden_bias: float = 0.0
    hidden: tuple[int, ...] = (4096, 4096)


def chain_network(
    definition: ChainDefinition,
    image: Shape,
    classes: int,
    classifiers: int = 1,
    *,
    initialisation: str = "published",
    dropout: float = 0.5,
    width: float = 1.0,
    lower_lr_mult: float = 1.0,
) -> Network:
    """The network of a definition, for images (H, W, C) of K classes, with a classifier on its top and on the first taps.

    dropout       -- behind each hidden layer, of the branches too where their definition names no rate
    width         -- multiplies the outputs of all layers but the classifiers; 1 is the published network
    lower_lr_mult -- multiplies the learning rate of the lower classifiers
    """
    check_classifiers(classifiers, 1, 1 + len(definition.taps))
    layers = chain_trunk(definition, image, classes, initialisation=initialisation, dropout=dropout, width=width)
    weight = weights(initialisation, definition.std)

    def lower(shape: Shape) -> NamedLayers:
        form = definition.branch.scaled(width)
        return branch(form, shape, classes, weight=weight, dropout=dropout, lr_mult=lower_lr_mult)

    top = [("fc", Linear(scaled(definition.hidden[-1], width), classes, weight=weight))]
    return attach_heads(layers, definition.taps[: classifiers - 1], lower, top, image)


def chain_trunk(
    definition: ChainDefinition,
    image: Shape,
    classes: int,
    *,
    initialisation: str = "published",
    dropout: float = 0.5,
    width: float = 1.0,
) -> list[tuple[str, Layer]]:
    """The layers from the image to the last hidden one, with their names: conv1, conv1_relu, ..., fc6, fc6_relu, dropout6, ...

    The hidden layers count on from the fifth stage of convolutions, which all these networks have.
    """
    check_task(image, classes)
    check_initialisation(initialisation)
    weight, inputs, layers = weights(initialisation, definition.std), image[-1], list[tuple[str, Layer]]()
    most_groups = max(part.groups for part in definition.parts if isinstance(part, Conv))
    for part in definition.parts:
        match part:
            case Conv(name, outputs, kernel, stride, padding, groups, bias):
                D = scaled(outputs, width, most_groups)
                start = constant(bias if initialisation == "published" else 0.0)
                conv = Conv2d(
                    inputs, D, kernel, stride=stride, padding=padding, groups=groups, weight=weight, bias=start
                )
                layers += [(name, conv), (f"{name}_relu", ReLU())]
                inputs = D
            case Pool(name, kernel, stride):
                layers.append((name, MaxPool2d(kernel, stride, ceil=True)))
            case Norm(name):
                layers.append((name, LocalResponseNorm(5, alpha=1e-4, beta=0.75)))
    _expect_room(layers, image)
    layers.append(("map", Flatten()))
    (inputs,) = Sequential(*(layer for _, layer in layers)).output_shape(image)
    weight = weights(initialisation, definition.hidden_std)
    start = constant(definition.hidden_bias if initialisation == "published" else 0.0)
    for i, units in enumerate(definition.hidden, 6):
        D = scaled(units, width)
        layers += [(f"fc{i}", Linear(inputs, D, weight=weight, bias=start)), (f"fc{i}_relu", ReLU())]
        layers.append((f"dropout{i}", Dropout(dropout)))
        inputs = D
    return layers


def _expect_room(layers: Sequence[tuple[str, Layer]], image: Shape) -> None:
    """Raise UserError where a pooling layer has only one row or column left, as its image is too small for the network."""
    shape = image
    for name, layer in layers:
        if isinstance(layer, MaxPool2d) and min(shape[:2]) == 1:
            raise UserError(
                f"images of {image[0]} x {image[1]} are too small for this network, as {name} has a map of {shape[0]} x "
                f"{shape[1]} left: give larger images, or choose a network with fewer pooling layers."
            )
        shape = layer.output_shape(shape)


def weights(initialisation: str, std: float | None) -> Initialiser:
    """He's, or as published: N(0, std^2), or Caffe's xavier where std is None."""
    if initialisation == "he":
        return he
    return xavier if std is None else normal(std)


def scaled(outputs: int, width: float, groups: int = 1) -> int:
    """`width` times as many outputs, a multiple of the groups into which they, or those above them, are split."""
    return groups * max(1, round(width * outputs / groups))
