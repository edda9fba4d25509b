"""The tests are tested: every broken version is rejected by the check that the gallery names, and for its bug."""

import re

import numpy as np
import pytest

from engine.gradcheck import check_layer
from engine.gradcheck.checks import CHECKS
from tests.broken import hinges, layers, losses
from tests.cldl import hinge_laws
from tests.cldl.laws import LAWS
from tests.layers.conventions import CONVENTIONS
from tests.strategies import LossCase


@pytest.mark.parametrize("broken", layers.GALLERY, ids=lambda b: type(b.make()).__name__)
def test_the_broken_layer_is_rejected_by_the_check_named(broken):
    layer = broken.make()
    if broken.check in CONVENTIONS:
        with pytest.raises(AssertionError):
            CONVENTIONS[broken.check](layer)
        return
    (result,) = check_layer(layer, broken.shape, checks=[broken.check]).results
    assert not result.passed
    assert not re.match(r"\w+Error: ", result.message), "it crashed, which shows nothing"


def loss_case(scale: float) -> LossCase:
    """Three classifiers, two samples, four classes; at scale 20 one classifier is certain."""
    state = np.random.default_rng(7)
    logits = [scale * state.normal(size=(2, 4)) for _ in range(3)]
    labels = np.array([logits[0][0].argmax(), 2])
    return LossCase(logits, labels, np.array([0.5, 0.75, 1.5]), None, True)


@pytest.mark.parametrize(
    ("loss", "law"), losses.GALLERY, ids=lambda part: getattr(part, "__name__", type(part).__name__)
)
def test_the_broken_loss_breaks_the_law_named(loss, law):
    case = loss_case(20.0 if law.__name__ == "agrees_with_60_digits" else 1.0)
    law(losses.Loss(), case)
    with pytest.raises(AssertionError):
        law(loss, case)


@pytest.mark.parametrize(
    ("loss", "law"), hinges.GALLERY, ids=lambda part: getattr(part, "__name__", type(part).__name__)
)
def test_the_broken_hinge_loss_breaks_the_law_named(loss, law):
    with pytest.raises(AssertionError):
        law(loss)


def test_the_gallery_is_large_and_every_check_and_law_rejects_something():
    assert len(layers.GALLERY) + len(losses.GALLERY) + len(hinges.GALLERY) > 100  # as docs/testing.md says
    assert {broken.check for broken in layers.GALLERY} == {*CHECKS, *CONVENTIONS}
    assert {law for _, law in losses.GALLERY} == set(LAWS)
    assert {law for _, law in hinges.GALLERY} == set(hinge_laws.LAWS)
