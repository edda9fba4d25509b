"""The losses, and whole networks from pixels to loss, held against differences by `python -m cldl.gradcheck`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from cldl.hinge import hinge_loss
from cldl.loss import cldl_loss
from cldl.objective import Objective
from cldl.recipes import FAMILIES
from cldl.recipes.recipe import Recipe
from cldl.verification.cases import Choose
from engine.context import Context
from engine.gradcheck import GradientReport, check_gradients, grid
from engine.initialisers import he
from engine.parameters import cast, initialise
from engine.random import Key
from engine.typing import Array
from layers.network import Network


def loss_pair(
    labels: Array,
    weights: Sequence[float],
    exponent: float | None,
    through_companions: bool,
    frozen: Array | None = None,
) -> tuple[Callable, Callable]:
    """cldl_loss as a forward/backward pair of its M arrays of logits.

    `frozen`, the T^(m) (M, N), holds the companions constant in the forward pass too: sum lambda_m C^(m) frozen^(m).
    """

    def forward(*logits: Array):
        result = cldl_loss(logits, labels, weights, exponent, through_companions)
        if frozen is None:
            return result.value, result.gradients
        C = np.stack([cldl_loss([z], labels).per_classifier[0] for z in logits])  # (M, N): alone, T = 1
        return float((np.asarray(weights) @ (C * frozen)).mean()), result.gradients

    return forward, lambda dy, gradients: [dy * dz for dz in gradients]


def check_cldl_loss(choose: Choose, seed: int) -> GradientReport:
    """cldl_loss against differences: any M, K, exponent and lambda, with and without the companions' terms."""
    M, K, N, through = choose(1, 6), choose(2, 12), choose(1, 4), bool(choose(0, 1))
    exponent = [None, M - 1.0, 1.0, 0.0, 2.5][choose(0, 4)]
    key = Key(seed)
    logits = {f"z{m + 1}": grid((N, K), key.fold(m), 3.0) for m in range(M)}
    labels = (key.fold(100).permutation(N * K)[:N] % K).astype(np.int64)
    weights = [choose(0, 4) / 2 for _ in range(M)]
    frozen = None if through else cldl_loss(list(logits.values()), labels, weights, exponent).companions
    return check_gradients(*loss_pair(labels, weights, exponent, through, frozen), logits, seed=seed)


def check_hinge_loss(choose: Choose, seed: int) -> GradientReport:
    """hinge_loss against differences: any M, K and lambda."""
    M, K, N = choose(1, 4), choose(2, 12), choose(1, 4)
    key = Key(seed)
    logits = {f"z{m + 1}": grid((N, K), key.fold(m), 3.0) for m in range(M)}
    labels = (key.fold(100).permutation(N * K)[:N] % K).astype(np.int64)
    weights = [choose(0, 4) / 2 for _ in range(M)]

    def forward(*logits: Array):
        result = hinge_loss(logits, labels, weights)
        return result.value, result.gradients

    return check_gradients(forward, lambda dy, gradients: [dy * dz for dz in gradients], logits, seed=seed)


def check_network(network: Network, objective: Objective, choose: Choose, seed: int) -> GradientReport:
    """A network from pixels and every weight to the loss, in float64, in random directions."""
    key = Key(seed)
    initialise(network.parameters(), key)
    for i, p in enumerate(network.parameters()):
        if p.name.startswith("head") and len(p.shape) == 2:
            p.value[...] = he(key.fold(1000 + i), p.shape)  # where they begin at 0, that hides what goes through them
            p.touch()
    cast(network.parameters(), np.float64)
    x, labels = grid((1, *network.input_shape), key.fold(1), 1.0), np.array([choose(0, network.classes - 1)])

    def forward(x: Array):
        ctx = Context(training=True, key=key)
        logits, cache = network.forward(x, ctx)
        result = objective(logits, labels)
        return result.value, (ctx, cache, result.gradients)

    def backward(dy: float, cache: tuple):
        ctx, own, dlogits = cache
        dx = network.backward([dy * dz for dz in dlogits], own, ctx)
        gradients = ctx.gradients()
        return [dx, *(gradients[p] for p in network.parameters())]

    return check_gradients(forward, backward, {"pixels": x}, network.parameters(), method="directional", seed=seed)


def checkable(recipe: Recipe) -> Recipe:
    """The recipe with a network small enough to be checked whole, and weights large enough to matter."""
    return recipe.changed(**{**recipe.data.checked_at, **recipe.model.checked_at})


def check_family(recipe: Recipe, choose: Choose, seed: int) -> GradientReport:
    """The network and the loss of a family's recipe: weights large enough to matter, a lambda of its own for each classifier."""
    recipe = checkable(recipe)
    lambdas = tuple((m + 1) / 4 for m in range(recipe.model.n_classifiers))
    return check_network(recipe.build_network(), replace(recipe.build_objective(), weights=lambdas), choose, seed)


END_TO_END: dict[str, Callable[[Choose, int], GradientReport]] = {
    "cldl_loss": check_cldl_loss,
    "hinge_loss": check_hinge_loss,
    **{family: partial(check_family, recipes[0]) for family, recipes in FAMILIES.items()},
}
ONCE = set(FAMILIES)  # large: one example is enough
