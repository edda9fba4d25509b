"""Where the time of a training step goes: for each layer its algorithm, its cost and its share of the peak.

The layer of each step of the network (see layers.fuse) is wrapped in a `Timed` layer, and a `Trainer` takes steps on synthetic
images. One thread works, so that a layer's time is its own.

FLOPs are those of the direct convolution, whatever algorithm ran: 2 for a multiplication with its addition in the
forward pass, as many for the gradient of the weights, and as many for that of the input where it is needed. So an
algorithm that needs fewer, as the FFT does, may exceed the peak.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from cldl.recipes.recipe import Recipe
from cldl.training.metrics import EpochMetrics
from cldl.training.trainer import Trainer
from data.dataset import Dataset, VariedSplit, read_images
from engine.context import Context
from engine.random import Key
from engine.runtime.cpu import CHUNK
from engine.typing import Array, Shape
from layers.conv2d import Conv2d
from layers.fuse import Step
from layers.layer import Layer
from layers.network import Network
from layers.node import INPUT, Node
from layers.relu import ReLU

STEPS = 5  # timed, after one that is not
READ = 64  # images whose reading is timed
TRIES = 5  # of which the fastest counts
SIDE = 1024  # of the square matrices whose product is the peak
MEGA, GIGA = 1e6, 1e9


@dataclass(frozen=True)
class Cost:
    """A part of a training step: what it does for a whole batch, and how long it takes on one thread."""

    name: str
    kind: str
    output: Shape = ()
    algorithm: str = ""
    flops: int = 0  # forward and backward, of the direct convolution
    bytes: int = 0  # forward and backward, if each array is read or written once
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
    """A layer that measures how long its calls take: `seconds` is [forward, backward]."""

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


def explain(recipe: Recipe, steps: int = STEPS) -> tuple[list[Cost], list[float]]:
    """The parts of a training step, the time outside the layers last; and the peak FLOP/s of one thread, measured at every step.

    Steps and peak are measured in turn, so that what else the machine does slows down both.
    """
    trainer = Trainer.from_recipe(
        recipe, synthetic_dataset(recipe.build_network(), recipe.schedule.batch_size), threads=1
    )
    timed = time_steps(trainer.network, recipe.schedule.batch_size)
    stream = endless_steps(trainer)
    next(stream)
    parts, outside, peaks = [], [], []
    for _ in range(steps):
        peaks.append(matmul_peak())
        for part in timed:
            part.seconds = [0.0, 0.0]
        before = trainer.metrics.seconds
        next(stream)
        parts.append([part.seconds for part in timed])
        outside.append(trainer.metrics.seconds - before - float(np.sum(parts[-1])))
    seconds = np.median(parts, axis=0)  # (parts, 2)
    costs = [replace(part.cost, forward=f, backward=b) for part, (f, b) in zip(timed, seconds.tolist(), strict=True)]
    return [*costs, Cost("rest", "pixels, loss, update", forward=median(outside))], peaks


def seconds_to_read(split: VariedSplit, images: int = READ) -> float:
    """Seconds in which one thread reads an image of a split, as drawn for a training: the mean over some."""
    drawn, count = split.varied(Key(0)), min(images, len(split))
    began = time.perf_counter()
    read_images(drawn, range(count))
    return (time.perf_counter() - began) / count


def limit(reading: float, training: float) -> str:
    """Which of the two is the limit, in a sentence; both in seconds an image on one thread.

    >>> limit(0.004, 0.046)
    'images: 4.0 ms to read one, 46.0 ms to train on it, so the network is the limit; reading takes 8% of the threads'
    """
    slower = "the network" if training >= reading else "reading"
    return (
        f"images: {1000 * reading:.1f} ms to read one, {1000 * training:.1f} ms to train on it, so {slower} is the limit; "
        f"reading takes {reading / (reading + training):.0%} of the threads"
    )


def time_steps(network: Network, samples: int) -> list[Timed]:
    """Time every step of the network from now on; nodes that run as one (see layers.fuse) are one step."""
    timed = [Timed(step.layer, _cost(network, step, samples)) for step in network.steps]
    network.steps = [replace(step, layer=timed[i]) for i, step in enumerate(network.steps)]
    return timed


def _cost(network: Network, step: Step, samples: int) -> Cost:
    """The size and the FLOPs of a step, without its times.

    Forward: x and every W in, every y out. Backward: dy, x, every other y and W in, dx, where it is needed, and every dW out.
    """
    shapes, first = {INPUT: network.input_shape, **network.node_shapes()}, step.nodes[0]
    nodes = [node for node in step.nodes if not isinstance(node.layer, ReLU)] or [first]
    kind, algorithm = type(first.layer).__name__, ""
    if isinstance(first.layer, Conv2d):
        kernels = (node.layer.window.kernel for node in nodes if isinstance(node.layer, Conv2d))
        kind = f"{kind} {', '.join(f'{k}x{k}' for k in kernels)}"
        algorithm = first.layer.conv_algorithm((min(samples, CHUNK), *shapes[step.inputs[0]])).name
    x = sum(math.prod(shapes[name]) for name in step.inputs)
    dx = sum(math.prod(shapes[name]) for name in step.inputs if network.learns(name))
    y = sum(math.prod(shapes[node.name]) for node in nodes)
    W = sum(p.size for node in nodes for p in node.layer.parameters())
    return Cost(
        first.name,
        kind,
        shapes[step.name],
        algorithm,
        flops=_flops(network, step.nodes, samples),
        bytes=4 * (samples * (2 * x + dx + 2 * y) + 3 * W),
    )


def _flops(network: Network, nodes: Sequence[Node], samples: int) -> int:
    """Those of the forward pass, as many for dW, and as many for dx if a parameter below needs it."""

    def products(node: Node) -> int:
        return 3 if any(map(network.learns, node.inputs)) else 2

    rows = [(node, shape) for node, shape, _ in network.rows() if node in nodes]
    return 2 * samples * sum(products(node) * node.layer.multiply_adds(shape) for node, shape in rows)


def step_flops(network: Network, samples: int) -> int:
    """FLOPs of a training step by direct convolution."""
    return _flops(network, network.nodes, samples)


def synthetic_dataset(network: Network, samples: int, batches: int = 1) -> Dataset:
    """Noise with random labels, of the network's input shape: `batches` batches to train on, one to test on."""
    key, shape = Key(0), (samples * batches, *network.input_shape)
    images = key.words(int(np.prod(shape))).astype(np.uint8).reshape(shape)
    labels = (key.fold(1).words(len(images)) % network.classes).astype(np.int64)
    names = tuple(map(str, range(network.classes)))
    return Dataset.from_arrays("noise", images, labels, images[:samples], labels[:samples], names)


def endless_steps(trainer: Trainer) -> Iterator[EpochMetrics]:
    """Steps without end: the epoch is begun again, and nothing is evaluated."""
    while True:
        yield from trainer.steps()
        trainer.step = 0


def matmul_peak(threads: int = 1, tries: int = TRIES) -> float:
    """FLOP/s of the fastest of some products of two float32 matrices by NumPy's BLAS: what this machine can do now."""
    a = np.ones((SIDE, SIDE), np.float32)
    out, best = np.empty_like(a), np.inf
    with threadpool_limits(threads, user_api="blas"):
        for _ in range(tries):
            began = time.perf_counter()
            np.matmul(a, a, out=out)
            best = min(best, time.perf_counter() - began)
    return 2 * SIDE**3 / best
