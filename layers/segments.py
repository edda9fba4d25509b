"""Segments of a network that threads compute at the same time, where there is one image for several of them.

A segment is a run of steps, each of which reads only the one before it. Segments whose inputs exist make a level: the four
branches of an inception, and beside them a head on the map that they read. One level follows another. Each segment has threads
in proportion to its work, and divides its operations among them (`Context.shares`). That is for inference: a training step has
many images, and its random numbers follow the order of the steps.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from engine.context import Context
from engine.ops.cost import INFERENCE
from engine.typing import Array, Shape
from layers.fuse import Step
from layers.node import INPUT, gather


@dataclass(frozen=True)
class Segment:
    """Steps one after another, and the work of all (see `_work`)."""

    steps: tuple[Step, ...]
    work: int

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.steps[0].inputs

    @property
    def name(self) -> str:
        """The step whose output is the segment's."""
        return self.steps[-1].name


@dataclass(frozen=True)
class Level:
    """Segments that do not read each other, the largest first, and the names that no later level reads."""

    segments: tuple[Segment, ...]
    last_reads: tuple[str, ...]

    def threads(self, available: int) -> list[int]:
        """How many threads each segment has: a share of them in proportion to its work, one at least."""
        total = max(sum(segment.work for segment in self.segments), 1)
        return [max(round(available * segment.work / total), 1) for segment in self.segments]


def levels(steps: Sequence[Step], exits: Collection[str], shapes: dict[str, Shape]) -> list[Level]:
    """The levels of a network's steps, which stand in topological order; `shapes` are those of the nodes' outputs."""
    reads = Counter([*exits, *(name for step in steps for name in step.inputs)])
    runs: dict[str, list[Step]] = {}  # by the name of the last step so far
    for step in steps:
        continues = len(step.inputs) == 1 and reads[step.inputs[0]] == 1
        run = runs.pop(step.inputs[0], []) if continues else []
        runs[step.name] = [*run, step]
    depth = {INPUT: 0}  # the level after which an output exists
    found: dict[int, list[Segment]] = {}
    for run in sorted(runs.values(), key=lambda run: steps.index(run[0])):
        segment = Segment(tuple(run), sum(_work(step, shapes) for step in run))
        depth[segment.name] = 1 + max(depth[name] for name in segment.inputs)
        found.setdefault(depth[segment.name], []).append(segment)
    last = {name: level for level in sorted(found) for segment in found[level] for name in segment.inputs}
    return [
        Level(
            tuple(sorted(found[level], key=lambda segment: -segment.work)),
            tuple(name for name in last if last[name] == level and name not in exits),
        )
        for level in sorted(found)
    ]


def forward(levels: Sequence[Level], exits: Sequence[str], x: Array, ctx: Context) -> list[Array]:
    """The logits, in inference: the threads of the pass go through the levels together.

    Raises:    KeyOrderError where a layer draws random numbers, whose keys follow the order of the steps.
    """
    h = {INPUT: x}
    del x
    for level in levels:
        forks = ctx.forks(level.threads(ctx.threads))
        ctx.parallel_for([partial(_run, segment, h, fork) for segment, fork in zip(level.segments, forks, strict=True)])
        for name in level.last_reads:
            del h[name]
    return [h[name] for name in exits]


def _run(segment: Segment, h: dict[str, Array], ctx: Context) -> None:
    """h[segment] = the output of its steps."""
    y = gather(h, segment.inputs)
    for step in segment.steps:
        y = step.layer.forward(y, ctx)[0]
    h[segment.name] = y


def _work(step: Step, shapes: dict[str, Shape]) -> int:
    """What a step costs, about, in multiply-adds: its own, and the time of some for every weight and every output."""
    layers = [(node.layer, gather(shapes, node.inputs)) for node in step.nodes]
    weights = sum(p.size for p in step.layer.parameters())
    multiply_adds = sum(layer.multiply_adds(shape) for layer, shape in layers)
    return multiply_adds + round(INFERENCE.product_weight * (weights + math.prod(shapes[step.name])))
