"""The checker for JAX: the rule that somebody wrote for a `jax.custom_vjp`.

>>> import pytest; jax = pytest.importorskip("jax")
>>> jax.config.update("jax_enable_x64", True)
>>> square = jax.custom_vjp(lambda x: x * x)
>>> square.defvjp(lambda x: (x * x, x), lambda x, dy: (2 * x * dy,))
>>> check_function(square, np.array([0.5, -1.0, 2.0])).passed
True
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import UserError
from engine.gradcheck.check import check_gradients
from engine.gradcheck.report import GradientReport
from engine.typing import Array


def check_function(
    function: Callable[..., Any], inputs: Array | Sequence[Array] | Mapping[str, Array], **options: Any
) -> GradientReport:
    """Hold the gradients of a function of arrays against differences of its values (see `check_gradients`).

    function -- called with arrays; it returns an array or a tuple of them
    inputs   -- arrays, or a mapping from names to them, or the only one as it is: numbers with a fraction are taken as float64,
                integers are handed on. What is no array goes into a lambda: check_function(lambda x: power(x, 3), x)
    options  -- those of `check_gradients`: method, seed, dy, ...

    Outputs of integers have no gradient and are left out. Raises UserError where JAX computes in 32 bits, and what
    `check_gradients` raises.
    """
    if jnp.zeros(1, float).dtype != np.float64:
        raise UserError(
            "JAX computes in 32 bits, which is too coarse for differences: call jax.config.update('jax_enable_x64', True) first."
        )
    named = dict(inputs) if isinstance(inputs, Mapping) else _numbered(inputs)
    arrays = {name: _array(value) for name, value in named.items()}
    moves = [array.dtype == np.float64 for array in arrays.values()]

    def forward(*xs: Array) -> tuple[Any, Any]:
        def of_moving(*moving: jax.Array) -> Any:
            rest = iter(moving)
            ys = function(*(next(rest) if moves[i] else jnp.asarray(x) for i, x in enumerate(xs)))
            several = ys if isinstance(ys, tuple) else (ys,)
            return tuple(y for y in several if jnp.issubdtype(y.dtype, jnp.floating)), isinstance(ys, tuple)

        moving = [jnp.asarray(x) for x, does in zip(xs, moves, strict=True) if does]
        ys, pull, several = jax.vjp(of_moving, *moving, has_aux=True)
        values = tuple(np.asarray(y) for y in ys)
        return (values if several else values[0]), (ys, pull)

    def backward(dy: Any, cache: Any) -> list[Array | None]:
        ys, pull = cache
        dys = dy if isinstance(dy, tuple) else (dy,)
        found = iter(pull(tuple(jnp.asarray(d, y.dtype) for d, y in zip(dys, ys, strict=True))))
        return [np.asarray(next(found)) if does else None for does in moves]

    report = check_gradients(forward, backward, arrays, **options)
    return replace(report, call="check_function(function, inputs")


def _numbered(inputs: Array | Sequence[Array]) -> dict[str, Array]:
    listed = [inputs] if isinstance(inputs, np.ndarray | jax.Array) else inputs
    return {"x" if len(listed) == 1 else f"x{i}": value for i, value in enumerate(listed)}


def _array(value: Any) -> Array:
    array = np.asarray(value)
    return array.astype(np.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array
