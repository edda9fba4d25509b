"""A network: named nodes in topological order, and exits, the nodes that are classifiers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from engine.context import Context
from engine.errors import UserError
from engine.parameters import Parameter, initialise
from engine.random import Key
from engine.typing import Array, Shape
from layers.fuse import fuse
from layers.node import INPUT, Node


class Network:
    """M classifiers on one graph of layers.

    Forward:   h_x = x, and for each node i in order h_i = layer_i(h of its inputs); z^(m) = h of exit m
    Backward:  h_i enters the loss through every node that reads it, and as logits if i is an exit. So dh_i is the sum of what
               all these give: exits begin with dz^(m), and from the last node to the first, layer_i's backward of dh_i is added
               to the dh of its inputs.
    Names:     node i's parameters are called i.weight and so on, whatever exits there are.
    Shapes:    x (N, *input_shape), z^(m) (N, K).
    Fusing:    neighbours that can run as one do so (see layers.fuse); the numbers are the same.
    Raises:    UserError for names that repeat or are unknown, nodes that no exit needs, shapes that do not fit.

    >>> from layers import Flatten, Linear, ReLU
    >>> nodes = [Node("flat", Flatten()), Node("hidden", Linear(4, 3), ("flat",)), Node("low", Linear(3, 2), ("hidden",))]
    >>> nodes += [Node("relu", ReLU(), ("hidden",)), Node("top", Linear(3, 2), ("relu",))]
    >>> network = Network(nodes, exits=("low", "top"), input_shape=(2, 2, 1))
    >>> (low, top), cache = network.forward(np.ones((5, 2, 2, 1), np.float32), ctx := Context())
    >>> low.shape, top.shape, network.backward([low, top], cache, ctx).shape
    ((5, 2), (5, 2), (5, 2, 2, 1))
    >>> [p.name for p in network.parameters()][:3]
    ['hidden.weight', 'hidden.bias', 'low.weight']
    """

    def __init__(self, nodes: Iterable[Node], exits: Sequence[str], input_shape: Shape) -> None:
        self.nodes, self.exits, self.input_shape = list(nodes), tuple(exits), tuple(input_shape)
        self._check_names()
        shapes = self.node_shapes()
        logits = {shapes[name] for name in self.exits}
        if len(logits) != 1 or len(next(iter(logits))) != 1:
            raise UserError(
                f"the exits give logits of shapes {sorted(logits)}; all must give the same K numbers: change their last layers."
            )
        ((self.classes,),) = logits
        self.steps = fuse(self.nodes, self.exits)
        self._name_parameters()

    def forward(self, x: Array, ctx: Context) -> tuple[list[Array], list]:
        """The logits of the exits, M arrays (N, K), and the cache for `backward`."""
        h: dict[str, Any] = {INPUT: x}
        caches = []
        last_readers = self._last_readers()
        for step, done in zip(self.steps, last_readers, strict=True):
            h[step.name], cache = step.layer.forward(_one_or_all([h[name] for name in step.inputs]), ctx)
            caches.append(cache if ctx.needs_backward else None)
            del cache
            for name in done:  # no later step reads it: its memory is free unless a cache holds it
                del h[name]
        return [h[name] for name in self.exits], caches

    def backward(self, dlogits: Sequence[Array], cache: list, ctx: Context, need_dx: bool = True) -> Array | None:
        """dx, where it is needed; the parameters' gradients are added to `ctx`."""
        dh: dict[str, Array] = {}
        for name, dz in zip(self.exits, dlogits, strict=True):
            _accumulate(dh, name, dz, ctx)
        for step, kept in zip(reversed(self.steps), reversed(cache), strict=True):
            need = need_dx or any(name != INPUT for name in step.inputs)
            dx = step.layer.backward(dh.pop(step.name), kept, ctx, need)
            for name, gradient in zip(step.inputs, dx if isinstance(dx, tuple) else (dx,), strict=True):
                if gradient is not None:
                    _accumulate(dh, name, gradient, ctx)
            del dx, gradient
        return dh.get(INPUT) if need_dx else None

    def initialise(self, key: Key) -> None:
        """Draw all weights anew, parameter i from `key.fold(i)`."""
        initialise(self.parameters(), key)

    def parameters(self) -> list[Parameter]:
        """All parameters in the order of the nodes, each once however often its layer stands in the network."""
        return list(dict.fromkeys(parameter for node in self.nodes for parameter in node.layer.parameters()))

    def node_shapes(self) -> dict[str, Shape]:
        """The shape of one sample of every node's output."""
        shapes: dict[str, Any] = {INPUT: self.input_shape}
        for node in self.nodes:
            shapes[node.name] = node.layer.output_shape(_one_or_all([shapes[name] for name in node.inputs]))
        del shapes[INPUT]
        return shapes

    def rows(self) -> list[tuple[Node, Any, Shape]]:
        """Every node with the shapes of one sample of its input (a tuple of shapes if it has several) and of its output."""
        shapes: dict[str, Any] = {INPUT: self.input_shape, **self.node_shapes()}
        return [(node, _one_or_all([shapes[name] for name in node.inputs]), shapes[node.name]) for node in self.nodes]

    def node_caches(self, cache: list) -> list[tuple[Node, Any]]:
        """Every node with what its layer's forward left for its backward."""
        return [row for step, kept in zip(self.steps, cache, strict=True) for row in step.caches(kept)]

    def multiply_adds(self) -> int:
        """Multiplications that are added up, for one sample's forward pass."""
        return sum(node.layer.multiply_adds(shape) for node, shape, _ in self.rows())

    def kink_distance(self, x: Array, ctx: Context) -> float:
        """The smallest of the nodes' distances, each at its own input."""
        h: dict[str, Any] = {INPUT: x}
        nearest = np.inf
        for node in self.nodes:
            inputs = _one_or_all([h[name] for name in node.inputs])
            nearest = min(nearest, node.layer.kink_distance(inputs, ctx))
            h[node.name], _ = node.layer.forward(inputs, ctx)
        return nearest

    def __repr__(self) -> str:
        nodes = ", ".join(f"{node.name} = {node.layer} of {' and '.join(node.inputs)}" for node in self.nodes)
        return f"Network({nodes}; exits {', '.join(self.exits)})"

    def _last_readers(self) -> list[list[str]]:
        """For each step, the outputs that no step after it reads; exits are left out."""
        last = {name: i for i, step in enumerate(self.steps) for name in (step.name, *step.inputs)}
        return [
            [name for name, i in last.items() if i == index and name not in self.exits]
            for index in range(len(self.steps))
        ]

    def _check_names(self) -> None:
        """Raise UserError unless names are unique, inputs come earlier, and every node leads to an exit."""
        known = {INPUT}
        for node in self.nodes:
            if node.name in known:
                raise UserError(f"two nodes are called {node.name!r}; names must be unique: rename one of them.")
            if unknown := [name for name in node.inputs if name not in known]:
                raise UserError(
                    f"node {node.name!r} takes the output of {unknown[0]!r}, which is no earlier node: list each node "
                    "after its inputs."
                )
            known.add(node.name)
        if not self.exits or len(set(self.exits)) != len(self.exits) or not set(self.exits) <= known - {INPUT}:
            raise UserError(f"the exits are {list(self.exits)}; different names of nodes are needed, one at least.")
        needed = set(self.exits)
        for node in reversed(self.nodes):
            if node.name not in needed:
                raise UserError(f"no exit needs node {node.name!r}: leave it out, or make it an exit.")
            needed.update(node.inputs)

    def _name_parameters(self) -> None:
        """Give every parameter the name that checkpoints rely on: conv1.weight."""
        names: dict[str, Parameter] = {}
        for node in reversed(self.nodes):  # a layer that stands twice is called by its first node
            for own, parameter in node.layer.named_parameters():
                parameter.name = f"{node.name}.{own}"
        for parameter in self.parameters():
            if parameter.name in names:
                raise UserError(
                    f"two parameters are called {parameter.name!r}; names must be unique: rename one of them."
                )
            names[parameter.name] = parameter


def _one_or_all(values: list) -> Any:
    """What a layer takes: its input, or a tuple if it has several."""
    return values[0] if len(values) == 1 else tuple(values)


def _accumulate(dh: dict[str, Array], name: str, gradient: Array, ctx: Context) -> None:
    """dh[name] += gradient, into new memory: the gradient may be somebody else's array."""
    if name in dh:
        gradient = np.add(dh[name], gradient, out=ctx.empty(gradient.shape, gradient.dtype))
    dh[name] = gradient
