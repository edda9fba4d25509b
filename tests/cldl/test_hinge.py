"""The squared hinge loss keeps its laws, agrees with its reference, and fits into batches and float32."""

import numpy as np
import pytest
from hypothesis import given

from cldl.hinge import hinge_loss, hinge_loss_reference
from engine.errors import UserError
from tests.cldl.hinge_laws import LABELS, LAWS, LOGITS, WEIGHTS
from tests.strategies import loss_cases


def real(logits, labels, weights=None):
    return parts(hinge_loss(list(logits), labels, weights))


def plain(logits, labels, weights=None):
    return parts(hinge_loss_reference(logits, labels, weights))


def parts(result):
    return result.value, result.per_classifier, result.gradients


@pytest.mark.parametrize("loss", [real, plain], ids=["fast", "reference"])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_law_holds(law, loss):
    law(loss)


@given(case=loss_cases())
def test_it_is_the_loss_of_the_reference(case):
    found = real(case.logits, case.labels, case.weights)
    expected = plain(case.logits, case.labels, case.weights)
    for got, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-12, atol=1e-14)


def test_chunks_add_up_to_the_batch():
    whole = hinge_loss(LOGITS, LABELS, WEIGHTS)
    parts = [hinge_loss([z[a:b] for z in LOGITS], LABELS[a:b], WEIGHTS, samples=3) for a, b in ((0, 1), (1, 3))]
    assert sum(part.value for part in parts) == pytest.approx(whole.value, rel=1e-12)
    joined = [np.concatenate([part.gradients[m] for part in parts]) for m in range(2)]
    np.testing.assert_allclose(joined, whole.gradients, rtol=1e-12)


def test_gradients_have_the_precision_of_the_scores():
    result = hinge_loss([z.astype(np.float32) for z in LOGITS], LABELS, WEIGHTS)
    assert {g.dtype for g in result.gradients} == {np.dtype(np.float32)}
    assert (result.companions == 1).all()


def test_what_does_not_fit_is_refused_as_cldl_loss_refuses_it():
    with pytest.raises(UserError, match="the labels go from 0 to 4"):
        hinge_loss(LOGITS, np.array([0, 4, 1]))
