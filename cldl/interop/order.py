"""Layers in the order in which they are computed, the same for any two graphs of one network.

The list of a graph's nodes can have any topological order. The order here follows from the graph alone: walking back from
the output, inputs are visited in their order, which a concatenation fixes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.errors import UserError


def in_order(output: str, inputs: Callable[[str], Sequence[str]]) -> list[str]:
    """The names of all that `output` is computed from, each once and behind its inputs, and the output itself.

    Raises:    UserError, a predicate, where something is computed from itself.

    >>> in_order("sum", {"sum": ["a", "b"], "a": ["x"], "b": ["a"], "x": []}.__getitem__)
    ['x', 'a', 'b', 'sum']
    """
    done: dict[str, None] = {}
    begun: set[str] = set()
    stack = [(output, False)]
    while stack:
        name, complete = stack.pop()
        if complete:
            done[name] = None
        elif name not in done:
            if name in begun:
                raise UserError("has a node that is computed from itself")
            begun.add(name)
            stack.append((name, True))
            stack += ((below, False) for below in reversed(inputs(name)) if below not in done)
    return list(done)
