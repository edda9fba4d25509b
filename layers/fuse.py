"""Convolutions, the 1x1 convolutions behind them and their ReLUs run as one: a pass over the nodes of a network.

A block of pixels goes through a whole run while it is in the nearest caches, forward and backward (see
engine.ops.fused_linear). The numbers are those of the layers one after another, bit for bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine.context import Context
from engine.ops.fused_linear import PIXEL
from engine.parameters import Parameter
from engine.typing import Array
from layers import conv2d
from layers.conv2d import Conv2d
from layers.layer import Layer
from layers.node import Node
from layers.relu import ReLU
from layers.sequential import Sequential


@dataclass(frozen=True)
class Step:
    """What runs at once: a node's layer, or the `FusedConv` of several nodes, each of which reads the one before it."""

    nodes: tuple[Node, ...]
    layer: Layer

    @property
    def name(self) -> str:
        """The node whose output is the step's."""
        return self.nodes[-1].name

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.nodes[0].inputs


class FusedConv(Sequential):
    """A convolution, then 1x1 convolutions, all without groups, each with a ReLU behind it or not; `fuse` makes it.

    Forward, backward: those of the layers, one after another.
    Shapes:    x (N, H, W, C), y (N, Ho, Wo, D).
    Source:    the "mlpconv layer" of Lin, Chen and Yan, "Network in network", ICLR 2014, section 3.1, eq. 2.
    """

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers  # the parameters keep the names that they have
        self.convolutions = [layer for layer in layers if isinstance(layer, Conv2d)]
        self.relus = [isinstance(b, ReLU) for a, b in pairwise([*layers, None]) if isinstance(a, Conv2d)]

    def parameters(self) -> list[Parameter]:
        return list(dict.fromkeys(p for c in self.convolutions for p in (c.weight, c.bias)))

    def forward(self, x: Array, ctx: Context) -> tuple[Array, tuple]:
        return conv2d.forward_chain(self, self.convolutions, self.relus, x, ctx)

    def backward(self, dy: Array, cache: tuple, ctx: Context, need_dx: bool = True) -> Array | None:
        return conv2d.backward_chain(self, self.convolutions, self.relus, dy, cache, ctx, need_dx)


def fuse(nodes: Sequence[Node], exits: Collection[str]) -> list[Step]:
    """Cut nodes in topological order into steps; an output that an exit or another node needs as well ends its run."""
    reads = Counter([*exits, *(name for node in nodes for name in node.inputs)])
    runs: list[list[Node]] = []
    ends: dict[str, list[Node]] = {}  # the run whose output a name is
    for node in nodes:
        source = node.inputs[0]
        run = ends.get(source)
        if run and node.inputs == (source,) and reads[source] == 1 and _can_fuse([n.layer for n in (*run, node)]):
            run.append(node)
        else:
            run = [node]
            runs.append(run)
        ends[node.name] = run
    return [
        Step(tuple(run), run[0].layer if len(run) == 1 else FusedConv(*(node.layer for node in run))) for run in runs
    ]


def _can_fuse(layers: Sequence[Layer]) -> bool:
    """Whether these are a convolution with what runs as one with it, where there are several, none in groups.

    A subclass may compute something else, so exactly `Conv2d` and `ReLU` count.
    """
    first, *others = layers
    if type(first) is not Conv2d:
        return False
    pointwise = [layer for layer in others if type(layer) is not ReLU]
    if any(type(b) is ReLU and type(a) is not Conv2d for a, b in pairwise(layers)):
        return False
    if not all(type(c) is Conv2d and c.window == PIXEL and c.algorithm != "fft" for c in pointwise):
        return False
    convolutions = [layer for layer in layers if isinstance(layer, Conv2d)]
    return len(convolutions) == 1 or all(c.groups == 1 for c in convolutions)
