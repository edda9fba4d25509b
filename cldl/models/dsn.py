"""Deeply supervised nets (Lee, Xie, Gallagher, Zhang and Tu, AISTATS 2015)."""

from __future__ import annotations

from cldl.models.heads import NamedLayers, attach_heads
from cldl.models.nin import FIVE, NinDefinition, nin_trunk
from engine.initialisers import xavier
from engine.optim.schedules import power_inv
from engine.typing import Shape
from layers.flatten import Flatten
from layers.linear import Linear
from layers.network import Network
from layers.pooling import GlobalAvgPool

COMPANIONS = ("conv1", "conv2", "conv3")


def dsn(
    definition: NinDefinition,
    image: Shape,
    classes: int,
    *,
    initialisation: str = "published",
    dropout: float = 0.5,
    top_lr_mult: float = 0.1,
    lower_lr_mult: float = 0.001,
    lower_gamma: float = 1e-4,
    lower_power: float = 0.75,
) -> Network:
    """A deeply supervised net on NIN's trunk: three companions on lower layers, and NIN's classifier on top.

    Source: s9xie/DSN, examples/best_cifar10_9.65: NIN for CIFAR-10 without the ReLU on the logits; on the output of each
    block's first convolution, before its ReLU, a companion: one inner product on the whole map. The trunk's weights are drawn
    from N(0, 0.05^2), the companions' by Caffe's xavier. The last 1x1 convolution learns at 0.1 of the rate (`top_lr_mult`), the
    companions at 0.001 (`lower_lr_mult`), times (1 + 1e-4 t)^-0.75 after t updates (`lower_gamma`, `lower_power`). Biases learn
    at twice these rates (the recipe's `bias_lr_mult`). CIFAR-100: "same architecture", with 100 outputs.

    Inferred for MNIST: the same companions on NIN's trunk for MNIST; the authors published no definition.
    """
    layers = nin_trunk(
        definition, image, classes, initialisation=initialisation, dropout=dropout, top_lr_mult=top_lr_mult, std=FIVE
    )
    layers.pop()  # the ReLU on the logits
    policy = power_inv(lower_gamma, lower_power)

    def companion(shape: Shape) -> NamedLayers:
        flatten = Flatten()
        (features,) = flatten.output_shape(shape)
        linear = Linear(features, classes, weight=xavier, lr_mult=lower_lr_mult)
        for parameter in linear.parameters():
            parameter.lr_policy = policy
        return [("map", flatten), ("linear", linear)]

    return attach_heads(layers, COMPANIONS, companion, [("mean", GlobalAvgPool())], image)
