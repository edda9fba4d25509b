"""LARS: each weight's step has a length in proportion to the weight's own."""

import numpy as np
import pytest

from engine.optim.lars import LARS, lars_reference
from tests.engine.optim.test_optimisers import problem


def test_lars_follows_its_reference_over_several_steps_whose_rates_differ():
    parameters, gradients = problem()
    optimiser = LARS(parameters, momentum=0.9, trust=0.01, weight_decay=0.02)
    expected = [(p.value.copy(), np.zeros(p.shape)) for p in parameters]
    for lr in (1.0, 3.0, 0.5):
        optimiser.step(gradients, lr)
        for i, p in enumerate(parameters):
            own = {"lr": lr * p.lr_mult, "weight_decay": 0.02 * p.decay_mult, "is_bias": p.decay_mult == 0}
            w, v = expected[i]
            expected[i] = lars_reference(w, gradients.views[p], v, momentum=0.9, trust=0.01, **own)
    for p, (w, v) in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(p.value, w, rtol=1e-12)
        np.testing.assert_allclose(optimiser.state["velocity"].views[p], v, rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_a_first_steps_length_is_a_part_of_the_weights_whatever_the_gradients(scale):
    parameters, gradients = problem()
    gradients.buffer[:] *= scale
    weight, bias = parameters
    before = [p.value.copy() for p in parameters]
    LARS(parameters, trust=0.01).step(gradients, 2.0)
    moved = [b - p.value for b, p in zip(before, parameters, strict=True)]
    assert np.linalg.norm(moved[0]) == pytest.approx(2 * 0.01 * np.linalg.norm(before[0]))
    np.testing.assert_allclose(
        moved[0] / np.linalg.norm(moved[0]), gradients.views[weight] / np.linalg.norm(gradients.views[weight])
    )
    np.testing.assert_allclose(moved[1], 2 * 0.5 * 0.01 * gradients.views[bias], rtol=1e-6, atol=1e-15)


def test_weights_of_zeros_move_and_without_gradients_nothing_does():
    parameters, gradients = problem(lr_mults=(1.0, 1.0))
    parameters[0].value[...] = 0
    LARS(parameters, trust=0.01, weight_decay=0.1).step(gradients, 2.0)
    np.testing.assert_allclose(parameters[0].value, -2 * 0.01 * gradients.views[parameters[0]])
    before = [p.value.copy() for p in parameters]
    gradients.buffer[:] = 0
    LARS(parameters, trust=0.01).step(gradients, 2.0)
    assert all(np.array_equal(p.value, b) for p, b in zip(parameters, before, strict=True))


def test_the_step_of_a_weight_that_only_decays_is_a_part_of_its_length_too():
    parameters, gradients = problem()
    gradients.buffer[:] = 0
    before = parameters[0].value.copy()
    LARS(parameters, trust=0.01, weight_decay=0.3).step(gradients, 2.0)
    np.testing.assert_allclose(parameters[0].value, (1 - 2 * 0.01) * before)


def test_by_default_the_trust_is_the_published_one_and_nothing_decays():
    (default, gradients), (published, same) = problem(), problem()
    for optimiser, own in (
        (LARS(default), gradients),
        (LARS(published, momentum=0.9, trust=0.001, weight_decay=0.0, penalty="l2"), same),
    ):
        for _ in range(2):
            optimiser.step(own, 1.0)
    assert all(np.array_equal(a.value, b.value) for a, b in zip(default, published, strict=True))
