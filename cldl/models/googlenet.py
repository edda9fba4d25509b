"""GoogLeNet (Szegedy et al., CVPR 2015): inceptions, and two classifiers besides the top one."""

from __future__ import annotations

from typing import NamedTuple

from cldl.models.branch import GOOGLENET_BRANCH, branch
from cldl.models.chain import scaled, weights
from cldl.models.heads import NamedLayers, attach, check_classifiers, check_initialisation, check_task
from engine.initialisers import constant
from engine.typing import Shape
from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.linear import Linear
from layers.merge import Concat
from layers.network import Network
from layers.node import INPUT, Node, chain
from layers.normalise import LocalResponseNorm
from layers.pooling import GlobalAvgPool, MaxPool2d
from layers.relu import ReLU


class Inception(NamedTuple):
    """Outputs of its convolutions: the 1x1, the 1x1 before the 3x3 and this, the same of the 5x5, the 1x1 behind a pooling."""

    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool: int

    @property
    def outputs(self) -> int:
        """Of all branches together."""
        return self.one + self.three + self.five + self.pool


# BVLC/caffe, models/bvlc_googlenet/train_val.prototxt
INCEPTIONS = {
    "3a": Inception(64, 96, 128, 16, 32, 32),
    "3b": Inception(128, 128, 192, 32, 96, 64),
    "4a": Inception(192, 96, 208, 16, 48, 64),
    "4b": Inception(160, 112, 224, 24, 64, 64),
    "4c": Inception(128, 128, 256, 24, 64, 64),
    "4d": Inception(112, 144, 288, 32, 64, 64),
    "4e": Inception(256, 160, 320, 32, 128, 128),
    "5a": Inception(256, 160, 320, 32, 128, 128),
    "5b": Inception(384, 192, 384, 48, 128, 128),
}
# Of the second, third, fourth and fifth classifier.
TAPS = ("inception_4d", "inception_4a", "inception_3b", "inception_5a")


def googlenet(
    image: Shape,
    classes: int,
    classifiers: int = 1,
    *,
    initialisation: str = "published",
    dropout: float = 0.4,
    width: float = 1.0,
    lower_lr_mult: float = 1.0,
) -> Network:
    """GoogLeNet for images (H, W, C) of K classes, 224 x 224 as published, with 1 to 5 classifiers.

    Source: BVLC/caffe, bvlc_googlenet: two stages of convolutions with local response normalisation, nine inceptions, the mean of
    the map, dropout 0.4, a linear layer. Weights are drawn by Caffe's xavier, biases are 0.2, of the classifiers 0. Published
    with three classifiers in training: the lower two behind inceptions 4a and 4d, each a branch (mean over windows of 5, 3 apart,
    a 1x1 convolution of 128 outputs, 1024 hidden units, dropout 0.7), their losses weighted by 0.3.

    CLDL's three classifiers are inferred to be these: with two, that of 4d is left. Inferred: the fourth stands behind 3b, the
    fifth behind 5a.

    dropout -- before the top classifier
    width   -- multiplies the outputs of all layers but the classifiers; 1 is the published network
    """
    check_task(image, classes)
    check_initialisation(initialisation)
    check_classifiers(classifiers, 1, 1 + len(TAPS))
    trunk = _Trunk(initialisation, width)
    trunk.conv("conv1", image[-1], 64, 7, stride=2)
    trunk.nodes += chain(trunk.top, [("pool1", MaxPool2d(3, 2, ceil=True)), ("norm1", LocalResponseNorm(5))])
    trunk.conv("conv2_reduce", scaled(64, width), 64, 1)
    trunk.conv("conv2", scaled(64, width), 192, 3)
    trunk.nodes += chain(trunk.top, [("norm2", LocalResponseNorm(5)), ("pool2", MaxPool2d(3, 2, ceil=True))])
    inputs = scaled(192, width)
    for name, outputs in INCEPTIONS.items():
        inputs = trunk.inception(f"inception_{name}", inputs, outputs)
        if name in ("3b", "4e"):
            trunk.nodes += chain(trunk.top, [(f"pool{name[0]}", MaxPool2d(3, 2, ceil=True))])

    weight = weights(initialisation, None)

    def lower(shape: Shape) -> NamedLayers:
        form = GOOGLENET_BRANCH.scaled(width)
        return branch(form, shape, classes, weight=weight, dropout=dropout, lr_mult=lower_lr_mult)

    top = [("mean", GlobalAvgPool()), ("dropout", Dropout(dropout)), ("fc", Linear(inputs, classes, weight=weight))]
    return attach(trunk.nodes, TAPS[: classifiers - 1], lower, top, image)


class _Trunk:
    """Nodes from the image upwards; each call puts some on the top."""

    def __init__(self, initialisation: str, width: float) -> None:
        self.nodes: list[Node] = []
        self.width, self.weight = width, weights(initialisation, None)
        self.bias = constant(0.2 if initialisation == "published" else 0.0)

    @property
    def top(self) -> str:
        """The name of the node that stands on top."""
        return self.nodes[-1].name if self.nodes else INPUT

    def conv(self, name: str, inputs: int, outputs: int, kernel: int, *, stride: int = 1, source: str = "") -> int:
        """A convolution that keeps the image's size, but for its stride, and its ReLU; how many outputs it has."""
        D = scaled(outputs, self.width)
        layer = Conv2d(inputs, D, kernel, stride=stride, padding=kernel // 2, weight=self.weight, bias=self.bias)
        self.nodes += chain(source or self.top, [(name, layer), (f"{name}_relu", ReLU())])
        return D

    def inception(self, name: str, inputs: int, outputs: Inception) -> int:
        """Four branches of one map, their outputs side by side; how many there are."""
        source, ends, total = self.top, list[str](), 0
        for branch_name, reduce, kernel, D in (
            ("1x1", 0, 1, outputs.one),
            ("3x3", outputs.three_reduce, 3, outputs.three),
            ("5x5", outputs.five_reduce, 5, outputs.five),
            ("pool", 0, 1, outputs.pool),
        ):
            below, channels, own = source, inputs, f"{name}.{branch_name}"
            if reduce:
                channels, below = self.conv(f"{own}_reduce", inputs, reduce, 1, source=source), f"{own}_reduce_relu"
            if branch_name == "pool":
                self.nodes += chain(source, [(own, MaxPool2d(3, 1, 1, ceil=True))])
                below, own = own, f"{own}_proj"
            total += self.conv(own, channels, D, kernel, source=below)
            ends.append(self.top)
        self.nodes.append(Node(name, Concat(4), tuple(ends)))
        return total
