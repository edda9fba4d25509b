"""The CLDL loss in PyTorch: PyTorch's own checker takes it, and it is that of `cldl.loss` in every precision."""

import numpy as np
import pytest

from cldl import loss
from cldl.objective import Objective
from engine.errors import UserError

torch = pytest.importorskip("torch")

from cldl.interop.torch import cldl_loss  # noqa: E402 -- it imports PyTorch
from engine.gradcheck.torch import check_function  # noqa: E402

LABELS = torch.tensor([0, 2, 1, 1])


def logits(M, dtype=torch.float64):
    generator = torch.Generator().manual_seed(M)
    return [torch.randn(4, 3, dtype=torch.float64, generator=generator).to(dtype).requires_grad_() for _ in range(M)]


@pytest.mark.parametrize("M", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"exponent": 0.1}, {"exponent": 0.0}, {"unweighted_share": 0.3}], ids=str)
def test_pytorchs_checker_and_ours_find_the_gradient_right(M, options):
    assert torch.autograd.gradcheck(lambda *z: cldl_loss(z, LABELS, **options), logits(M))
    check_function(lambda *z: cldl_loss(z, LABELS, **options), logits(M)).raise_if_failed()


def test_held_constant_the_companions_have_no_gradient():
    with_it, without = logits(2), logits(2)
    cldl_loss(with_it, LABELS).backward()
    cldl_loss(without, LABELS, through_companions=False).backward()
    expected = loss.cldl_loss([z.detach().numpy() for z in without], LABELS.numpy(), through_companions=False)
    for z, other, gradient in zip(without, with_it, expected.gradients, strict=True):
        np.testing.assert_array_equal(z.grad, gradient)
        assert not torch.equal(z.grad, other.grad)


@pytest.mark.parametrize(
    ("dtype", "rtol"), [("float64", 1e-15), ("float32", 1e-6), ("bfloat16", 1e-2), ("float16", 1e-3)]
)
def test_loss_and_gradient_have_the_logits_precision(dtype, rtol):
    z = logits(3, getattr(torch, dtype))
    value = cldl_loss(z, LABELS, weights=[1.0, 2.0, 0.5])
    (2 * value).backward()
    exact = [x.detach().double().numpy() for x in z]
    expected = loss.cldl_loss(exact, LABELS.numpy(), [1.0, 2.0, 0.5])
    assert value.dtype == z[0].dtype == z[0].grad.dtype
    assert value.item() == pytest.approx(expected.value, rel=rtol)
    for x, gradient in zip(z, expected.gradients, strict=True):
        np.testing.assert_allclose(x.grad.double(), 2 * gradient, rtol=rtol, atol=rtol * np.abs(gradient).max())


def test_what_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises(UserError):
        cldl_loss(logits(2), torch.tensor([0, 2, 1, 3]))
    with pytest.raises(UserError, match=r"^labels is a list; give a tensor\.$"):
        cldl_loss(logits(2), [0, 2, 1, 1])
    with pytest.raises(UserError, match=r"^logits\[1\] is a ndarray; give a tensor\.$"):
        cldl_loss([logits(1)[0], np.zeros((4, 3))], LABELS)
    with pytest.raises(UserError, match=r"is of torch\.int64; give numbers with a fraction"):
        cldl_loss([torch.zeros(4, 3, dtype=torch.int64)] * 2, LABELS)


def test_a_gradient_of_the_gradient_is_refused_instead_of_being_left_out():
    z = logits(2)
    with pytest.raises(UserError, match="has no gradient of its own: do without create_graph=True"):
        torch.autograd.grad(cldl_loss(z, LABELS), z, create_graph=True)


def test_an_unweighted_share_is_the_objectives():
    z = logits(3)
    value = cldl_loss(z, LABELS, unweighted_share=0.25)
    expected = Objective((1.0, 1.0, 1.0), unweighted_share=0.25)([x.detach().numpy() for x in z], LABELS.numpy())
    assert value.item() == pytest.approx(expected.value, rel=1e-15)
    assert value.item() > cldl_loss(z, LABELS).item()
