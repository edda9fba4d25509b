import math

import pytest

from engine.errors import UserError
from engine.optim.schedules import Constant, Cosine, Exponential, Polynomial, Step, power_inv


def rates(kind, at, *, epochs=1, **values):
    schedule = kind(learning_rate=1.0, epochs=epochs, batch_size=1, **values)
    return [schedule.learning_rate_at(epoch) for epoch in at]


def test_the_momentum_ramp_rises_linearly_and_stays():
    schedule = Constant(learning_rate=1.0, epochs=3, batch_size=1, momentum_ramp=(0.5, 0.7, 2.0))
    assert [schedule.momentum_at(e) for e in (0, 1, 2, 6)] == pytest.approx([0.5, 0.6, 0.7, 0.7])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"learning_rate": math.nan}, "learning_rate is nan; give a number of 0 or more."),
        ({"learning_rate": -1}, "learning_rate is -1; give a number of 0 or more."),
        ({"warmup": math.inf}, "warmup is inf; give a number of 0 or more."),
        ({"epochs": 0}, "epochs is 0; give a whole number of 1 or more."),
        ({"batch_size": 2.5}, "batch_size is 2.5; give a whole number of 1 or more."),
    ],
)
def test_what_is_no_rate_and_no_number_is_refused(values, sentence):
    with pytest.raises(UserError) as refused:
        Cosine(**{"learning_rate": 0.1, "epochs": 1, "batch_size": 1} | values)
    assert str(refused.value) == sentence


def test_without_a_ramp_the_momentum_is_the_optimisers_own():
    assert Constant(learning_rate=1.0, epochs=3, batch_size=1).momentum_at(1.0) is None


def test_caffes_inverse_decay_is_that_of_its_definition():
    policy = power_inv(1e-4, 0.75)
    assert policy(0) == 1
    assert policy(50_000) == pytest.approx(6**-0.75)


def test_the_base_rate_is_multiplied():
    schedule = Cosine(learning_rate=0.3, epochs=4, batch_size=1, warmup=2.0)
    assert schedule.learning_rate_at(1.0) == pytest.approx(0.3 * 0.5 * (1 + math.cos(math.pi / 4)) / 2)


def test_the_exponential_schedule_divides_and_stops_at_its_minimum():
    assert rates(Exponential, (0, 1, 2.5, 50), gamma=0.5, min_lr_ratio=0.1) == pytest.approx([1, 0.5, 0.5**2.5, 0.1])


@pytest.mark.parametrize("kind", [Polynomial, Cosine])
def test_a_schedule_that_ends_before_the_run_stays_at_its_minimum(kind):
    found = rates(kind, (0, 250, 500, 785), epochs=785, decay_epochs=500, min_lr_ratio=0.01)
    assert found == pytest.approx([1, 0.505, 0.01, 0.01])


@pytest.mark.parametrize("kind", [Polynomial, Cosine])
def test_a_schedule_begins_at_1_and_ends_at_its_minimum(kind):
    assert rates(kind, (0.0, 1.0), min_lr_ratio=0.1) == pytest.approx([1, 0.1])


def test_the_power_of_the_polynomial_bends_it():
    assert rates(Polynomial, (0.25, 0.5), power=2.0) == pytest.approx([0.75**2, 0.5**2])


def test_warm_up_rises_linearly_from_0():
    assert rates(Constant, (0, 0.05, 0.1, 0.2, 0.5), warmup=0.2) == pytest.approx([0, 0.25, 0.5, 1, 1])


def test_milestones_multiply_by_gamma_from_their_epoch_on():
    found = rates(Step, (0.4, 0.5, 0.6, 0.8), milestones=(0.5, 0.75))
    assert found == pytest.approx([1, 0.1, 0.1, 0.01])


def test_the_cosine_is_half_way_in_the_middle():
    assert rates(Cosine, (0.5,)) == pytest.approx([0.5])
