r"""CLDL as a simplified conditional random field, by brute force.

The field has a label y and, for each classifier t, a gate h_t that is 1 ("t misses") or 0 ("t has it"):

    P(y, h | x) = exp(-E(y, h) - sum_t U_t(h_t, y)) / Z(x)
    E(y, h)     = sum_m lambda_m C^(m)(y) prod over t != m of h_t        a cost counts while all companions miss
    U_t         = -log of the gate's probability:  P(h_t = 1 | y) = (1 - P^(t)(y))^g

Summing over the 2^M settings of the gates gives the free energy F(y) = -log sum_h exp(-E - U), and the posterior
P(y | x) = exp(-F(y)) / Z(x). CLDL's loss is the mean energy over the gates, L(y), which is never below F(y) (Jensen).
docs/derivation.md derives it and names the assumptions.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from engine.typing import Array


def energy(C: Array, weights: Array, h: Array) -> Array:
    """E (K,) = sum_m lambda_m C^(m) prod over t != m of h_t; C (M, K), weights, h (M,)."""
    return np.array([w * np.prod(np.delete(h, m)) for m, w in enumerate(weights)]) @ C


def settings(P: Array, weights: Array, g: float) -> Iterator[tuple[Array, Array]]:
    """For each of the 2^M settings of the gates: its probability (K,) and its energy (K,); P (M, K)."""
    C = -np.log(P)
    open_ = (1 - P) ** g  # (M, K), the probability of h_t = 1
    for bits in product((0.0, 1.0), repeat=len(P)):
        h = np.array(bits)
        yield np.prod(np.where(h[:, None] == 1, open_, 1 - open_), axis=0), energy(C, weights, h)


def mean_energies(P: Array, weights: Array, g: float) -> Array:
    """L(y) = sum_h P(h | y) E(y, h), (K,): what CLDL's loss should be."""
    return np.sum([probability * E for probability, E in settings(P, weights, g)], axis=0)


def free_energies(P: Array, weights: Array, g: float) -> Array:
    """F(y) = -log sum_h P(h | y) exp(-E(y, h)), (K,)."""
    return -np.log(np.sum([probability * np.exp(-E) for probability, E in settings(P, weights, g)], axis=0))


def second_moments(P: Array, weights: Array, g: float) -> Array:
    """sum_h P(h | y) E(y, h)^2, (K,): half of it bounds L - F."""
    return np.sum([probability * E**2 for probability, E in settings(P, weights, g)], axis=0)


def posterior(P: Array, weights: Array, g: float) -> Array:
    """P(y | x) = exp(-F(y)) / Z, (K,)."""
    terms = np.exp(-free_energies(P, weights, g))
    return terms / terms.sum()
