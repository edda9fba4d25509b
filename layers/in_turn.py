"""Early exit: a network's exits one after another; samples that leave at an exit are not computed by the layers above it.

Source: Teerapittayanon, McDanel and Kung, "BranchyNet: fast inference via early exiting from deep neural networks", ICPR 2016.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from engine.context import Context
from engine.typing import Array
from layers.fuse import Step
from layers.network import Network
from layers.node import INPUT, gather

Leaves = Callable[[int, Array], Array]


def turns(network: Network) -> list[list[Step]]:
    """For each exit the steps that it needs, less those that the exits before it needed; each in topological order."""
    by_name, found, known = {step.name: step for step in network.steps}, [], set[str]()
    for name in network.exits:
        needed, pending = set[str](), [name]
        while pending:
            node = pending.pop()
            if node != INPUT and node not in known and node not in needed:
                needed.add(node)
                pending += by_name[node].inputs
        known |= needed
        found.append([step for step in network.steps if step.name in needed])
    return found


def multiply_adds(network: Network) -> list[int]:
    """For each exit, the multiplications that are added up for one sample until its logits are there."""
    costs = {node.name: node.layer.multiply_adds(shape) for node, shape, _ in network.rows()}
    own = [sum(costs[node.name] for step in turn for node in step.nodes) for turn in turns(network)]
    return np.cumsum(own).tolist()


def forward_in_turn(network: Network, x: Array, ctx: Context, leaves: Leaves) -> tuple[list[Array], Array]:
    """The logits of samples x (N, H, W, C) at the exits that they come to, and at which each one left, (N,) in 0..M-1.

    leaves -- leaves(m, z): which of the samples with the logits z (n, K) leave at exit m, (n,) bool; at the last exit all do

    The logits are M arrays (N, K), NaN where a sample had left. A sample that stays sees the same layers as in
    `network.forward`, in batches that become smaller. Numerics: equal to the last bits, which may depend on the batch.
    """
    x = network.check_input(x)
    N, M, ctx.needs_backward = len(x), len(network.exits), False
    logits = [np.full((N, network.classes), np.nan, np.float32) for _ in range(M)]
    left_at, staying, h = np.full(N, M - 1), np.arange(N), {INPUT: x}
    plan = turns(network)
    reads = Counter(name for turn in plan for step in turn for name in step.inputs)  # outputs are freed after the last
    for m, (turn, name) in enumerate(zip(plan, network.exits, strict=True)):
        for step in turn:
            h[step.name] = step.layer.forward(gather(h, step.inputs), ctx)[0]
            for read in step.inputs:
                reads[read] -= 1
                if not reads[read]:
                    del h[read]
        z = ctx.to_host(h[name])
        logits[m][staying] = z
        if m < M - 1:
            is_leaving = leaves(m, z)
            left_at[staying[is_leaving]] = m
            kept = np.flatnonzero(~is_leaving)
            if not len(kept):
                break
            staying = staying[kept]
            if len(kept) < len(z):
                h = {node: values[kept] for node, values in h.items()}
    return logits, left_at
