import numpy as np
import pytest

from engine.errors import UserError
from engine.initialisers import constant, normal
from engine.optim.lars import LARS
from engine.optim.optimisers import SGD, AdamW, adamw_reference, bound_reference, sgd_reference
from engine.optim.schedules import power_inv
from engine.parameters import FlatBuffer, Parameter, cast
from tests.on_gpu import OnGpu


def problem(lr_mults=(1.0, 0.5), decay_mults=(1.0, 0.0)):
    shapes = [(3, 4), (5,)]
    parameters = [
        Parameter(s, normal(1), lr_mult=r, decay_mult=d) for s, r, d in zip(shapes, lr_mults, decay_mults, strict=True)
    ]
    cast(parameters, np.float64)
    gradients = FlatBuffer(parameters)
    rng = np.random.default_rng(0)
    for view in gradients.views.values():
        view[...] = rng.normal(size=view.shape)
    return parameters, gradients


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_follows_its_reference_over_several_steps(nesterov):
    parameters, gradients = problem()
    optimiser = SGD(parameters, momentum=0.9, nesterov=nesterov, weight_decay=0.01)
    expected = [(p.value.copy(), np.zeros(p.shape)) for p in parameters]
    for _ in range(4):
        optimiser.step(gradients, 0.1)
        for i, p in enumerate(parameters):
            own = {"lr": 0.1 * p.lr_mult, "weight_decay": 0.01 * p.decay_mult}
            w, v = expected[i]
            expected[i] = sgd_reference(w, gradients.views[p], v, momentum=0.9, nesterov=nesterov, **own)
    for p, (w, v) in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(p.value, w, rtol=1e-12)
        np.testing.assert_allclose(optimiser.state["velocity"].views[p], v, rtol=1e-12)


def test_adamw_follows_its_reference_over_several_steps():
    parameters, gradients = problem()
    betas, epsilon = (0.8, 0.95), 1e-6
    optimiser = AdamW(parameters, betas=betas, epsilon=epsilon, weight_decay=0.01)
    expected = [(p.value.copy(), np.zeros(p.shape), np.zeros(p.shape)) for p in parameters]
    for t in range(1, 5):
        optimiser.step(gradients, 0.1)
        for i, p in enumerate(parameters):
            w, m, s = expected[i]
            own = {"lr": 0.1 * p.lr_mult, "weight_decay": 0.01 * p.decay_mult}
            expected[i] = adamw_reference(w, gradients.views[p], m, s, t, betas=betas, epsilon=epsilon, **own)
    for p, (w, m, s) in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(p.value, w, rtol=1e-12)
        np.testing.assert_allclose(optimiser.state["mean"].views[p], m, rtol=1e-12)
        np.testing.assert_allclose(optimiser.state["square"].views[p], s, rtol=1e-12)


def test_by_default_sgd_has_momentum_and_neither_decays_weights():
    parameters, gradients = problem()
    start, g = parameters[0].value.copy(), 1e-8 * gradients.views[parameters[0]]
    gradients.buffer[:] *= 1e-8  # so small that AdamW's epsilon shows
    SGD(parameters).step(gradients, 0.1)
    second = parameters[0].value.copy()
    np.testing.assert_allclose(second, start - 0.1 * g, rtol=1e-12)
    AdamW(parameters).step(gradients, 0.1)
    np.testing.assert_allclose(parameters[0].value, second - 0.1 * g / (np.abs(g) + 1e-8), rtol=1e-6)
    gradients.buffer[:] *= 1e8
    optimiser = SGD(parameters)
    start, g = parameters[0].value.copy(), gradients.views[parameters[0]]
    optimiser.step(gradients, 0.1)
    optimiser.step(gradients, 0.1)
    np.testing.assert_allclose(parameters[0].value, start - 0.1 * (1 + 1.9) * g, rtol=1e-12)


def test_the_references_first_steps_are_those_known_in_closed_form():
    w, g = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    assert np.allclose(sgd_reference(w, g, np.zeros(2), lr=0.1, momentum=0.9)[0], w - 0.1 * g)
    assert np.allclose(sgd_reference(w, g, np.zeros(2), lr=0.1, momentum=0.9, nesterov=True)[0], w - 0.1 * 1.9 * g)
    first = {"lr": 0.1, "betas": (0.9, 0.999), "epsilon": 0}
    adam = adamw_reference(w, g, np.zeros(2), np.zeros(2), 1, **first)
    assert np.allclose(adam[0], w - 0.1 * np.sign(g))  # the bias corrections make m / sqrt(s) the sign of g
    decayed = adamw_reference(w, g, np.zeros(2), np.zeros(2), 1, weight_decay=0.5, **first)
    assert np.allclose(decayed[0], w - 0.1 * np.sign(g) - 0.05 * w)


@pytest.mark.parametrize("make", [SGD, LARS, AdamW])
def test_buffers_are_laid_out_by_bind_or_the_first_step_and_follow_the_parameters_dtype(make):
    parameters, _ = problem()
    optimiser = make(parameters, weight_decay=0.1)
    before = [p.value for p in parameters]
    assert all(p.value is value for p, value in zip(parameters, before, strict=True))
    assert optimiser.state == {}
    cast(parameters, np.float32)
    optimiser.bind()
    assert {flat.buffer.dtype for flat in (optimiser.weights, *optimiser.state.values())} == {np.dtype(np.float32)}
    assert all(np.may_share_memory(p.value, optimiser.weights.buffer) for p in parameters)
    bound, weights = make(parameters, weight_decay=0.1), optimiser.weights
    optimiser.step(FlatBuffer(parameters), 0.1)
    assert optimiser.weights is weights  # the first step keeps them
    bound.step(FlatBuffer(parameters), 0.1)
    assert np.may_share_memory(parameters[0].value, bound.weights.buffer)


@pytest.mark.parametrize("make", [SGD, LARS, AdamW])
def test_a_nan_learning_rate_makes_an_update_a_no_op(make):
    parameters, gradients = problem()
    parameters[0].max_norm = 0.1
    optimiser = make(parameters, weight_decay=0.1)
    optimiser.step(gradients, 0.1)
    parameters[0].value *= 3  # beyond its bound
    before = [flat.buffer.copy() for flat in (optimiser.weights, *optimiser.state.values())]
    optimiser.step(gradients, np.nan)
    after = [flat.buffer for flat in (optimiser.weights, *optimiser.state.values())]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("make", [SGD, AdamW])
def test_the_penalty_is_the_gradient_of_the_norm_or_of_half_its_square(make, power):
    parameters, gradients = problem(lr_mults=(1.0, 1.0))
    gradients.buffer[:] = 0
    before = parameters[0].value.copy()
    make(parameters, weight_decay=0.3, penalty="l2" if power == 2 else "norm").step(gradients, 1.0)
    moved = before - parameters[0].value

    def penalty(w):
        return 0.3 * np.linalg.norm(w) ** power / power

    for index in np.ndindex(before.shape):
        up, down = before.copy(), before.copy()
        up[index] += 1e-5
        down[index] -= 1e-5
        assert moved[index] == pytest.approx((penalty(up) - penalty(down)) / 2e-5, abs=1e-9)


@pytest.mark.parametrize("make", [SGD, LARS, AdamW])
def test_an_unknown_penalty_is_refused(make):
    with pytest.raises(UserError) as refusal:
        make(problem()[0], penalty="l1")
    assert str(refusal.value) == "the penalty 'l1' is unknown; choose one of l2, norm."


@pytest.mark.parametrize("make", [SGD, LARS, AdamW])
def test_without_another_word_the_penalty_is_half_the_square(make):
    (default, gradients), (l2, _) = problem(), problem()
    make(default, weight_decay=0.3).step(gradients, 0.1)
    same = FlatBuffer(l2)
    same.buffer[:] = gradients.buffer
    make(l2, weight_decay=0.3, penalty="l2").step(same, 0.1)
    assert all(np.array_equal(a.value, b.value) for a, b in zip(default, l2, strict=True))


def test_biases_are_not_decayed():
    parameters, gradients = problem()
    gradients.buffer[:] = 0
    before = parameters[1].value.copy()
    SGD(parameters, weight_decay=0.5).step(gradients, 1.0)
    assert np.array_equal(parameters[1].value, before)


def test_a_parameter_whose_lr_mult_is_0_does_not_change():
    parameters, gradients = problem(lr_mults=(0.0, 1.0))
    before = parameters[0].value.copy()
    AdamW(parameters, weight_decay=0.1).step(gradients, 0.1)
    assert np.array_equal(parameters[0].value, before)
    assert not np.array_equal(parameters[1].value, constant(0)(None, (5,)))


@pytest.mark.parametrize("optimiser", [SGD, LARS, AdamW])
def test_no_column_is_longer_than_its_bound_after_a_step_and_shorter_ones_are_as_without_one(optimiser):
    bounded, gradients = problem(lr_mults=(1.0, 1.0))
    free, _ = problem(lr_mults=(1.0, 1.0))
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
    np.testing.assert_allclose(bounded[0].value, bound_reference(expected, bounded[0].max_norm), rtol=1e-14)
    assert np.array_equal(bounded[1].value, free[1].value)


def test_the_kernels_of_a_convolution_are_bounded_one_by_one():
    kernels = Parameter((3, 3, 2, 4), normal(1), max_norm=0.9)
    gradients = FlatBuffer([kernels])
    directions = kernels.value / np.linalg.norm(kernels.value.reshape(18, 4), axis=0)
    SGD([kernels]).step(gradients, 0.1)
    np.testing.assert_allclose(kernels.value, 0.9 * directions, rtol=1e-6)


def test_a_parameters_lr_policy_multiplies_its_learning_rate_by_a_function_of_the_steps_before():
    policy = power_inv(1.0, 0.5)  # 1, 2^-1/2, 3^-1/2
    parameters = [Parameter((3, 4), normal(1), lr_mult=0.5, lr_policy=policy), Parameter((5,), normal(1))]
    cast(parameters, np.float64)
    gradients = FlatBuffer(parameters)
    gradients.buffer[:] = np.random.default_rng(0).normal(size=gradients.buffer.size)
    before = [p.value.copy() for p in parameters]
    optimiser = SGD(parameters, momentum=0.0)
    for _ in range(3):
        optimiser.step(gradients, 0.1)
    moved = [(b - p.value) / gradients.views[p] for b, p in zip(before, parameters, strict=True)]
    np.testing.assert_allclose(moved[0], 0.1 * 0.5 * (1 + 2**-0.5 + 3**-0.5))
    np.testing.assert_allclose(moved[1], 0.1 * 3)


@pytest.mark.parametrize("make", [SGD, LARS, AdamW])
def test_a_value_assigned_between_steps_is_what_the_next_step_starts_from(make):
    (assigned, gradients), (written, same) = problem(), problem()
    for parameters, own in ((assigned, gradients), (written, same)):
        optimiser = make(parameters)
        optimiser.step(own, 0.1)
        if parameters is assigned:
            parameters[0].value = np.full((3, 4), 7.0)
        else:
            parameters[0].value[...] = 7
        optimiser.step(own, 0.1)
        optimiser.step(own, 0.1)
    assert all(np.array_equal(a.value, b.value) for a, b in zip(assigned, written, strict=True))


@pytest.mark.parametrize("make", [SGD, LARS, AdamW])
def test_a_step_tells_its_parameters_that_they_have_changed(make):
    parameters, gradients = problem()
    optimiser = make(parameters)
    for _ in range(2):
        before = [p.version for p in parameters]
        optimiser.step(gradients, 0.1)
        assert all(p.version > version for p, version in zip(parameters, before, strict=True))


def test_the_momentum_can_be_set_between_steps():
    parameters, gradients = problem()
    optimiser = SGD(parameters, momentum=0.0)
    velocity = 0.0
    for momentum in (0.5, 0.6, 0.7):
        optimiser.momentum = momentum
        optimiser.step(gradients, 0.1)
        velocity = momentum * velocity + 1
    np.testing.assert_allclose(optimiser.state["velocity"].buffer, velocity * gradients.buffer)


@pytest.mark.parametrize("make", [SGD, LARS, AdamW])
def test_the_gradients_of_other_parameters_are_refused_and_no_step_is_counted(make):
    parameters, gradients = problem()
    optimiser, before = make(parameters), [p.value.copy() for p in parameters]
    for other in (
        FlatBuffer(parameters[:1]),
        FlatBuffer(parameters[::-1]),
        FlatBuffer(problem()[0]),
        FlatBuffer([]),
        gradients.buffer,
        None,
    ):
        with pytest.raises(UserError) as refusal:
            optimiser.step(other, 0.1)
        assert str(refusal.value) == (
            "the gradients are not those of the optimiser's parameters: give a FlatBuffer of the same parameters in the "
            "same order."
        )
    assert optimiser.step_count == 0
    assert all(np.array_equal(p.value, value) for p, value in zip(parameters, before, strict=True))
    optimiser.step(gradients, 0.1)
    assert not any(np.array_equal(p.value, value) for p, value in zip(parameters, before, strict=True))


@pytest.mark.parametrize("make", [SGD, LARS, AdamW])
def test_a_cast_after_the_first_step_is_refused_and_not_left_without_updates(make):
    parameters, gradients = problem()
    optimiser = make(parameters)
    optimiser.step(gradients, 0.1)
    cast(parameters, np.float32)
    with pytest.raises(UserError) as refusal:
        optimiser.step(gradients, 0.1)
    assert str(refusal.value) == (
        "the value of '' is float32 on the CPU, and the optimiser works in float64 on the CPU: make the optimiser after the "
        "conversion."
    )


def test_a_cast_before_the_first_step_needs_gradients_of_that_precision():
    parameters, gradients = problem()
    optimiser = SGD(parameters)
    cast(parameters, np.float32)
    with pytest.raises(UserError) as refusal:
        optimiser.step(gradients, 0.1)
    assert str(refusal.value) == (
        "the gradient is float64 on the CPU, and the optimiser works in float32 on the CPU: make its FlatBuffer after the "
        "conversion."
    )
    optimiser.step(FlatBuffer(parameters), 0.1)
    assert parameters[0].dtype == np.float32


@pytest.mark.parametrize("make", [SGD, LARS, AdamW])
def test_gradients_on_another_device_are_refused(make):
    parameters, gradients = problem()
    optimiser = make(parameters)
    optimiser.step(gradients, 0.1)
    own = gradients.buffer
    gradients.buffer = own.view(OnGpu)
    with pytest.raises(UserError) as refusal:
        optimiser.step(gradients, 0.1)
    assert str(refusal.value) == (
        "the gradient is float64 on the GPU, and the optimiser works in float64 on the CPU: make its FlatBuffer after the "
        "conversion."
    )
    gradients.buffer = own
    optimiser.step(gradients, 0.1)
