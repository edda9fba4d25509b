"""A drawing of a network from its own nodes: the trunk from bottom to top, and the classifiers that stand on it.

The part of the trunk between two classifiers is one box: the nodes from which the same exits are reached. A node whose name
begins with "head_" belongs to a classifier (`cldl.models.heads`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from cldl.reporting.poster import classifier_names
from cldl.reporting.style import WIDTH, colour
from engine.typing import Shape
from layers.conv2d import Conv2d
from layers.network import Network
from layers.node import INPUT, Node

HEAD = "head_"
ROW, EDGE = 1.1, 0.45  # inches: of a block with its classifier, and below all
BLOCK, CLASSIFIER = (0.0, 0.58), (0.68, 1.0)  # where the boxes begin and end, in shares of the width
HIGH = 0.78  # of a row
MOST = 4  # convolutions that are listed one by one
WORDS = {  # one and several layers of a class; the others are not worth a word
    "Conv2d": ("convolution", "convolutions"),
    "Linear": ("linear layer", "linear layers"),
    "MaxPool2d": ("max pooling", "max poolings"),
    "AvgPool2d": ("mean pooling", "mean poolings"),
    "GlobalAvgPool": ("mean over the image", "means"),
    "Maxout": ("maxout", "maxouts"),
    "LocalResponseNorm": ("normalisation", "normalisations"),
    "L2Normalize": ("normalisation", "normalisations"),
}
UNBROKEN = "\xa0"  # a blank at which no line ends
LINE, SHORT_LINE = 42, 23  # letters that fit into a block, and into a classifier
TEXT: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8.5, "linespacing": 1.35}
ARROW: dict[str, Any] = {"arrowstyle": "-|>", "color": "0.35", "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}


@dataclass(frozen=True)
class Part:
    """A block or a classifier: its nodes with the shapes of their inputs and outputs, one after another."""

    rows: Sequence[tuple[Node, Any, Shape]]

    @property
    def layers(self) -> str:
        """The layers that compute, in words."""
        kinds = [type(node.layer).__name__ for node, _, _ in self.rows]
        counts = Counter(WORDS[kind] for kind in kinds if kind in WORDS)  # in the order of their first layers
        convolutions = [node.layer for node, _, _ in self.rows if isinstance(node.layer, Conv2d)]
        words = []
        if 0 < len(convolutions) <= MOST:
            sizes = (f"{c.window.kernel}x{c.window.kernel}" for c in convolutions)
            words.append(f"convolution{'s' if len(convolutions) > 1 else ''} {', '.join(sizes)}")
            del counts[WORDS["Conv2d"]]
        words += [one if n == 1 else f"{n} {several}" for (one, several), n in counts.items()]
        return ", ".join(word.replace(" ", UNBROKEN) for word in words)

    @property
    def output(self) -> Shape:
        """The shape of what it gives."""
        return self.rows[-1][2]

    @property
    def multiply_adds(self) -> int:
        """Of one image."""
        return sum(node.layer.multiply_adds(shape) for node, shape, _ in self.rows)


def parts(network: Network) -> tuple[list[Part], list[Part]]:
    """The blocks and the classifiers, M each, from bottom to top; a classifier may be without nodes of its own."""
    reached = _exits_reached(network)
    M = len(network.exits)
    blocks: list[list] = [[] for _ in range(M)]
    classifiers: list[list] = [[] for _ in range(M)]
    for row in network.rows():
        name = row[0].name
        where = classifiers if name.startswith(HEAD) else blocks
        where[min(reached[name])].append(row)
    return list(map(Part, blocks)), list(map(Part, classifiers))


def draw(network: Network) -> Figure:
    """The drawing: an arrow for what is passed on, in each box the layers, what comes out, and the share of the computation."""
    blocks, classifiers = parts(network)
    M, whole = len(blocks), network.multiply_adds()
    height = M * ROW + EDGE
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0.01, 0, 0.98, 1))
    axes.set(xlim=(0, 1), ylim=(0, height))
    axes.set_axis_off()
    middle = sum(BLOCK) / 2
    _box(axes, (middle - 0.2, middle + 0.2), EDGE / 2 + 0.02, 0.36, f"image {_shape(network.input_shape)}", "0.35")
    for m, (block, classifier, name) in enumerate(zip(blocks, classifiers, classifier_names(M), strict=True)):
        y = EDGE + (m + 0.5) * ROW
        below = y - ROW + HIGH * ROW / 2 if m else EDGE / 2 + 0.2
        text = f"block {m + 1}: {block.layers}"
        share = f"{100 * block.multiply_adds / whole:.0f} % of the multiply-adds"
        _box(axes, BLOCK, y, HIGH * ROW, f"{fill(text, LINE)}\ngives {_shape(block.output)}\n{share}", "0.35")
        _arrow(axes, (middle, below), (middle, y - HIGH * ROW / 2))
        _arrow(axes, (BLOCK[1], y), (CLASSIFIER[0], y))
        what = "\n".join(filter(None, [name, fill(classifier.layers, SHORT_LINE), f"{network.classes} classes"]))
        _box(axes, CLASSIFIER, y, HIGH * ROW, what, colour(m))
    return figure


def described(network: Network) -> str:
    """The drawing in words."""
    blocks, classifiers = parts(network)
    names = classifier_names(len(blocks))
    sentences = [
        f"block {m + 1} ({block.layers}) leads to {name} ({classifier.layers or 'nothing more'})"
        for m, (block, classifier, name) in enumerate(zip(blocks, classifiers, names, strict=True))
    ]
    return f"The network, from the image upwards: {'; '.join(sentences)}."


def _exits_reached(network: Network) -> dict[str, set[int]]:
    """The exits, from 0, that each node leads to."""
    reached: dict[str, set[int]] = {name: {m} for m, name in enumerate(network.exits)}
    for node in reversed(network.nodes):
        for name in node.inputs:
            if name != INPUT:
                reached.setdefault(name, set()).update(reached[node.name])
    return reached


def _shape(shape: Shape) -> str:
    return " x ".join(map(str, shape)) if len(shape) > 1 else f"{prod(shape)} numbers"


def _box(axes: Axes, across: tuple[float, float], y: float, height: float, text: str, edge: str) -> None:
    style: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.02", "facecolor": "white", "linewidth": 1.8}
    corner = (across[0], y - height / 2)
    axes.add_patch(FancyBboxPatch(corner, across[1] - across[0], height, edgecolor=edge, mutation_aspect=4, **style))
    axes.text(sum(across) / 2, y, text, **TEXT)


def _arrow(axes: Axes, begin: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, begin, arrowprops=ARROW)
