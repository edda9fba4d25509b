"""Numbers to check at: a grid in random order, so that no two are equal and none is near 0, clear of a layer's kinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard, cast

import numpy as np

from engine.context import Context
from engine.errors import UserError
from engine.random import Key
from engine.typing import Shape

Shapes = Shape | Sequence[Shape]  # of one input, or of several

MARGIN = 1e-3  # from the nearest kink: far more than any step, and than float32 rounds
ATTEMPTS = 200


def is_shape(shape: Shapes) -> TypeGuard[Shape]:
    """Whether this is one shape, a tuple of numbers, and not several."""
    return isinstance(shape, tuple) and all(isinstance(n, int | np.integer) for n in shape)


def every_shape(shape: Shapes) -> list[Shape]:
    """One shape or several, as a list."""
    return [shape] if is_shape(shape) else [tuple(part) for part in cast(Sequence[Shape], shape)]


def grid(shape: tuple[int, ...], key: Key, half_width: float = 2.0) -> np.ndarray:
    """Float64 numbers in (-half_width, half_width), equally spaced, in random order: no ties, and no zero.

    >>> sorted(grid((2, 2), Key(0)).ravel().tolist())
    [-1.5, -0.5, 0.5, 1.5]
    """
    size = int(np.prod(shape))
    cells = size + size % 2  # an even number of cells: no centre lies at 0
    centres = (np.arange(cells) + 0.5) / max(cells, 1) * 2 - 1
    return half_width * centres[key.permutation(cells)[:size]].reshape(shape)


def clear_input(layer: Any, shape: Shapes, context: Callable[..., Context], key: Key) -> Any:
    """An input (N, ...) from the grid whose `layer.kink_distance` is at least MARGIN, in training and in evaluation.

    shape   -- that of the input, with N; of a layer with several inputs a sequence of shapes: the result is then a tuple of
               arrays, which have no number in common
    context -- `context(training=...)` gives the context of a pass

    Raises UserError if none of 200 inputs is far enough.
    """
    distance = getattr(layer, "kink_distance", lambda x, ctx: np.inf)
    for x in candidates(shape, key):
        if all(distance(x, context(training=training)) >= MARGIN for training in (True, False)):
            return x
    raise UserError(
        f"none of {ATTEMPTS} inputs of shape {shape} is {MARGIN} away from the kinks of {layer}: check it at a smaller "
        "shape, where fewer kinks are near, or use the directional method of check_gradients."
    )


def candidates(shape: Shapes, key: Key) -> Iterator[Any]:
    """The inputs that `clear_input` tries, in their order.

    Each is on a narrower grid, from 2 down to 1: the same numbers in another order could leave a pixel on the same kink.
    """
    for attempt in range(ATTEMPTS):
        yield _draw(shape, key.fold(attempt), 2 - attempt / ATTEMPTS)


def _draw(shape: Shapes, key: Key, half_width: float) -> Any:
    """An array from the grid, or a tuple of arrays from one grid."""
    if is_shape(shape):
        return grid(shape, key, half_width)
    shapes = every_shape(shape)
    sizes = [int(np.prod(part)) for part in shapes]
    numbers = np.split(grid((sum(sizes),), key, half_width), np.cumsum(sizes)[:-1])
    return tuple(part.reshape(own) for part, own in zip(numbers, shapes, strict=True))
