"""What a layer says that it leaves out is listed with the reason, and nothing else is."""

from typing import ClassVar

import pytest

from engine.errors import UserError
from engine.gradcheck import check_layer, layer_checks, parametrize_layers
from engine.gradcheck.checks import CHECKS
from tests.broken.layers.sisters import BatchNormWithConstantStatistics
from tests.correct.normalisation import BatchNorm
from tests.reference import ReLU

REASON = "the statistics are those of the batch"


@pytest.mark.parametrize("samples", [2, 3])
def test_batch_normalisation_passes_the_rest(samples):
    report = check_layer(BatchNorm(1e-5), (2, 2, 3), samples=samples)
    report.raise_if_failed()
    assert report.passed
    assert report.ran == len(CHECKS) - 1
    assert report.not_promised == {"samples_apart": REASON}
    assert "15 checks ran, 0 failed, 1 not promised" in str(report)
    assert f"samples_apart: not promised, because {REASON}" in str(report)
    assert "samples_apart                                 not promised" in str(report)


def test_batch_normalisation_of_two_samples_without_eps_passes():
    check_layer(BatchNorm(), (3, 1, 1), samples=2).raise_if_failed()


def test_a_tag_excuses_nothing_else():
    report = check_layer(BatchNormWithConstantStatistics(1e-5), (2, 2, 3))
    assert {"gradient_of_input", "adjoint"} <= set(report.failed)
    assert not report.passed


def test_a_layer_without_tags_leaves_nothing_out():
    report = check_layer(ReLU(), (3,))
    assert report.not_promised == {}
    assert "not promised" not in str(report)


def test_the_generator_lists_the_check_and_the_decorator_leaves_it_out():
    result = dict(layer_checks(BatchNorm(1e-5), (2, 2, 3)))["samples_apart"]()
    assert (result.promised, result.verdict, result.message) == (False, "not promised", REASON)
    mark = parametrize_layers([(BatchNorm(1e-5), (2, 2, 3))])
    assert len(mark.args[1]) == len(CHECKS) - 1
    assert not any(parameter.id.endswith("samples_apart") for parameter in mark.args[1])


class Misspelt(ReLU):
    not_promised: ClassVar = {"samples": REASON}


class WithoutReason(ReLU):
    not_promised: ClassVar = {"samples_apart": ""}


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (Misspelt(), "Misspelt has 'samples' in `not_promised`, which is no check; there are gradient_of_input, "),
        (
            WithoutReason(),
            "WithoutReason has 'samples_apart' in `not_promised` without a reason: say why it does not hold.",
        ),
    ],
)
def test_a_tag_names_a_check_and_a_reason(layer, sentence):
    with pytest.raises(UserError, match=sentence):
        check_layer(layer, (3,))
