"""A classifier on a branch of a deep network: the mean over windows, a 1x1 convolution, hidden linear layers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from cldl.models.heads import NamedLayers
from engine.initialisers import Initialiser, constant
from engine.typing import Shape
from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.flatten import Flatten
from layers.layer import Layer
from layers.linear import Linear
from layers.pooling import AvgPool2d
from layers.relu import ReLU


@dataclass(frozen=True)
class Branch:
    """The form of a branch, as published.

    kernel, stride         -- of the average pooling, in ceil mode as Caffe's is; on a smaller map the window is the map
    channels, relu         -- outputs of the 1x1 convolution, and whether a ReLU follows it
    hidden                 -- units of the hidden layers, each with a ReLU and dropout
    dropout                -- its rate; None: that of the network
    conv_bias, hidden_bias -- what the biases begin at
    """

    kernel: int
    stride: int
    channels: int
    relu: bool
    hidden: tuple[int, ...]
    dropout: float | None = None
    conv_bias: float = 0.0
    hidden_bias: float = 0.0

    def scaled(self, width: float) -> Branch:
        """The branch with `width` times as many channels and units."""
        fewer = [max(1, round(width * n)) for n in (self.channels, *self.hidden)]
        return replace(self, channels=fewer[0], hidden=tuple(fewer[1:]))


# BVLC/caffe, models/bvlc_googlenet/train_val.prototxt: loss1, loss2
GOOGLENET_BRANCH = Branch(5, 3, 128, True, (1024,), 0.7, conv_bias=0.2, hidden_bias=0.2)
# lwwang/Places_CNDS_model, train_val.prototxt: DSN_conv3
CNDS_BRANCH = Branch(5, 2, 64, False, (1024, 1024), conv_bias=0.1, hidden_bias=1.0)


def branch(
    form: Branch, shape: Shape, classes: int, *, weight: Initialiser, dropout: float, lr_mult: float = 1.0
) -> NamedLayers:
    """The layers of a branch behind a map (H, W, C), with their names; the weights are drawn by `weight`."""
    H, W, C = shape
    kernel = min(form.kernel, H, W)
    pool = AvgPool2d(kernel, min(form.stride, kernel), ceil=True)
    conv = Conv2d(C, form.channels, 1, weight=weight, bias=constant(form.conv_bias), lr_mult=lr_mult)
    layers: list[tuple[str, Layer]] = [("pool", pool), ("conv", conv)]
    if form.relu:
        layers.append(("conv_relu", ReLU()))
    layers.append(("map", Flatten()))
    inputs = math.prod(pool.output_shape(shape)[:2]) * form.channels
    rate = dropout if form.dropout is None else form.dropout
    for i, units in enumerate(form.hidden, 1):
        linear = Linear(inputs, units, weight=weight, bias=constant(form.hidden_bias), lr_mult=lr_mult)
        layers += [(f"fc{i}", linear), (f"fc{i}_relu", ReLU()), (f"dropout{i}", Dropout(rate))]
        inputs = units
    return [*layers, ("fc", Linear(inputs, classes, weight=weight, lr_mult=lr_mult))]
