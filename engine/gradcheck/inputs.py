"""Numbers to check at: a grid in random order, so that no two are equal and none is near 0, clear of a layer's kinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.context import Context
from engine.errors import UserError
from engine.random import Key

MARGIN = 1e-3  # from the nearest kink: far more than any step, and than float32 rounds
ATTEMPTS = 200


def grid(shape: tuple[int, ...], key: Key, half_width: float = 2.0) -> np.ndarray:
    """Float64 numbers in (-half_width, half_width), equally spaced, in random order: no ties, and no zero.

    >>> sorted(grid((2, 2), Key(0)).ravel().tolist())
    [-1.5, -0.5, 0.5, 1.5]
    """
    size = int(np.prod(shape))
    cells = size + size % 2  # an even number of cells: no centre lies at 0
    centres = (np.arange(cells) + 0.5) / max(cells, 1) * 2 - 1
    return half_width * centres[key.permutation(cells)[:size]].reshape(shape)


def clear_input(layer: Any, shape: tuple[int, ...], context: Callable[..., Context], key: Key) -> np.ndarray:
    """An input (N, ...) from the grid whose `layer.kink_distance` is at least MARGIN, in training and in evaluation.

    `context(training=...)` gives the context of a pass. Every attempt is on a narrower grid, from 2 down to 1: a few numbers in
    another order are the same few, and a pixel on a kink would stay there. Raises UserError if none of 200 inputs is far enough.
    """
    distance = getattr(layer, "kink_distance", lambda x, ctx: np.inf)
    for attempt in range(ATTEMPTS):
        x = grid(shape, key.fold(attempt), 2 - attempt / ATTEMPTS)
        if all(distance(x, context(training=training)) >= MARGIN for training in (True, False)):
            return x
    raise UserError(
        f"none of {ATTEMPTS} inputs of shape {shape} is {MARGIN} away from the kinks of {layer}: check it at a smaller "
        "shape, where fewer kinks are near, or use the directional method of check_gradients."
    )
