"""A node of a network: a layer with a name, and the names of its inputs."""

from __future__ import annotations

from dataclasses import dataclass

from layers.layer import Layer

INPUT = "x"  # the name of the network's input among the inputs of nodes


@dataclass(frozen=True)
class Node:
    """A layer with a name, and the names of the nodes whose outputs it takes; "x" is the network's input."""

    name: str
    layer: Layer
    inputs: tuple[str, ...] = (INPUT,)
