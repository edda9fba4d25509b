"""The networks that are timed, each with the batch size of its authors or one that fits a machine of two cores."""

from __future__ import annotations

from typing import NamedTuple

from cldl.recipes import find
from cldl.recipes.recipe import Recipe


class Timed(NamedTuple):
    """A recipe, its images a step, those for which the engines' gradients are compared, and what is changed of it."""

    recipe: str
    batch: int
    checked: int
    changed: dict


HE = {"initialisation": "he", "learning_rate": 1e-5}  # activations of deep networks neither vanish nor diverge on noise
THREE = {"classifiers": 3, "loss": find("mnist_nin").loss}
NETWORKS = {
    "mnist_nin": Timed("mnist_nin", 128, 128, {}),  # cuda-convnet's batch
    "cifar100_nin": Timed("cifar100_nin", 128, 128, {}),
    "vgg11": Timed("places205_vgg11", 16, 2, HE),
    "vgg16": Timed("places205_vgg11", 16, 2, HE | {"definition": "vgg16"}),
    "alexnet": Timed("places205_alexnet", 64, 2, HE | THREE | {"definition": "alexnet"}),
    "googlenet": Timed("imagenet_googlenet", 32, 2, HE),
}
SMALL = ("mnist_nin", "cifar100_nin")  # the default


def recipe(name: str, batch: int | None = None, size: int | None = None, **values) -> Recipe:
    """The recipe of this network at a constant rate, its pixels only scaled, so that all steps of both engines cost the same.

    batch, size -- images a step, and pixels of their side where it can be chosen; None: those of `NETWORKS`
    """
    timed = NETWORKS[name]
    chosen = find(timed.recipe).changed(**timed.changed)
    chosen = chosen.changed(preprocessing="scale", augment=False, schedule="constant", warmup=0.0)
    return chosen.changed(batch_size=batch or timed.batch, **({} if size is None else {"size": size}), **values)
