import numpy as np
import pytest

from engine.optimisers import SGD, AdamW
from engine.parameters import Flat, Parameter, cast, constant, normal
from engine.schedules import learning_rate


def problem(rates=(1.0, 0.5), decays=(1.0, 0.0)):
    shapes = [(3, 4), (5,)]
    parameters = [Parameter(s, normal(1), rate=r, decay=d) for s, r, d in zip(shapes, rates, decays, strict=True)]
    cast(parameters, np.float64)
    gradients = Flat(parameters)
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
            g = gradients.views[p] + 0.01 * p.decay * w
            v = 0.9 * v + g
            w = w - 0.1 * p.rate * (g + 0.9 * v if nesterov else v)
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
            expected[i] = w - 0.1 * p.rate * (step + 0.01 * p.decay * w), m, s
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


@pytest.mark.parametrize("schedule", ["constant", "polynomial", "cosine"])
def test_a_schedule_begins_at_1_and_ends_at_its_floor(schedule):
    assert learning_rate(schedule, 0.0, floor=0.1) == pytest.approx(1)
    assert learning_rate(schedule, 1.0, floor=0.1) == pytest.approx(1 if schedule == "constant" else 0.1)


def test_warm_up_rises_in_a_line_from_0():
    values = [learning_rate("constant", p, warmup=0.2) for p in (0, 0.05, 0.1, 0.2, 0.5)]
    assert values == pytest.approx([0, 0.25, 0.5, 1, 1])


def test_steps_multiply_by_the_factor():
    assert [learning_rate("step", p, steps=(0.5, 0.75)) for p in (0.4, 0.6, 0.8)] == pytest.approx([1, 0.1, 0.01])


def test_the_cosine_is_half_way_in_the_middle():
    assert learning_rate("cosine", 0.5) == pytest.approx(0.5)
