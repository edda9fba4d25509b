"""CLDL as a simplified conditional random field: every claim of the derivation, by brute force on small cases."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cldl.inference import class_losses
from cldl.study import crf
from engine.gradcheck import grid
from engine.random import Key
from tests.strategies import seeds


@st.composite
def fields(draw, least=1):
    """(P (M, K), weights, g)."""
    M, K = draw(st.integers(least, 4)), draw(st.integers(2, 5))
    e = np.exp(grid((M, K), Key(draw(seeds)), draw(st.sampled_from([0.5, 2.0, 4.0]))))
    weights = np.array([draw(st.sampled_from([0.25, 1.0, 1.5])) for _ in range(M)])
    return e / e.sum(axis=1, keepdims=True), weights, draw(st.sampled_from([0.5, 1.0, 2.0]))


@given(field=fields())
def test_the_mean_energy_is_the_loss(field):
    P, weights, g = field
    expected = class_losses([row[None] for row in np.log(P)], weights, g)[0]
    np.testing.assert_allclose(crf.mean_energies(*field), expected, rtol=1e-10)


@given(field=fields())
def test_the_gates_probabilities_sum_to_one(field):
    np.testing.assert_allclose(sum(probability for probability, _ in crf.settings(*field)), 1, rtol=1e-12)


@given(field=fields())
def test_the_posterior_is_the_marginal_of_the_joint(field):
    """From the cliques, written out: exp(-E - U) over all labels and gates, normalised, and the gates summed out."""
    P, weights, g = field
    M, K = P.shape
    joint = np.zeros((K, *(2,) * M))
    for y, *h in product(range(K), *((0, 1),) * M):
        E = sum(-weights[m] * np.log(P[m, y]) * all(h[t] for t in range(M) if t != m) for m in range(M))
        wrong = (1 - P[:, y]) ** g
        U = -sum(np.log(wrong[t] if h[t] else 1 - wrong[t]) for t in range(M))
        joint[y, *h] = np.exp(-E - U)
    joint /= joint.sum()
    np.testing.assert_allclose(crf.posterior(*field), joint.sum(axis=tuple(range(1, M + 1))), rtol=1e-10)


@given(field=fields(least=2))
def test_the_free_energy_in_closed_form(field):
    """Two closed gates make the energy 0; one, t's, leaves only t's cost; none leaves all."""
    P, weights, g = field
    wrong = (1 - P) ** g
    none = np.prod(wrong, axis=0)
    only = np.array([(1 - wrong[t]) * np.prod(np.delete(wrong, t, axis=0), axis=0) for t in range(len(P))])
    likely = P ** weights[:, None]
    total = (1 - none - only.sum(axis=0)) + (only * likely).sum(axis=0) + none * np.prod(likely, axis=0)
    np.testing.assert_allclose(np.exp(-crf.free_energies(*field)), total, rtol=1e-10)


@given(field=fields())
def test_the_free_energy_lies_below_the_loss_by_half_the_second_moment_at_most(field):
    gap = crf.mean_energies(*field) - crf.free_energies(*field)
    assert (gap >= -1e-12).all()
    assert (gap <= crf.second_moments(*field) / 2 + 1e-12).all()


@given(field=fields())
def test_the_loss_and_the_log_of_the_classes_bound_the_negative_log_likelihood(field):
    P = field[0]
    assert (-np.log(crf.posterior(*field)) <= crf.mean_energies(*field) + np.log(P.shape[1]) + 1e-12).all()


@given(seed=seeds)
def test_one_classifier_is_the_field_itself(seed):
    e = np.exp(grid((1, 4), Key(seed), 3.0))
    P = e / e.sum()
    field = (P, np.ones(1), 1.0)
    np.testing.assert_allclose(crf.posterior(*field), P[0], rtol=1e-12)
    np.testing.assert_allclose(crf.free_energies(*field), crf.mean_energies(*field), rtol=1e-12)
    assert np.exp(-crf.free_energies(*field)).sum() == pytest.approx(1, rel=1e-12)
