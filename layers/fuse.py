"""A pass over nodes that fuses neighbours: a convolution, the 1x1 convolutions behind it and their ReLUs run as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.codegen.simd import LANES
from engine.context import Context
from engine.errors import UserError
from engine.ops.fused_linear import PIXEL
from engine.typing import Array
from layers import conv2d
from layers.conv2d import Conv2d
from layers.layer import Layer
from layers.node import Node
from layers.relu import ReLU
from layers.sequential import Sequential


@dataclass(frozen=True)
class Step:
    """Nodes that run as one, or a node by itself; `layer` runs them."""

    nodes: tuple[Node, ...]
    layer: Layer

    @property
    def name(self) -> str:
        """That of the last node, whose output it gives."""
        return self.nodes[-1].name

    @property
    def inputs(self) -> tuple[str, ...]:
        """Those of the first node."""
        return self.nodes[0].inputs

    def caches(self, cache: Any) -> list[tuple[Node, Any]]:
        """Each node with what its forward left for its backward."""
        rows = self.layer.caches(cache) if isinstance(self.layer, Mlpconv) else [cache]
        return list(zip(self.nodes, rows, strict=True))


def fuse(nodes: Sequence[Node], exits: Sequence[str]) -> list[Step]:
    """The nodes as steps, each a run of nodes that can run as one, or a node by itself.

    An output that several nodes read, or that is an exit, must exist: it ends a run.
    """
    readers = Counter([name for node in nodes for name in node.inputs] + list(exits))
    runs: list[list[Node]] = []
    ending_in: dict[str, list[Node]] = {}
    for node in nodes:
        run = ending_in.get(node.inputs[0]) if len(node.inputs) == 1 and readers[node.inputs[0]] == 1 else None
        if run is not None and can_fuse([*(n.layer for n in run), node.layer]):
            run.append(node)
        else:
            run = [node]
            runs.append(run)
        ending_in[node.name] = run
    return [Step(tuple(run), run[0].layer if len(run) == 1 else Mlpconv(*(n.layer for n in run))) for run in runs]


def can_fuse(layers: Sequence[Layer]) -> bool:
    """Whether these layers, one after another, are an Mlpconv whose columns fill vectors."""
    widths = [layer.outputs for layer in layers if isinstance(layer, Conv2d)]
    return is_mlpconv(layers) and (len(widths) == 1 or not any(D % LANES for D in widths))


def is_mlpconv(layers: Sequence[Layer]) -> bool:
    """Whether these are a convolution, then 1x1 convolutions, all without groups, and no ReLU except behind a convolution."""
    first, *others = layers
    if type(first) is not Conv2d:
        return False
    convolutions = [layer for layer in others if type(layer) is not ReLU]
    return (
        all(type(b) is not ReLU or type(a) is Conv2d for a, b in zip(layers, others, strict=False))
        and all(type(c) is Conv2d and c.window == PIXEL and c.algorithm != "fft" for c in convolutions)
        and (not convolutions or {c.groups for c in (first, *convolutions) if isinstance(c, Conv2d)} == {1})
    )


class Mlpconv(Sequential):
    """A multilayer perceptron slid over the image: a convolution, 1x1 convolutions, and a ReLU behind each or not.

    Forward, backward: those of its layers, one after the other. A block of pixels passes through all of them while it is in
               the cache (see engine.ops.fused_linear); numbers and caches are the same, bit for bit.
    Shapes:    x (N, H, W, C), y (N, Ho, Wo, D).
    Source:    Lin, Chen and Yan, "Network in network", ICLR 2014, section 3.1, eq. 2.
    Raises:    UserError for other layers.
    """

    def __init__(self, *layers: Layer) -> None:
        if not layers or not is_mlpconv(layers):
            raise UserError(
                f"{', '.join(map(repr, layers)) or 'nothing'} is no Mlpconv: give it a convolution, then 1x1 convolutions, all "
                "without groups, each with a ReLU behind it or without; other layers stand one after another in a Sequential."
            )
        super().__init__(*layers)
        self._convolutions = [layer for layer in layers if isinstance(layer, Conv2d)]
        after = [*layers[1:], None]
        self._relus = [isinstance(b, ReLU) for a, b in zip(layers, after, strict=True) if isinstance(a, Conv2d)]

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Any]:
        return conv2d.forward(self._convolutions, self._relus, x, ctx)

    def backward(self, dy: Array, cache: Any, ctx: Context, need_dx: bool = True) -> Array | None:
        return conv2d.backward(self._convolutions, self._relus, dy, cache, ctx, need_dx)

    def caches(self, cache: Any) -> list[Any]:
        """What each layer's forward left: a ReLU's its output, as rows; a convolution's the cache of all."""
        _, _, outputs, _ = cache
        rows: list[Any] = []
        for relu, y in zip(self._relus, outputs, strict=True):
            rows += [cache, y] if relu else [cache]
        return rows
