"""Linear layers with ReLUs between them, on vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cldl.models.heads import NamedLayers, attach_heads
from engine.errors import UserError
from engine.initialisers import constant
from engine.typing import Shape, is_whole
from layers.linear import Linear
from layers.network import Network
from layers.node import INPUT, chain
from layers.relu import ReLU


def linear(shape: Shape, classes: int, classifiers: int = 3, hidden: Sequence[int] = (64, 64, 64)) -> Network:
    """Hidden linear layers with ReLUs on vectors (F,), a linear classifier on each of the upper ones.

    hidden -- their sizes; with none there is one classifier, a linear model

    Before it has seen a sample, a classifier prefers no class: its weights begin at 0.

    >>> linear((4,), 3, classifiers=2, hidden=(8, 6, 5)).exits
    ('head_relu2.linear', 'head_top.linear')
    """
    if len(shape) != 1 or shape[0] < 1:
        raise UserError(f"the samples' shape is {tuple(shape)}; linear layers take vectors (F,).")
    if not np.iterable(hidden) or not all(is_whole(size) and size > 0 for size in hidden):
        raise UserError(f"the hidden layers are {hidden!r}; give sizes of 1 or more, such as (64, 64, 64).")
    most = max(1, len(hidden))
    if not is_whole(classifiers) or not 1 <= classifiers <= most:
        raise UserError(
            f"the number of classifiers is {classifiers!r}, and {len(hidden)} hidden layers have places for 1 to {most}: give "
            "such a number, or more layers."
        )

    def head(seen: Shape) -> NamedLayers:
        return [("linear", Linear(seen[0], classes, weight=constant(0)))]

    if len(hidden) == 0:
        return Network(chain(INPUT, head(shape)), ["linear"], shape)
    trunk, sizes = [], (shape[0], *hidden)
    for i in range(1, len(sizes)):
        trunk += [(f"linear{i}", Linear(sizes[i - 1], sizes[i])), (f"relu{i}", ReLU())]
    taps = [f"relu{i}" for i in range(len(sizes) - classifiers, len(hidden))]
    return attach_heads(trunk, taps, head, head(sizes[-1:]), shape)
