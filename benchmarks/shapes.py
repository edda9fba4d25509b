"""The convolutions that are measured: of all recipes, and of VGG, GoogLeNet and AlexNet, each geometry once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cldl.recipes import RECIPES
from engine.ops.fused_linear import Window
from layers.conv2d import Conv2d
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


# VGG (Simonyan and Zisserman, ICLR 2015): side, inputs, outputs; all 3 x 3
VGG = [
    (224, 3, 64), (224, 64, 64), (112, 64, 128), (112, 128, 128), (56, 128, 256), (56, 256, 256),
    (28, 256, 512), (28, 512, 512), (14, 512, 512),
]  # fmt: skip

# GoogLeNet (Szegedy et al., CVPR 2015): side, inputs, then of the table's columns #1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool
INCEPTION = {
    "3a": (28, 192, 64, 96, 128, 16, 32, 32),
    "3b": (28, 256, 128, 128, 192, 32, 96, 64),
    "4a": (14, 480, 192, 96, 208, 16, 48, 64),
    "4b": (14, 512, 160, 112, 224, 24, 64, 64),
    "4c": (14, 512, 128, 128, 256, 24, 64, 64),
    "4d": (14, 512, 112, 144, 288, 32, 64, 64),
    "4e": (14, 528, 256, 160, 320, 32, 128, 128),
    "5a": (7, 832, 256, 160, 320, 32, 128, 128),
    "5b": (7, 832, 384, 192, 384, 48, 128, 128),
}


def geometries() -> dict[Geometry, str]:
    """Every geometry, with the name of the first convolution that has it."""
    found: dict[Geometry, str] = {}
    for name, geometry in (*_vgg(), *_googlenet(), *_alexnet(), *_of_recipes()):
        found.setdefault(geometry, name)
    return found


def _of_recipes() -> Iterator[tuple[str, Geometry]]:
    for recipe in RECIPES.values():
        network = recipe.build_network()
        shapes = {INPUT: network.input_shape, **network.node_shapes()}
        for node in network.nodes:
            if isinstance(node.layer, Conv2d):
                conv, (height, width, _) = node.layer, shapes[node.inputs[0]]
                geometry = Geometry(height, width, conv.inputs, conv.outputs, conv.window, conv.groups)
                yield f"{recipe.name} {node.name}", geometry


def _vgg() -> Iterable[tuple[str, Geometry]]:
    for side, inputs, outputs in VGG:
        yield f"VGG {inputs} to {outputs}, {side}", Geometry(side, side, inputs, outputs, Window(3, 1, 1))


def _googlenet() -> Iterable[tuple[str, Geometry]]:
    yield "GoogLeNet conv1", Geometry(224, 224, 3, 64, Window(7, 2, 3))
    yield "GoogLeNet conv2 1x1", Geometry(56, 56, 64, 64, Window(1, 1, 0))
    yield "GoogLeNet conv2 3x3", Geometry(56, 56, 64, 192, Window(3, 1, 1))
    for name, (side, inputs, one, reduce3, three, reduce5, five, pool) in INCEPTION.items():
        for outputs in (one, reduce3, reduce5, pool):
            yield f"GoogLeNet {name} 1x1", Geometry(side, side, inputs, outputs, Window(1, 1, 0))
        yield f"GoogLeNet {name} 3x3", Geometry(side, side, reduce3, three, Window(3, 1, 1))
        yield f"GoogLeNet {name} 5x5", Geometry(side, side, reduce5, five, Window(5, 1, 2))


def _alexnet() -> Iterable[tuple[str, Geometry]]:
    """Krizhevsky et al., NIPS 2012, as in Caffe."""
    yield "AlexNet conv1", Geometry(227, 227, 3, 96, Window(11, 4, 0))
    yield "AlexNet conv2", Geometry(27, 27, 96, 256, Window(5, 1, 2), 2)
    yield "AlexNet conv3", Geometry(13, 13, 256, 384, Window(3, 1, 1))
    yield "AlexNet conv4", Geometry(13, 13, 384, 384, Window(3, 1, 1), 2)
    yield "AlexNet conv5", Geometry(13, 13, 384, 256, Window(3, 1, 1), 2)
