"""From where to where the values of a recipe go: both ends are taken, what is outside is refused in a whole sentence."""

from dataclasses import replace

import pytest

from cldl.recipes import find
from cldl.recipes.leaves import conform
from cldl.recipes.losses import CldlLossSpec, CrossEntropySpec, HingeSpec, SoftmaxSpec
from cldl.recipes.optimisers import AdamWSpec, SGDSpec
from cldl.recipes.schedules import ConstantSpec, CosineSpec, ExponentialSpec, PolynomialSpec, StepSpec
from engine.errors import UserError

BASE = {"learning_rate": 0.1, "epochs": 5, "batch_size": 8}
CONSTANT, COSINE = ConstantSpec(**BASE), CosineSpec(**BASE)
STEP, EXPONENTIAL = StepSpec(**BASE, milestones=(1.0,)), ExponentialSpec(**BASE, gamma=0.5)
POLYNOMIAL = PolynomialSpec(**BASE, power=1.0)
CLDL, SOFTMAX = CldlLossSpec(weights=(1.0, 1.0)), SoftmaxSpec(weights=(1.0, 1.0))
NIN, DSN, MAXOUT = (find(name).model for name in ("mnist_nin", "mnist_dsn", "mnist_maxout"))
VGG, CNDS, DAG = (find(name).model for name in ("places205_vgg11", "places205_cnds8", "mit67_dag_cnn"))

# a spec, its field, the least and the greatest value, and values below and above them
RANGES = [
    (CONSTANT, "epochs", 1, 100_000, 0, 100_001),
    (CONSTANT, "batch_size", 1, 60_000, 0, 60_001),
    (CONSTANT, "learning_rate", 0.0, 1000.0, -1e-9, 1000.5),
    (CONSTANT, "warmup", 0.0, 5.0, -1e-9, 5.5),
    (STEP, "gamma", 0.0, 1.0, -1e-9, 1.5),
    (EXPONENTIAL, "gamma", 0.0, 1.0, -1e-9, 1.5),
    (EXPONENTIAL, "min_lr_ratio", 0.0, 1.0, -1e-9, 1.5),
    (POLYNOMIAL, "power", 0.0, 100.0, -1e-9, 100.5),
    (POLYNOMIAL, "min_lr_ratio", 0.0, 1.0, -1e-9, 1.5),
    (POLYNOMIAL, "decay_epochs", 1e-6, 100_000.0, 0.0, 100_000.5),
    (COSINE, "min_lr_ratio", 0.0, 1.0, -1e-9, 1.5),
    (COSINE, "decay_epochs", 1e-6, 100_000.0, 0.0, 100_000.5),
    (SGDSpec(momentum=0.5), "momentum", 0.0, 0.9999, -1e-9, 1.0),
    (SGDSpec(momentum=0.5), "weight_decay", 0.0, 1.0, -1e-9, 1.5),
    (AdamWSpec(), "beta1", 0.0, 0.9999, -1e-9, 1.0),
    (AdamWSpec(), "beta2", 0.0, 0.999999, -1e-9, 1.0),
    (CLDL, "exponent", 0.0, 1e9, -1e-9, 1e9 + 0.5),
    (SOFTMAX, "companion_epochs", 0.0, 100_000.0, -1e-9, 100_000.5),
    (NIN, "dropout", 0.0, 0.99, -1e-9, 0.991),
    (NIN, "bias_lr_mult", 0.0, 1000.0, -1e-9, 1000.5),
    (NIN, "top_lr_mult", 0.0, 1000.0, -1e-9, 1000.5),
    (NIN, "lower_lr_mult", 0.0, 1000.0, -1e-9, 1000.5),
    (NIN, "lower_dropout", 0.0, 0.99, -1e-9, 0.991),
    (DSN, "top_lr_mult", 0.0, 1000.0, -1e-9, 1000.5),
    (DSN, "companion_lr_mult", 0.0, 1000.0, -1e-9, 1000.5),
    (DSN, "companion_gamma", 0.0, 1000.0, -1e-9, 1000.5),
    (DSN, "companion_power", 0.0, 100.0, -1e-9, 100.5),
    (MAXOUT, "input_dropout", 0.0, 0.99, -1e-9, 0.991),
    (MAXOUT, "conv_lr_mult", 0.0, 1000.0, -1e-9, 1000.5),
    (VGG, "lower_lr_mult", 0.0, 1000.0, -1e-9, 1000.5),
    (VGG, "width", 0.01, 10.0, 0.009, 10.5),
    (DAG, "width", 0.01, 10.0, 0.009, 10.5),
]


def refusal(make):
    with pytest.raises(UserError) as refused:
        make()
    return str(refused.value)


@pytest.mark.parametrize(
    ("spec", "name", "least", "most", "below", "above"), RANGES, ids=[f"{row[0].kind} {row[1]}" for row in RANGES]
)
def test_both_ends_of_a_range_are_taken_and_what_is_outside_is_refused(spec, name, least, most, below, above):
    for value in (least, most):
        assert getattr(replace(spec, **{name: value}), name) == value
    for value in (below, above):
        assert refusal(lambda value=value: replace(spec, **{name: value})) == (
            f"{spec.section}.{name} is {value}; choose a value from {least:.10g} to {most:.10g}."
        )


@pytest.mark.parametrize(("model", "most"), [(NIN, 5), (VGG, 5), (CNDS, 3)], ids=["nin", "vgg", "cnds"])
def test_a_network_has_places_for_so_many_classifiers(model, most):
    for count in (1, most):
        assert replace(model, classifiers=count).n_classifiers == count
    for count in (0, most + 1):
        sentence = f"model.classifiers is {count}; {model.kind} has places for 1 to {most}: choose so many."
        assert refusal(lambda count=count: replace(model, classifiers=count)) == sentence


@pytest.mark.parametrize("ramp", [(0.0, 0.9999, 1e-6), (0.9999, 0.0, 100_000.0)])
def test_a_momentum_ramp_may_go_from_any_momentum_to_any_other(ramp):
    assert replace(CONSTANT, momentum_ramp=ramp).momentum_ramp == ramp


@pytest.mark.parametrize(
    "ramp", [(0.5, 0.7), (-0.5, 0.7, 1.0), (0.5, 1.0, 1.0), (0.5, 0.7, 0.0), (0.5, 0.7, 100_000.5)], ids=str
)
def test_a_momentum_ramp_that_is_none_is_refused(ramp):
    assert refusal(lambda: replace(CONSTANT, momentum_ramp=ramp)) == (
        f"schedule.momentum_ramp is {ramp}; give the first momentum, the last one (both from 0 to 0.9999) and after how many "
        "epochs it is reached, or none."
    )


def test_milestones_are_epochs():
    assert replace(STEP, milestones=(0.0, 100_000.0)).milestones == (0.0, 100_000.0)
    for wrong in (-0.5, 100_000.5):
        assert refusal(lambda wrong=wrong: replace(STEP, milestones=(1.0, wrong))) == (
            f"schedule.milestones is (1.0, {wrong}); give epochs from 0 to 100000."
        )


@pytest.mark.parametrize("loss", [CLDL, SOFTMAX, HingeSpec(weights=(1.0, 1.0))], ids=lambda loss: loss.kind)
def test_weights_are_numbers_of_0_or_more(loss):
    assert replace(loss, weights=(0.0, 0.5)).lambdas == (0.0, 0.5)
    for wrong in (-0.5, float("inf"), float("nan")):
        assert refusal(lambda wrong=wrong: replace(loss, weights=(1.0, wrong))) == (
            f"loss.weights is (1.0, {wrong}); give numbers of 0 or more, one a classifier."
        )


def test_what_is_of_another_type_is_answered_with_the_type_and_whether_none_is_one():
    assert refusal(lambda: conform("x", float, "it")) == "it is 'x'; give a number."
    assert refusal(lambda: conform("x", float | None, "it")) == "it is 'x'; give a number, or none."


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (CLDL, "CLDL, M = 2, lambda = 1, 1, g = 1"),
        (
            CldlLossSpec(weights=(0.5, 1.0, 2.0), exponent=0.25, through_companions=False),
            "CLDL, M = 3, lambda = 0.5, 1, 2, g = 0.25, T held constant in the gradient",
        ),
        (SOFTMAX, "deep supervision, softmax on each of 2 classifiers, lambda = 1, 1"),
        (
            HingeSpec(weights=(1.0, 0.5, 2.0), companion_epochs=1.0),
            "deep supervision, hinge on each of 3 classifiers, lambda = 1, 0.5, 2; the lower 2 for 1 epoch",
        ),
        (
            SoftmaxSpec(weights=(1.0,) * 4, companion_epochs=2000.0),
            "deep supervision, softmax on each of 4 classifiers, lambda = 1, 1, 1, 1; the lower 3 for 2,000 epochs",
        ),
        (CrossEntropySpec(), "softmax cross-entropy"),
    ],
    ids=str,
)
def test_a_loss_describes_itself(loss, words):
    assert loss.describe() == words
