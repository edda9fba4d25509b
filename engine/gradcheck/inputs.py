"""Numbers to check at: a grid in random order, so that no two are equal and none is near 0, clear of a layer's kinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeGuard

import numpy as np

from engine.context import Context
from engine.errors import UserError
from engine.gradcheck.differences import kink_near
from engine.gradcheck.function import as_pair
from engine.random import Key
from engine.typing import Shape, is_whole

Shapes = Shape | Sequence[Shape]  # of one input, or of several

MARGIN = 1e-3  # from the nearest kink: far more than any step, and than float32 rounds
ATTEMPTS = 200
# So many inputs may be rejected for a kink that only differences see; then the first of them is used after all, because some
# functions jump everywhere.
MEETINGS = 8

Domain = tuple[float, float]
DOMAIN: Domain = (-2.0, 2.0)


def is_shape(shape: Shapes) -> TypeGuard[Shape]:
    """Whether this is one shape, a tuple of numbers, and not several."""
    return isinstance(shape, tuple) and all(is_whole(n) for n in shape)


def every_shape(shape: Shapes) -> list[Shape]:
    """One shape or several, as a list; raises UserError for what is neither."""
    shapes = [shape] if is_shape(shape) else list(shape) if isinstance(shape, list | tuple) else []
    shapes = [tuple(part) if isinstance(part, list) else part for part in shapes]
    if not shapes or not all(is_shape(part) and min(part, default=1) > 0 for part in shapes):
        raise UserError(
            f"the input shape is {shape!r}; a tuple of whole numbers of 1 or more, such as (4, 4, 3), is needed, or a list of "
            "such tuples."
        )
    return shapes


def grid(shape: tuple[int, ...], key: Key, half_width: float = 2.0) -> np.ndarray:
    """Float64 numbers in (-half_width, half_width), equally spaced, in random order: no ties, and no zero.

    >>> sorted(grid((2, 2), Key(0)).ravel().tolist())
    [-1.5, -0.5, 0.5, 1.5]
    """
    size = int(np.prod(shape))
    cells = size + size % 2  # an even number of cells: no centre lies at 0
    centres = (np.arange(cells) + 0.5) / max(cells, 1) * 2 - 1
    return half_width * centres[key.permutation(cells)[:size]].reshape(shape)


def clear_input(layer: Any, shape: Shapes, context: Callable[..., Context], key: Key, domain: Domain = DOMAIN) -> Any:
    """An input (N, ...) from the grid that is clear of the layer's kinks, in training and in evaluation.

    Clear is where `layer.kink_distance`, if there is one, is at least MARGIN, and differences of the forward pass meet no kink.

    shape   -- that of the input, with N; of a layer with several inputs a sequence of shapes: the result is then a tuple of
               arrays, which have no number in common
    context -- `context(training=...)` gives the context of a pass
    domain  -- (low, high), between which the numbers are drawn

    Raises UserError if none of 200 inputs is far enough by `kink_distance`.
    """
    distance = getattr(layer, "kink_distance", lambda x, ctx: np.inf)
    modes = [partial(context, training=training) for training in (True, False)]
    met: list[Any] = []
    for x in candidates(shape, key, domain):
        if all(distance(x, mode()) >= MARGIN for mode in modes):
            if not any(_meets_kink(layer, x, mode, key) for mode in modes):
                return x
            met.append(x)
        if len(met) == MEETINGS:
            break
    if met:
        return met[0]
    raise UserError(
        f"none of {ATTEMPTS} inputs of shape {shape} is {MARGIN} away from the kinks of {layer}: check it at a smaller "
        "shape, where fewer kinks are near, or use the directional method of check_gradients."
    )


def candidates(shape: Shapes, key: Key, domain: Domain = DOMAIN) -> Iterator[Any]:
    """The inputs that `clear_input` tries, in their order.

    After the first each is on another grid, narrower (down to half) and with every number moved by up to a quarter of a cell: the
    same numbers in another order could leave a pixel, or the sum of some, on the same kink.
    """
    shapes = every_shape(shape)
    sizes = [int(np.prod(part)) for part in shapes]
    middle, half_width = (domain[0] + domain[1]) / 2, (domain[1] - domain[0]) / 2
    for attempt in range(ATTEMPTS):
        own = key.fold(attempt)
        numbers = grid((sum(sizes),), own, half_width * (1 - attempt / (2 * ATTEMPTS)))
        if attempt:
            numbers += (own.fold(1).uniform(numbers.shape) - 0.5) * half_width / (2 * max(numbers.size, 1))
        parts = np.split(middle + numbers, np.cumsum(sizes)[:-1])
        xs = tuple(part.reshape(own_shape) for part, own_shape in zip(parts, shapes, strict=True))
        yield xs[0] if is_shape(shape) else xs


def _meets_kink(layer: Any, x: Any, context: Callable[[], Context], key: Key) -> bool:
    """Whether there is a kink so near to x that differences in a random direction meet it."""
    xs = x if isinstance(x, tuple) else (x,)
    direction = [key.fold(i).normal(part.shape) for i, part in enumerate(xs)]

    def line(t: complex) -> np.ndarray:
        moved = tuple(part + t * v for part, v in zip(xs, direction, strict=True))
        return np.array(as_pair(layer.forward(moved if isinstance(x, tuple) else moved[0], context()))[0])

    return kink_near(line, key.fold(len(xs)).normal(line(0.0).shape))
