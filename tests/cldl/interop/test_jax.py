"""The CLDL loss in JAX: differences find its rule right, and under `jit` it is that of `cldl.loss`."""

import numpy as np
import pytest

from cldl import loss
from engine.errors import UserError

jax = pytest.importorskip("jax")

from cldl.interop.jax import cldl_loss  # noqa: E402 -- it imports JAX
from engine.gradcheck.jax import check_function  # noqa: E402

LABELS = np.array([0, 2, 1, 1])


def logits(M):
    return list(np.random.default_rng(M).normal(size=(M, 4, 3)))


@pytest.mark.parametrize("M", [1, 2, 3])
@pytest.mark.parametrize(
    "options", [{}, {"exponent": 0.1}, {"weights": (1.0, 0.5, 2.0)}, {"unweighted_share": 0.3}], ids=str
)
def test_differences_find_the_gradient_right(M, options):
    options = {name: value[:M] if name == "weights" else value for name, value in options.items()}
    with jax.enable_x64(True):
        check_function(lambda *z: cldl_loss(z, LABELS, **options), logits(M)).raise_if_failed()


@pytest.mark.parametrize("through", [True, False])
def test_compiled_it_gives_the_numbers_of_numpy(through):
    z = [x.astype(np.float32) for x in logits(3)]
    compiled = jax.jit(jax.value_and_grad(lambda z: cldl_loss(z, LABELS, through_companions=through)))
    value, gradients = compiled(z)
    expected = loss.cldl_loss(z, LABELS, through_companions=through)
    assert float(value) == pytest.approx(expected.value, rel=1e-6)
    for x, gradient in zip(gradients, expected.gradients, strict=True):
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, gradient, rtol=1e-6)


def test_what_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises((UserError, jax.errors.JaxRuntimeError), match="label"):
        cldl_loss(logits(2), np.array([0, 2, 1, 3])).block_until_ready()
