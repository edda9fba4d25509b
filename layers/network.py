"""A network: layers as named nodes, and the exits at which it classifies.

The nodes stand in topological order: each reads only the input, "x", and nodes before it. One walk over them is the forward
pass, one walk back is the backward pass:

    forward    h_x = x;  h_v = f_v(h_u, ...) for every node v, u its inputs;  z^(m) = h_e, e the m-th exit
    backward   dh_u = [u is the m-th exit] dz^(m) + sum over the nodes v that read u of (∂f_v/∂h_u)^T dh_v

All nodes that read u come after it, so on the walk back dh_u is complete before node u is reached. This one sum covers
fan-out, both to several nodes and from an exit that other nodes read as well.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np

from engine.context import Context, KeyOrderError
from engine.errors import UserError
from engine.parameters import Parameter, initialise
from engine.random import Key
from engine.typing import Array, Shape
from layers import segments
from layers.border import Like, check_array, check_gradient, like
from layers.fuse import Step, fuse
from layers.node import INPUT, Node, check_nodes, gather


class Network:
    """Layers as named nodes in topological order, with M exits.

    Shapes:    x (N, *input_shape), z^(m) (N, K).
    Memory:    h_v is held until its last reader has run, dh_v until v's backward has; a backward pass uses up its cache.
    Numerics:  neighbours that can run as one do (layers.fuse), with the same bits. A gradient that reaches no parameter is not
               computed, unless dx is needed.
    Names:     a parameter is called after its node: conv1.weight.
    Raises:    UserError for a repeated or unknown name, a node that leads to no exit, exits that differ in K; for samples of
               another shape than `input_shape`, gradients unlike the logits, and a cache that is used twice.

    >>> from layers import Flatten, Linear, Network, Node, ReLU, chain
    >>> trunk = chain("x", [("flatten", Flatten()), ("linear1", Linear(4, 3)), ("relu1", ReLU())])
    >>> low, top = Node("low", Linear(3, 2), ("linear1",)), Node("top", Linear(3, 2), ("relu1",))
    >>> network = Network([*trunk, low, top], exits=["low", "top"], input_shape=(2, 2, 1))
    >>> ctx = Context()
    >>> logits, cache = network.forward(np.ones((5, 2, 2, 1), np.float32), ctx)
    >>> [z.shape for z in logits]
    [(5, 2), (5, 2)]
    >>> network.backward([np.ones_like(z) for z in logits], cache, ctx).shape
    (5, 2, 2, 1)
    >>> [p.name for p in network.parameters() if p in ctx.gradients()]
    ['linear1.weight', 'linear1.bias', 'low.weight', 'low.bias', 'top.weight', 'top.bias']

    nodes -- as given; steps -- what runs, the same nodes fused.
    """

    def __init__(self, nodes: Sequence[Node], exits: Sequence[str], input_shape: Shape) -> None:
        self.nodes, self.exits, self.input_shape = tuple(nodes), tuple(exits), tuple(input_shape)
        check_nodes(self.nodes, self.exits)
        self._shapes = _shapes(self.nodes, self.input_shape)
        self.classes = _classes({name: self._shapes[name] for name in self.exits})  # K
        self.steps = fuse(self.nodes, self.exits)
        self._reads = Counter([*self.exits, *(name for node in self.nodes for name in node.inputs)])
        self._learning = _learning(self.nodes)
        self._finished = _finished(self.steps)
        self._levels = segments.levels(self.steps, self.exits, {INPUT: self.input_shape, **self._shapes})
        self._draws_in_inference = False  # as far as is known
        _name_parameters(self.nodes)

    def forward(self, x: Array, ctx: Context) -> tuple[list[Array], list]:
        """The logits, M arrays (N, K), and the cache for one `backward`."""
        x = self.check_input(x)
        if ctx.threads > 1 and not ctx.training and not ctx.needs_backward and not self._draws_in_inference:
            try:
                return segments.forward(self._levels, self.exits, x, ctx), []
            except KeyOrderError:
                self._draws_in_inference = True  # from now on one step after another
        h, reads, cache = {INPUT: x}, self._reads.copy(), []
        del x
        for step in self.steps:
            h[step.name], own = step.layer.forward(_take(h, reads, step.inputs), ctx)
            cache.append(own if ctx.needs_backward else None)
            del own  # it may hold what no later node reads
        logits = [h[name] for name in self.exits]
        if ctx.needs_backward:
            cache.append([like(z) for z in logits])
        return logits, cache

    def backward(self, dlogits: Sequence[Array], cache: list, ctx: Context, need_dx: bool = True) -> Array | None:
        """dx, where it is needed; the parameters' gradients are added to `ctx`."""
        if len(cache) != len(self.steps) + 1:
            raise UserError("a backward pass has used this cache up: give the one of a new forward pass.")
        dh = self._check_gradients(dlogits, cache[-1])
        cache.pop()
        for step in reversed(self.steps):
            dy, own = dh.pop(step.name, None), cache.pop()
            if dy is not None:
                needed = [need_dx or self.learns(name) for name in step.inputs]
                dx: Any = step.layer.backward(dy, own, ctx, any(needed))
                if any(needed):
                    _accumulate(dx if isinstance(dx, tuple) else (dx,), step.inputs, needed, dh, ctx)
                del dx
            if ctx.on_finished:
                ctx.on_finished(self._finished[step.name])
            del dy, own
        return dh.get(INPUT)

    def check_input(self, x: Array) -> Array:
        """x; raises UserError unless it is an array of samples of `input_shape`."""
        x = check_array("the network", x)
        if x.shape[1:] != self.input_shape:
            raise UserError(
                f"the network was given samples of shape {x.shape[1:]}; it takes {self.input_shape}: convert them, or build it "
                "for them."
            )
        return x

    def _check_gradients(self, dlogits: Sequence[Array], logits: list[Like]) -> dict[str, Array]:
        """dz^(m) by the exit's name; raises UserError unless there is one for each exit, like its logits."""
        if len(dlogits) != len(self.exits):
            raise UserError(
                f"the network was given {len(dlogits)} gradients; {len(self.exits)} are needed, one for each of the exits "
                f"{', '.join(self.exits)}."
            )
        given = zip(self.exits, dlogits, logits, strict=True)
        return {name: check_gradient(f"the exit {name!r}", dz, z) for name, dz, z in given}

    def trace(self, x: Array, ctx: Context) -> Iterator[tuple[Node, Any, Array]]:
        """The forward pass node by node: each node, its input (a tuple where there are several) and its output."""
        h, reads = {INPUT: self.check_input(x)}, self._reads.copy()
        for node in self.nodes:
            inputs = _take(h, reads, node.inputs)
            h[node.name] = node.layer.forward(inputs, ctx)[0]
            yield node, inputs, h[node.name]

    def parameters(self) -> list[Parameter]:
        """All parameters in the order of the nodes, each once."""
        return list(dict.fromkeys(p for node in self.nodes for p in node.layer.parameters()))

    def initialise(self, key: Key) -> None:
        """Draw all parameters anew, the i-th from key.fold(i)."""
        initialise(self.parameters(), key)

    def node_shapes(self) -> dict[str, Shape]:
        """The shape of one sample of every node's output."""
        return {node.name: self._shapes[node.name] for node in self.nodes}

    def rows(self) -> list[tuple[Node, Any, Shape]]:
        """Every node with the shapes of one sample of its input (a tuple of shapes if it has several) and of its output."""
        return [(node, gather(self._shapes, node.inputs), self._shapes[node.name]) for node in self.nodes]

    def multiply_adds(self) -> int:
        """Multiplications that are added up, for one sample's forward pass."""
        return sum(node.layer.multiply_adds(shape) for node, shape, _ in self.rows())

    def sample_bytes(self) -> int:
        """What the outputs of all steps take for one sample in float32: a training step holds them until its backward pass."""
        return 4 * sum(math.prod(self._shapes[step.name]) for step in self.steps)

    def learns(self, name: str) -> bool:
        """Whether a node's output depends on parameters, so that a training step needs its gradient."""
        return name in self._learning

    def kink_distance(self, x: Array, ctx: Context) -> float:
        """How far, in the largest change of any element of a layer's input, the nearest kink of any layer is."""
        return min(node.layer.kink_distance(inputs, ctx) for node, inputs, _ in self.trace(x, ctx))

    def _repr_html_(self) -> str:
        """A table of the nodes, as a notebook shows it; an exit stands out."""
        head = ("node", "layer", "inputs", "output", "parameters", "multiply-adds")
        lines = [f"<tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>"]
        for node, shape, output in self.rows():
            cells = (
                f"<b>{escape(node.name)}</b>" if node.name in self.exits else escape(node.name),
                escape(type(node.layer).__name__),
                escape(", ".join(node.inputs)),
                " x ".join(map(str, output)),
                f"{sum(p.size for p in node.layer.parameters()):,}",
                f"{node.layer.multiply_adds(shape):,}",
            )
            lines.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
        return f"<table>{''.join(lines)}</table>"

    def __repr__(self) -> str:
        nodes = ", ".join(f"{node.name}: {node.layer!r} of {', '.join(node.inputs)}" for node in self.nodes)
        return f"Network({nodes}; exits {', '.join(self.exits)})"


def _take(h: dict[str, Array], reads: Counter[str], names: tuple[str, ...]) -> Any:
    """The inputs of these names; those that nothing else reads leave h."""
    inputs = gather(h, names)
    for name in names:
        reads[name] -= 1
        if not reads[name]:
            del h[name]
    return inputs


def _accumulate(
    dx: Sequence[Array], names: Sequence[str], needed: Sequence[bool], dh: dict[str, Array], ctx: Context
) -> None:
    """dh[name] += dx, where it is needed; in new memory, because what a layer returns may be a view of its dy."""
    for name, need, d in zip(names, needed, dx, strict=True):
        if need:
            dh[name] = np.add(dh[name], d, out=ctx.empty(d.shape, d.dtype)) if name in dh else d


def _shapes(nodes: Sequence[Node], input_shape: Shape) -> dict[str, Shape]:
    shapes = {INPUT: input_shape}
    for node in nodes:
        shapes[node.name] = node.layer.output_shape(gather(shapes, node.inputs))
    return shapes


def _classes(exits: dict[str, Shape]) -> int:
    """K, the length of the vector that every exit gives."""
    shapes = set(exits.values())
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        given = ", ".join(f"{name} {shape}" for name, shape in exits.items())
        raise UserError(f"the exits give logits of shapes {given}; all must give the same K numbers.")
    return next(iter(shapes))[0]


def _learning(nodes: Sequence[Node]) -> set[str]:
    """The nodes whose output depends on a parameter."""
    names: set[str] = set()
    for node in nodes:
        if node.layer.parameters() or not names.isdisjoint(node.inputs):
            names.add(node.name)
    return names


def _finished(steps: Sequence[Step]) -> dict[str, list[Parameter]]:
    """The parameters to whose gradients nothing is added after the backward of a step: those that no step below it has."""
    found, seen = dict[str, list[Parameter]](), set[Parameter]()
    for step in steps:
        found[step.name] = [p for p in step.layer.parameters() if p not in seen]
        seen.update(found[step.name])
    return found


def _name_parameters(nodes: Sequence[Node]) -> None:
    """Call every parameter after its node, or the first of its nodes."""
    owners: dict[str, Parameter] = {}
    named = {
        parameter: f"{node.name}.{name}"
        for node in reversed(nodes)
        for name, parameter in reversed(node.layer.named_parameters())
    }
    for parameter, name in named.items():
        if owners.setdefault(name, parameter) is not parameter:
            raise UserError(
                f"two parameters are called {name!r}: let `named_parameters` of their layer tell them apart."
            )
        parameter.name = name
