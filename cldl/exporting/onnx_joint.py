r"""The joint prediction of M classifiers in ONNX's operators: `cldl.inference.predict`, line by line, in float64.

d = margins(z);  C = log(1 + e^-d);  log q = -log(1 + e^d)
L(y) = sum over m of lambda_m C^(m) exp(g sum over t != m of log q^(t));  the label is the class of the smallest L
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from cldl.exporting.graph import Graph
from cldl.objective import Objective
from engine.typing import Array


def add_label(graph: Graph, objective: Objective, logits: Sequence[str], classes: int) -> str:
    """The label (N,) int64 that the objective predicts from M logits (N, K) float32."""
    if objective.loss != "cldl":
        return graph.add("ArgMax", logits[-1], name="top_label", axis=1, keepdims=0)
    d = [_margins(graph, z, classes) for z in logits]
    losses = _class_losses(graph, objective, d)
    preference = reduce(lambda a, b: graph.add("Add", a, b), d)  # the mean margin, times M
    is_best = graph.add("Equal", losses, graph.add("ReduceMin", losses, axes=[1]))
    return graph.add("ArgMax", graph.add("Where", is_best, preference, _number(-np.inf)), axis=1, keepdims=0)


def _margins(graph: Graph, logits: str, classes: int) -> str:
    """d (N, K): each class's score less the log-sum-exp of the others; those of the largest are summed by themselves."""
    z = graph.cast(logits, np.float64)
    top = graph.add("ArgMax", logits, axis=1)  # (N, 1), the first of equals
    is_top = graph.add("Equal", top, np.arange(classes, dtype=np.int64)[None])  # (N, K)
    largest = graph.add("ReduceMax", z, axes=[1])
    below = graph.add("Sub", z, largest)
    rest = graph.add("Where", is_top, _number(0), graph.add("Exp", below))
    total = graph.add("Add", graph.add("ReduceSum", rest, np.array([1], np.int64)), _number(1))
    d = graph.add("Sub", below, graph.add("Log", graph.add("Sub", total, rest)))
    others = graph.add("Where", is_top, _number(-np.inf), z)
    second = graph.add("ReduceMax", others, axes=[1])
    sums = graph.add("ReduceSum", graph.add("Exp", graph.add("Sub", others, second)), np.array([1], np.int64))
    runners = graph.add("Add", graph.add("Log", sums), graph.add("Sub", second, largest))
    return graph.add("Where", is_top, graph.add("Neg", runners), d)


def _class_losses(graph: Graph, objective: Objective, d: Sequence[str]) -> str:
    """L (N, K)."""
    C = [_log1p_exp(graph, graph.add("Neg", margin)) for margin in d]
    log_q = [graph.add("Neg", _log1p_exp(graph, margin)) for margin in d]
    terms = []
    for m, weight in enumerate(objective.weights):
        term = graph.add("Mul", C[m], _number(weight))
        companions = [log_q[t] for t in range(len(d)) if t != m]
        if companions:
            log_T = graph.add("Mul", reduce(lambda a, b: graph.add("Add", a, b), companions), _number(objective.g))
            term = graph.add("Mul", term, graph.add("Exp", log_T))
        terms.append(term)
    return reduce(lambda a, b: graph.add("Add", a, b), terms)


def _log1p_exp(graph: Graph, v: str) -> str:
    """log(1 + e^v) = max(v, 0) + log1p(u), u = e^-|v|; log1p(u) = u log(w) / (w - 1) with w = 1 + u (Kahan), u where w is 1."""
    u = graph.add("Exp", graph.add("Neg", graph.add("Abs", v)))
    w = graph.add("Add", u, _number(1))
    over = graph.add("Sub", w, _number(1))
    is_small = graph.add("Equal", over, _number(0))
    divisor = graph.add("Where", is_small, _number(1), over)
    log1p = graph.add("Where", is_small, u, graph.add("Div", graph.add("Mul", u, graph.add("Log", w)), divisor))
    return graph.add("Add", graph.add("Max", v, _number(0)), log1p)


def _number(value: float) -> Array:
    return np.array(value, np.float64)
