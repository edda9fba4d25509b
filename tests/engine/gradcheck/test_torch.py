"""The checker on functions of PyTorch's tensors: hand-written backwards pass where they are right, and no other ones."""

import numpy as np
import pytest

from engine.errors import UserError
from engine.gradcheck import GradientError, grid
from engine.random import Key

torch = pytest.importorskip("torch")

from engine.gradcheck.torch import check_function  # noqa: E402 -- it imports PyTorch

X, Y = (torch.tensor(grid((3, 4), Key(seed))) for seed in (1, 2))


class Products(torch.autograd.Function):
    """(x y, sum of x^2): two inputs, two outputs; `factor` makes the gradient of x wrong."""

    factor = 1.0

    @classmethod
    def forward(cls, ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y, (x * x).sum()

    @classmethod
    def backward(cls, ctx, dproduct, dsum):
        x, y = ctx.saved_tensors
        return cls.factor * (dproduct * y + 2 * x * dsum), dproduct * x


class WrongProducts(Products):
    factor = 1.001


class Picked(torch.autograd.Function):
    """The scores of the labels, and the labels that have the largest ones."""

    @staticmethod
    def forward(ctx, scores, labels):
        ctx.save_for_backward(scores, labels)
        return scores.gather(1, labels[:, None]), scores.argmax(1)

    @staticmethod
    def backward(ctx, dpicked, _):
        scores, labels = ctx.saved_tensors
        return torch.zeros_like(scores).scatter(1, labels[:, None], dpicked), None


class Silent(torch.autograd.Function):
    """The double, whose backward says nothing."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, dy):
        return None


@pytest.mark.parametrize("method", ["elementwise", "directional", "taylor"])
def test_two_inputs_and_two_outputs_of_a_hand_written_function(method):
    report = check_function(Products, [X, Y], method=method)
    report.raise_if_failed()
    assert [entry.name for entry in report.entries] == ["x0", "x1"]
    wrong = check_function(WrongProducts, {"x": X, "y": Y}, method=method)
    assert wrong.worst.name == "x"
    with pytest.raises(GradientError, match=r"To repeat: check_function\(function, inputs, method=") as raised:
        wrong.raise_if_failed()
    line = str(raised.value).partition("To repeat: ")[2]
    with pytest.raises(GradientError, match="the gradient of x"):
        eval(line, {"check_function": check_function, "function": WrongProducts, "inputs": {"x": X, "y": Y}})


def test_integers_are_handed_on_and_outputs_of_integers_are_left_out():
    check_function(Picked, [X, torch.tensor([0, 3, 1])]).raise_if_failed()


def test_no_gradient_is_a_gradient_of_zero():
    assert not check_function(Silent, X).passed
    assert not check_function(lambda x: 2 * x.detach(), X).passed
    check_function(lambda x, y: (2 * x).sum() + 0 * y.detach().sum(), [X, Y]).raise_if_failed()


def test_arrays_and_coarse_tensors_are_taken_as_float64():
    seen = []

    def cube(x):
        seen.append(x.dtype)
        return x**3

    for x in (X.float(), X.numpy(), X.numpy().astype(np.float32)):
        check_function(cube, x).raise_if_failed()
    assert set(seen) == {torch.float64}


def test_what_pytorch_differentiates_passes():
    layer = torch.nn.Conv2d(2, 3, 3).double()
    check_function(layer, torch.tensor(grid((1, 2, 4, 4), Key(0)))).raise_if_failed()


def test_a_module_is_checked_in_double_precision_alone():
    module = torch.nn.Linear(4, 2)
    with pytest.raises(UserError, match=r"2 parameters of the module are float32, .*: call \.double\(\) on it"):
        check_function(module, X)
    check_function(module.double(), X).raise_if_failed()
