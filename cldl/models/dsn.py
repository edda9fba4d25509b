"""Deeply supervised nets (Lee, Xie, Gallagher, Zhang and Tu, AISTATS 2015)."""

from __future__ import annotations

from cldl.models.nin import FIVE, NINS, trunk
from cldl.models.tapped import tapped
from engine.initialisers import xavier
from engine.optim.schedules import power_inv
from engine.typing import Shape
from layers.flatten import Flatten
from layers.layer import Layer
from layers.linear import Linear
from layers.network import Network
from layers.pooling import GlobalAvgPool
from layers.sequential import Sequential

COMPANIONS = ("conv1", "conv2", "conv3")


def dsn(
    name: str,
    *,
    initialisation: str = "published",
    dropout: float = 0.5,
    top_rate: float = 0.1,
    lower_rate: float = 0.001,
    lower_gamma: float = 1e-4,
    lower_power: float = 0.75,
) -> Network:
    """A deeply supervised net for "mnist" or "cifar100": three companions below, and NIN's classifier on top.

    Source: s9xie/DSN, examples/best_cifar10_9.65: NIN for CIFAR-10 without the ReLU on the scores; on the output of each
    block's first convolution, before its ReLU, a companion: one inner product on the whole map. The trunk's weights are drawn
    from N(0, 0.05^2), the companions' by Caffe's xavier. The last 1x1 convolution learns at 0.1 of the rate (`top_rate`), the
    companions at 0.001 (`lower_rate`), times (1 + 1e-4 t)^-0.75 after t updates (`lower_gamma`, `lower_power`). Biases learn
    at twice these rates (the recipe's `bias_rate`). CIFAR-100: "same architecture", with 100 outputs.

    Inferred for "mnist": the same companions on NIN's trunk for MNIST; the authors published no definition.
    """
    layers, places = trunk(name, initialisation=initialisation, dropout=dropout, top_rate=top_rate, deviations=FIVE)
    layers.pop()
    classes, policy = NINS[name].outputs[-1][-1], power_inv(lower_gamma, lower_power)

    def companion(shape: Shape) -> Layer:
        flatten = Flatten()
        (features,) = flatten.output_shape(shape)
        linear = Linear(features, classes, weight=xavier, lr_mult=lower_rate)
        for parameter in linear.parameters():
            parameter.lr_policy = policy
        return Sequential(flatten, linear)

    return tapped(layers, [places[place] for place in COMPANIONS], companion, GlobalAvgPool(), NINS[name].image)
