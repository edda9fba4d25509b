"""The convolutions that are measured: of VGG, GoogLeNet and AlexNet, and of all recipes, each geometry once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cldl.models import build
from cldl.recipes import RECIPES
from engine.ops.fused_linear import Window
from layers.conv2d import Conv2d
from layers.network import Network
from layers.node import INPUT


class Geometry(NamedTuple):
    """What decides how long a convolution takes for an image."""

    height: int
    width: int
    inputs: int
    outputs: int
    window: Window
    groups: int = 1

    def layer(self, algorithm: str = "auto") -> Conv2d:
        """The convolution."""
        kernel, stride, padding = self.window
        return Conv2d(
            self.inputs, self.outputs, kernel, stride=stride, padding=padding, groups=self.groups, algorithm=algorithm
        )

    @property
    def image(self) -> tuple[int, int, int]:
        """Shape of an image."""
        return self.height, self.width, self.inputs


KNOWN = {  # model, side of the images
    "VGG": ("vgg16", 224),
    "GoogLeNet": ("googlenet", 224),
    "AlexNet": ("alexnet", 227),
}


def geometries() -> dict[Geometry, str]:
    """Every geometry, with the name of the first convolution that has it."""
    found: dict[Geometry, str] = {}
    for owner, network in _networks():
        shapes = {INPUT: network.input_shape, **network.node_shapes()}
        for node in network.nodes:
            if isinstance(node.layer, Conv2d):
                conv, (height, width, _) = node.layer, shapes[node.inputs[0]]
                geometry = Geometry(height, width, conv.inputs, conv.outputs, conv.window, conv.groups)
                found.setdefault(geometry, f"{owner} {node.name}")
    return found


def _networks() -> Iterator[tuple[str, Network]]:
    for name, (model, side) in KNOWN.items():
        yield name, build(model, (side, side, 3), 1000)
    for recipe in RECIPES.values():
        yield recipe.name, recipe.build_network()
