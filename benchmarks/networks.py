"""What is timed: the recipes of the rows, each with the batch that the networks' authors used, at a constant rate."""

from __future__ import annotations

from dataclasses import replace

from cldl.network import Network
from cldl.networks import LOWER, mlpconv
from cldl.recipes import MNIST_NIN, Recipe, find
from engine.parameters import constant, he
from layers.dropout import Dropout
from layers.linear import Linear
from layers.pooling import GlobalAvgPool, MaxPool2d
from layers.sequential import Sequential

BATCH = 128  # cuda-convnet's


class Cifar100Nin(Recipe):
    """NIN for CIFAR-100 (mavenlin/cuda-convnet, NIN/cifar-100_def), classifiers tapped as in `nin_mnist`."""

    def build(self) -> Network:
        pool = MaxPool2d(3, 2, ceil=True)
        blocks = [
            Sequential(*mlpconv(3, (192, 160, 96), 5, he), pool),
            Sequential(Dropout(self.dropout), *mlpconv(96, (192, 192, 192), 5, he), pool),
            Sequential(Dropout(self.dropout), *mlpconv(192, (192, 192, 100), 3, he)[:-1]),
        ]
        lower = [Sequential(LOWER[self.lower](), Linear(n, 100, weight=constant(0))) for n in (16**2 * 96, 8**2 * 192)]
        return Network(blocks, [*lower, GlobalAvgPool()], (32, 32, 3))


CIFAR100_NIN = Cifar100Nin(**{**vars(MNIST_NIN), "name": "cifar100_nin"})
RECIPES = {"mnist_nin": find("mnist_nin"), "cifar100_nin": CIFAR100_NIN}


def recipe(name: str, batch: int = BATCH, **values) -> Recipe:
    """The recipe of this name, with what would make one step unlike the next left out."""
    return replace(RECIPES[name], batch_size=batch, warmup=0.0, schedule="constant", **values)
