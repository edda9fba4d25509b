"""Where the time of a training step goes: layer by layer, what was chosen, what it costs, how far it is from the peak.

Everything is measured from outside: each part of a network is put into a `Timed` layer, and a real `Trainer` takes real
steps on made-up images. One thread works, so that a layer's time is its own.

FLOPs are those of the direct convolution, whatever algorithm ran: 2 for a multiplication with its addition in the
forward pass, as many for the gradient of the weights, and as many for that of the input where somebody needs it. So an
algorithm that makes do with fewer, as the FFT does, may pass the peak.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from cldl.recipes.recipe import Recipe
from cldl.training.trainer import EpochMetrics, Trainer
from data.dataset import Dataset
from engine.context import Context
from engine.parameters import Parameter
from engine.random import Key
from engine.typing import Array, Shape
from layers.conv2d import Conv2d
from layers.fuse import Step
from layers.layer import Layer
from layers.network import Network
from layers.node import INPUT
from layers.relu import ReLU

STEPS = 5  # that are timed, after one that is not
SIDE = 1024  # of the square matrices whose product is the peak


@dataclass(frozen=True)
class Cost:
    """A part of a training step: what it does for a whole batch, and how long it takes on one thread."""

    name: str
    kind: str
    output: Shape = ()
    algorithm: str = ""
    flops: int = 0  # forward and backward, of the direct convolution
    bytes: int = 0  # forward and backward, were each array read or written once
    forward: float = 0.0  # seconds, the median over the steps
    backward: float = 0.0

    @property
    def seconds(self) -> float:
        return self.forward + self.backward

    @property
    def rate(self) -> float:
        """FLOP/s."""
        return self.flops / self.seconds if self.seconds else 0.0


class Timed(Layer):
    """A layer that notes how long its calls take: `seconds` is [forward, backward]."""

    def __init__(self, layer: Layer, cost: Cost) -> None:
        self.layer, self.cost, self.seconds = layer, cost, [0.0, 0.0]

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Any]:
        began = time.perf_counter()
        result = self.layer.forward(x, ctx)
        self.seconds[0] += time.perf_counter() - began
        return result

    def backward(self, dy: Array, cache: Any, ctx: Context, need_dx: bool = True) -> Array | None:
        began = time.perf_counter()
        dx = self.layer.backward(dy, cache, ctx, need_dx)
        self.seconds[1] += time.perf_counter() - began
        return dx

    def parameters(self) -> list[Parameter]:
        return self.layer.parameters()

    def output_shape(self, shape: Shape) -> Shape:
        return self.layer.output_shape(shape)

    def multiply_adds(self, shape: Shape) -> int:
        return self.layer.multiply_adds(shape)


def explain(recipe: Recipe, steps: int = STEPS) -> tuple[list[Cost], float]:
    """The parts of a training step, what is outside the layers last; and the peak of one thread in FLOP/s."""
    trainer = Trainer.from_recipe(recipe, made_up(recipe.build_network(), recipe.schedule.batch_size), threads=1)
    timed = watch(trainer.network, recipe.schedule.batch_size)
    stream = endless(trainer)
    next(stream)
    parts, outside = [], []
    for _ in range(steps):
        for part in timed:
            part.seconds = [0.0, 0.0]
        before = trainer.metrics.seconds
        next(stream)
        parts.append([part.seconds for part in timed])
        outside.append(trainer.metrics.seconds - before - float(np.sum(parts[-1])))
    seconds = np.median(parts, axis=0)  # (parts, 2)
    costs = [replace(part.cost, forward=f, backward=b) for part, (f, b) in zip(timed, seconds.tolist(), strict=True)]
    return [*costs, Cost("rest", "pixels, loss, update", forward=median(outside))], matmul_peak()


def watch(network: Network, samples: int) -> list[Timed]:
    """Put every step of the network into a `Timed` layer; nodes that run as one (see layers.fuse) are one step."""
    shapes = {node.name: shape for node, shape, _ in network.rows()}
    watched = [Timed(step.layer, _cost(step, shapes, samples)) for step in network.steps]
    network.steps = [replace(step, layer=timed) for step, timed in zip(network.steps, watched, strict=True)]
    return watched


def _cost(step: Step, shapes: dict[str, Shape], samples: int) -> Cost:
    """What is known of a step without a clock; of one that reads the image, the gradient of its input is not needed.

    Forward: x and every W in, every y out. Backward: dy, x, every other y and W in, dx and every dW out.
    """
    first, last, bottom = step.nodes[0], step.nodes[-1], step.inputs == (INPUT,)
    shape, kind, algorithm = shapes[first.name], type(first.layer).__name__, ""
    nodes = [node for node in step.nodes if not isinstance(node.layer, ReLU)] or [first]
    layers = [(node.layer, shapes[node.name]) for node in nodes]
    if isinstance(first.layer, Conv2d):
        kernels = (f"{layer.window.kernel}x{layer.window.kernel}" for layer, _ in layers if isinstance(layer, Conv2d))
        kind, algorithm = f"{kind} {', '.join(kernels)}", first.layer.conv_algorithm(shape).name
    products = 2 if bottom else 3
    ys = sum(math.prod(layer.output_shape(shape)) for layer, shape in layers)
    W = sum(p.value.size for layer, _ in layers for p in layer.parameters())
    direct = 3 * sum(layer.multiply_adds(shape) for layer, shape in layers)
    direct -= first.layer.multiply_adds(shape) if bottom else 0
    return Cost(
        first.name,
        kind,
        last.layer.output_shape(shapes[last.name]),
        algorithm,
        flops=2 * samples * direct,
        bytes=4 * (samples * (products * math.prod(shape) + 2 * ys) + 3 * W),
    )


def step_flops(network: Network, samples: int) -> int:
    """FLOPs of a training step by direct convolution."""
    bottom = sum(node.layer.multiply_adds(shape) for node, shape, _ in network.rows() if node.inputs == (INPUT,))
    return 2 * samples * (3 * network.multiply_adds() - bottom)


def made_up(network: Network, samples: int, batches: int = 1) -> Dataset:
    """Images of noise with labels drawn at random, of the network's form: to train on, and as many as a batch to test."""
    key, shape = Key(0), (samples * batches, *network.input_shape)
    images = key.words(int(np.prod(shape))).astype(np.uint8).reshape(shape)
    labels = (key.fold(1).words(len(images)) % network.classes).astype(np.int64)
    names = tuple(map(str, range(network.classes)))
    return Dataset.from_arrays("noise", images, labels, images[:samples], labels[:samples], names)


def endless(trainer: Trainer) -> Iterator[EpochMetrics]:
    """Steps without an end: the epoch begins again where it ended, and nothing is evaluated."""
    while True:
        yield from trainer.steps()
        trainer.step = 0


def matmul_peak(threads: int = 1, tries: int = 20) -> float:
    """FLOP/s of the fastest of some products of two float32 matrices by NumPy's BLAS: what this machine can do now."""
    a = np.ones((SIDE, SIDE), np.float32)
    out, best = np.empty_like(a), np.inf
    with threadpool_limits(threads, user_api="blas"):
        for _ in range(tries):
            began = time.perf_counter()
            np.matmul(a, a, out=out)
            best = min(best, time.perf_counter() - began)
    return 2 * SIDE**3 / best
