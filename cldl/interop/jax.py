"""The CLDL loss for models in JAX, as a `jax.custom_vjp`; it works under `jit` and `grad`.

>>> import pytest; jax = pytest.importorskip("jax")
>>> logits = [jnp.zeros((4, 10)) for _ in range(3)]  # of three classifiers, the bottom one first
>>> loss, gradients = jax.value_and_grad(cldl_loss)(logits, jnp.arange(4))
>>> len(gradients), gradients[0].shape
(3, (4, 10))
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cldl.objective import Objective


def cldl_loss(
    logits: Sequence[jax.Array],
    labels: jax.Array,
    weights: Sequence[float] | None = None,
    exponent: float | None = None,
    through_companions: bool = True,
    unweighted_share: float = 0.0,
) -> jax.Array:
    """The CLDL loss of M classifiers, an array without axes; its gradient is the explicit one of `cldl.loss`.

    logits             -- M arrays (N, K), the bottom classifier's first
    labels             -- (N,) integers
    weights            -- (M,), lambda, numbers that are known when `jit` traces; all 1 by default
    exponent           -- g; 1 / (M - 1) by default
    through_companions -- False holds every T^(m) constant, so that this is no longer the gradient of the loss
    unweighted_share   -- not the paper's: the share of each classifier's loss that T^(m) leaves alone (see `cldl.objective`)

    Both are computed on the processor, in float64, by a callback. The gradient has no gradient of its own. Raises UserError as
    `cldl.loss.cldl_loss` does; under `jit` it arrives within an error of JAX's own.
    """
    lambdas = (1.0,) * len(logits) if weights is None else tuple(float(w) for w in weights)
    objective = Objective(lambdas, exponent, through_companions, unweighted_share=unweighted_share)
    return _loss(objective, tuple(logits), labels)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _loss(objective: Objective, logits: tuple[jax.Array, ...], labels: jax.Array) -> jax.Array:
    return _forward(objective, logits, labels)[0]


def _forward(objective: Objective, logits: tuple[jax.Array, ...], labels: jax.Array) -> tuple[jax.Array, Any]:
    def on_host(logits: Sequence[Any], labels: Any) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        exact = [np.asarray(z, np.float64) for z in logits]
        result = objective(exact, np.asarray(labels))
        dtype = logits[0].dtype
        return np.asarray(result.value, dtype), tuple(
            g.astype(z.dtype) for g, z in zip(result.gradients, logits, strict=True)
        )

    shapes = (
        jax.ShapeDtypeStruct((), logits[0].dtype),
        tuple(jax.ShapeDtypeStruct(z.shape, z.dtype) for z in logits),
    )
    value, gradients = jax.pure_callback(on_host, shapes, logits, labels, vmap_method="sequential")
    return value, (gradients, labels)


def _backward(objective: Objective, residual: Any, dloss: jax.Array) -> tuple[tuple[jax.Array, ...], np.ndarray]:
    gradients, labels = residual
    no_gradient = np.zeros(jnp.shape(labels), jax.dtypes.float0)  # of integers, as JAX has it
    return tuple(dloss.astype(g.dtype) * g for g in gradients), no_gradient


_loss.defvjp(_forward, _backward)
