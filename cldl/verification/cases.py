"""What `python -m cldl.gradcheck` and the property tests check: a way to draw each layer, and small networks.

A case takes `choose(low, high)`, which gives an integer of that range: drawn from a key by the command, by Hypothesis in
the tests, which so shrinks a failure to the smallest layer that shows it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import layers
from cldl.verification.clear import move_biases
from engine.codegen.simd import LANES
from engine.context import Context
from engine.device import contiguous
from engine.gradcheck import grid
from engine.gradcheck.inputs import Shapes
from engine.ops.convolution import ALGORITHMS
from engine.parameters import initialise
from engine.random import Key
from engine.typing import Array, Shape
from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.flatten import Flatten
from layers.fuse import FusedConv
from layers.layer import Layer
from layers.linear import Linear
from layers.maxout import Maxout
from layers.merge import Add, Concat
from layers.network import Network
from layers.node import INPUT, Node
from layers.normalise import LocalResponseNorm
from layers.pooling import AvgPool2d, GlobalAvgPool, MaxPool2d
from layers.relu import ReLU
from layers.sequential import Sequential

Choose = Callable[[int, int], int]


def clear_bias(key: Key, shape: Shape) -> Array:
    """A bias of 0 would hide what a bias does, and one near 0 is a kink wherever a ReLU's input is the bias alone."""
    return grid(shape, key, 0.5)


class Case(NamedTuple):
    """What `check_layer` takes: a layer, the shape of one sample of its input, the number of samples, a seed.

    shape -- a list of shapes, where the layer has several inputs
    """

    layer: Layer
    shape: Shapes
    samples: int
    seed: int = 0


class Logits(Layer):
    """A network as a layer: the M classifiers' logits side by side, x -> y (N, M K)."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @property
    def layers(self) -> list[Layer]:
        """The layers from x to the last exit, one after another."""
        nodes, name, path = {node.name: node for node in self.network.nodes}, self.network.exits[-1], []
        while name != INPUT:
            path.append(nodes[name].layer)
            (name,) = nodes[name].inputs
        return path[::-1]

    def forward(self, x: Array, ctx: Context) -> tuple[Array, list]:
        logits, cache = self.network.forward(x, ctx)
        return np.concatenate(logits, axis=1), cache

    def backward(self, dy: Array, cache: list, ctx: Context, need_dx: bool = True) -> Array | None:
        parts = np.split(dy, len(self.network.exits), axis=1)
        return self.network.backward([contiguous(part) for part in parts], list(cache), ctx, need_dx)

    def parameters(self) -> list:
        return self.network.parameters()

    def output_shape(self, shape: Shape) -> Shape:
        return (len(self.network.exits) * self.network.classes,)

    def kink_distance(self, x: Array, ctx: Context) -> float:
        return self.network.kink_distance(x, ctx)

    def __repr__(self) -> str:
        return f"Logits({self.network})"


def _image(choose: Choose, least: int = 1, channels: int | None = None) -> Shape:
    return choose(least, least + 4), choose(least, least + 4), channels or choose(1, 4)


def _linear(choose: Choose) -> Case:
    inputs = choose(1, 5)
    return Case(Linear(inputs, choose(1, 5), bias=clear_bias), (inputs,), choose(1, 4))


def _conv2d(choose: Choose) -> Case:
    algorithm = ALGORITHMS[choose(0, len(ALGORITHMS) - 1)]
    most = 1 if algorithm in ("fft", "winograd") else 3  # only without stride and groups
    groups, stride = choose(1, most), choose(1, most)
    kernel = 3 if algorithm == "winograd" else choose(1, 5)
    padding = choose(0, kernel - 1)
    inputs, outputs = groups * choose(1, 2), groups * choose(1, 2)
    layer = Conv2d(
        inputs, outputs, kernel, stride=stride, padding=padding, groups=groups, bias=clear_bias, algorithm=algorithm
    )
    return Case(layer, _image(choose, max(1, kernel - 2 * padding), inputs), choose(1, 3))


def _pool(kind: type[MaxPool2d] | type[AvgPool2d]) -> Callable[[Choose], Case]:
    def case(choose: Choose) -> Case:
        kernel, stride, ceil = choose(1, 4), choose(1, 4), bool(choose(0, 1))
        padding = choose(0, kernel // 2)
        least = kernel - 2 * padding - (stride - 1 if ceil else 0)  # pixels that one window takes
        return Case(kind(kernel, stride, padding, ceil=ceil), _image(choose, max(1, least)), choose(1, 3))

    return case


def _dropout(choose: Choose) -> Case:
    return Case(Dropout(choose(0, 9) / 10, [None, 1.0][choose(0, 1)]), _image(choose), choose(1, 4))


def _maxout(choose: Choose) -> Case:
    pieces = choose(1, 4)
    channels = pieces * choose(1, 3)
    shape = _image(choose, channels=channels) if choose(0, 1) else (channels,)
    return Case(Maxout(pieces), shape, choose(1, 4))


def _local_response_norm(choose: Choose) -> Case:
    """Strong enough to matter; the power 3/4, for which there is a short cut, and another."""
    size, beta = [1, 3, 5][choose(0, 2)], [0.75, 0.5][choose(0, 1)]
    channels = choose(1, 7)
    shape = _image(choose, channels=channels) if choose(0, 1) else (channels,)
    return Case(LocalResponseNorm(size, alpha=choose(0, 3) / 2, beta=beta, k=choose(1, 2)), shape, choose(1, 3))


def _concat(choose: Choose) -> Case:
    inputs, pixels = choose(2, 4), (choose(1, 3),) * (2 * choose(0, 1))
    return Case(Concat(inputs), [(*pixels, choose(1, 4)) for _ in range(inputs)], choose(1, 3))


def _add(choose: Choose) -> Case:
    inputs, shape = choose(2, 4), _image(choose)
    return Case(Add(inputs), [shape] * inputs, choose(1, 3))


def _fused_conv(choose: Choose) -> Case:
    """A convolution and up to two 1x1 convolutions, widths that fill a vector or not, some ReLUs left out."""
    inputs, kernel = choose(1, 2), choose(1, 3)
    widths = [[2, LANES][choose(0, 1)] for _ in range(choose(1, 3))]
    layers: list[Layer] = []
    for below, width in zip([inputs, *widths], widths, strict=False):
        algorithm = "auto" if layers else ALGORITHMS[choose(0, len(ALGORITHMS) - 1)]
        layers.append(Conv2d(below, width, 1 if layers else kernel, bias=clear_bias, algorithm=algorithm))
        layers += [ReLU()] * choose(0, 1)
    return Case(FusedConv(*layers), _image(choose, kernel, inputs), choose(1, 3))


def _sequential(choose: Choose) -> Case:
    channels, middle = choose(1, 3), choose(1, 4)
    pool = MaxPool2d(choose(2, 3), 2, ceil=True) if choose(0, 1) else AvgPool2d(2)
    tops: list[list[Layer]] = [[], [GlobalAvgPool()], [Flatten(), Linear(4 * 3, 2, bias=clear_bias)]]
    bottom = [Conv2d(channels, middle, 3, padding=1, bias=clear_bias), ReLU(), pool, Dropout(0.5)]
    layers: list[Layer] = [*bottom, Conv2d(middle, 3, 1, bias=clear_bias), ReLU(), *tops[choose(0, 2)]]
    return Case(Sequential(*layers), (4, 4, channels), choose(1, 3))


def _network(choose: Choose) -> Case:
    """A network of 1 to 3 blocks in the manner of Network in Network, with a classifier on each."""
    M, K, width = choose(1, 3), choose(2, 4), choose(1, 3)
    nodes, top = [], INPUT
    for m in range(M):
        conv = Conv2d(width if m else 2, width, 1 if m else 3, padding=0 if m else 1, bias=clear_bias)
        between: Layer = Dropout(0.5) if m else MaxPool2d(2, ceil=True)
        block = [conv, ReLU(), between] if m == 0 else [between, conv, ReLU()]
        for i, layer in enumerate([*block, GlobalAvgPool(), Linear(width, K, bias=clear_bias)]):
            nodes.append(Node(f"{m}.{i}", layer, (top if i == 0 else f"{m}.{i - 1}",)))
        top = f"{m}.2"
    shape = (choose(2, 5), choose(2, 5), 2)
    return Case(Logits(Network(nodes, [f"{m}.4" for m in range(M)], shape)), shape, choose(1, 3))


def _drawn(case: Callable[[Choose], Case]) -> Callable[[Choose], Case]:
    """The case with a seed, and every parameter drawn from a key of its own: two equal ones would hide an exchange."""

    def drawn(choose: Choose) -> Case:
        layer, shape, samples, _ = case(choose)
        seed = choose(0, 0xFFFFFF)
        initialise(layer.parameters(), Key(seed))
        move_biases(layer, shape, samples=samples, seed=seed)
        return Case(layer, shape, samples, seed)

    return drawn


def _without_arguments() -> dict[str, Callable[[Choose], Case]]:
    """Images through each public layer of one input whose constructor takes no argument."""

    def case(kind: type[Layer]) -> Callable[[Choose], Case]:
        return lambda choose: Case(kind(), _image(choose), choose(1, 4))

    public = {name: kind for name, kind in vars(layers).items() if isinstance(kind, type) and issubclass(kind, Layer)}
    free = {name for name, kind in public.items() if not inspect.signature(kind).parameters and kind.n_inputs == 1}
    return {name: case(public[name]) for name in sorted(free - {"Layer"})}


_LAYERS: dict[str, Callable[[Choose], Case]] = {
    **_without_arguments(),
    "Linear": _linear,
    "Conv2d": _conv2d,
    "MaxPool2d": _pool(MaxPool2d),
    "AvgPool2d": _pool(AvgPool2d),
    "Dropout": _dropout,
    "Maxout": _maxout,
    "LocalResponseNorm": _local_response_norm,
    "Concat": _concat,
    "Add": _add,
    "FusedConv": _fused_conv,
    "Sequential": _sequential,
    "Network": _network,
}
LAYERS = {name: _drawn(case) for name, case in _LAYERS.items()}
