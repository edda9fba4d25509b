import numpy as np
import pytest

from engine.initialisers import constant, normal
from engine.optim.optimisers import SGD, AdamW
from engine.optim.schedules import power_inv
from engine.parameters import FlatBuffer, Parameter, cast


def problem(rates=(1.0, 0.5), decays=(1.0, 0.0)):
    shapes = [(3, 4), (5,)]
    parameters = [
        Parameter(s, normal(1), lr_mult=r, decay_mult=d) for s, r, d in zip(shapes, rates, decays, strict=True)
    ]
    cast(parameters, np.float64)
    gradients = FlatBuffer(parameters)
    gradients.buffer[:] = np.random.default_rng(0).normal(size=gradients.buffer.size)
    return parameters, gradients


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_follows_its_equations_over_several_steps(nesterov):
    parameters, gradients = problem()
    optimiser = SGD(parameters, momentum=0.9, nesterov=nesterov, decay=0.01)
    expected = [(p.value.copy(), np.zeros(p.shape)) for p in parameters]
    for _ in range(4):
        optimiser.step(gradients, 0.1)
        for i, p in enumerate(parameters):
            w, v = expected[i]
            g = gradients.views[p] + 0.01 * p.decay_mult * w
            v = 0.9 * v + g
            w = w - 0.1 * p.lr_mult * (g + 0.9 * v if nesterov else v)
            expected[i] = w, v
    for p, (w, _) in zip(parameters, expected, strict=True):
        assert np.allclose(p.value, w, rtol=1e-12)


def test_adamw_follows_its_equations_over_several_steps():
    parameters, gradients = problem()
    optimiser = AdamW(parameters, betas=(0.8, 0.95), epsilon=1e-6, decay=0.01)
    expected = [(p.value.copy(), np.zeros(p.shape), np.zeros(p.shape)) for p in parameters]
    for t in range(1, 5):
        optimiser.step(gradients, 0.1)
        for i, p in enumerate(parameters):
            w, m, s = expected[i]
            g = gradients.views[p]
            m, s = 0.8 * m + 0.2 * g, 0.95 * s + 0.05 * g * g
            step = (m / (1 - 0.8**t)) / (np.sqrt(s / (1 - 0.95**t)) + 1e-6)
            expected[i] = w - 0.1 * p.lr_mult * (step + 0.01 * p.decay_mult * w), m, s
    for p, (w, _, _) in zip(parameters, expected, strict=True):
        assert np.allclose(p.value, w, rtol=1e-12)


@pytest.mark.parametrize("power", [1, 2])
def test_the_penalty_is_the_gradient_of_the_norm_or_of_half_its_square(power):
    parameters, gradients = problem(rates=(1.0, 1.0))
    gradients.buffer[:] = 0
    before = parameters[0].value.copy()
    SGD(parameters, momentum=0.0, decay=0.3, penalty="square" if power == 2 else "norm").step(gradients, 1.0)
    moved = before - parameters[0].value

    def penalty(w):
        return 0.3 * np.linalg.norm(w) ** power / power

    for index in np.ndindex(before.shape):
        up, down = before.copy(), before.copy()
        up[index] += 1e-5
        down[index] -= 1e-5
        assert moved[index] == pytest.approx((penalty(up) - penalty(down)) / 2e-5, abs=1e-9)


def test_biases_are_not_decayed():
    parameters, gradients = problem()
    gradients.buffer[:] = 0
    before = parameters[1].value.copy()
    SGD(parameters, decay=0.5).step(gradients, 1.0)
    assert np.array_equal(parameters[1].value, before)


def test_a_parameter_of_rate_0_stays():
    parameters, gradients = problem(rates=(0.0, 1.0))
    before = parameters[0].value.copy()
    AdamW(parameters, decay=0.1).step(gradients, 0.1)
    assert np.array_equal(parameters[0].value, before)
    assert not np.array_equal(parameters[1].value, constant(0)(None, (5,)))


@pytest.mark.parametrize("optimiser", [SGD, AdamW])
def test_no_column_is_longer_than_its_limit_after_a_step_and_shorter_ones_are_as_without(optimiser):
    bounded, gradients = problem(rates=(1.0, 1.0))
    free, _ = problem(rates=(1.0, 1.0))
    gradients.buffer[:] *= 3
    lengths = np.sort(np.linalg.norm(bounded[0].value, axis=0))
    bounded[0].max_norm = float(lengths[1] + lengths[2]) / 2
    for parameters in (bounded, free):
        theirs = FlatBuffer(parameters)
        theirs.buffer[:] = gradients.buffer
        optimiser(parameters).step(theirs, 0.05)
    expected = free[0].value
    norms = np.linalg.norm(expected, axis=0)
    assert (norms > bounded[0].max_norm).any()
    assert (norms < bounded[0].max_norm).any()
    expected = expected * np.minimum(1, bounded[0].max_norm / norms)
    np.testing.assert_allclose(bounded[0].value, expected, rtol=1e-14)
    assert np.array_equal(bounded[1].value, free[1].value)


def test_the_kernels_of_a_convolution_are_bounded_one_by_one():
    kernels = Parameter((3, 3, 2, 4), normal(1), max_norm=0.9)
    gradients = FlatBuffer([kernels])
    directions = kernels.value / np.linalg.norm(kernels.value.reshape(18, 4), axis=0)
    SGD([kernels]).step(gradients, 0.1)
    np.testing.assert_allclose(kernels.value, 0.9 * directions, rtol=1e-6)


def test_a_parameters_own_policy_multiplies_its_rate_by_what_the_updates_before_make_of_it():
    parameters, gradients = problem(rates=(0.5, 1.0))
    parameters[0].lr_policy = power_inv(1.0, 0.5)  # 1, 2^-1/2, 3^-1/2
    before = [p.value.copy() for p in parameters]
    optimiser = SGD(parameters, momentum=0.0)
    for _ in range(3):
        optimiser.step(gradients, 0.1)
    moved = [(b - p.value) / gradients.views[p] for b, p in zip(before, parameters, strict=True)]
    np.testing.assert_allclose(moved[0], 0.1 * 0.5 * (1 + 2**-0.5 + 3**-0.5))
    np.testing.assert_allclose(moved[1], 0.1 * 3)


def test_the_momentum_can_be_set_between_steps():
    parameters, gradients = problem()
    optimiser = SGD(parameters, momentum=0.0)
    velocity = 0.0
    for momentum in (0.5, 0.6, 0.7):
        optimiser.momentum = momentum
        optimiser.step(gradients, 0.1)
        velocity = momentum * velocity + 1
    np.testing.assert_allclose(optimiser.state["velocity"].buffer, velocity * gradients.buffer)
