"""What does not fit a layer is refused in one sentence, before any kernel; what fits in another memory order gives the same."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from cldl.verification.cases import LAYERS
from engine.context import Context
from engine.errors import UserError
from engine.gradcheck import grid
from engine.optim import SGD
from engine.parameters import FlatBuffer, Parameter, cast
from engine.random import Key
from layers import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    L2Normalize,
    Linear,
    LocalResponseNorm,
    Maxout,
    MaxPool2d,
    Network,
    Node,
    ReLU,
    Sequential,
    chain,
)
from layers.border import check_input
from tests.layers.borders import forward_and_backward, same
from tests.strategies import layer_cases

ROOT = Path(__file__).parents[2]
ONES = np.ones((2, 4, 4, 2), np.float32)


@pytest.fixture(scope="module")
def counted():
    """What `python -m tests.layers.borders` prints, a line a layer: it may crash, so it is a process of its own."""
    command = [sys.executable, "-m", "tests.layers.borders"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    return lines, f"exit status {done.returncode}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("name", LAYERS)
def test_an_input_or_gradient_that_does_not_fit_is_refused_in_one_sentence(counted, name):
    lines, told = counted
    assert name in lines, f"it crashed before {name} was done: {told}"
    assert "tried" in lines[name], told
    tried, refused = (int(part.split()[0]) for part in lines[name].split(", "))
    assert tried == refused >= 40


WITH_PARAMETERS = ["Conv2d", "FusedConv", "Linear", "Network", "Sequential"]


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_weights_in_another_memory_order_give_the_same_output_and_gradients(name):
    @given(case=layer_cases(name))
    def holds(case):
        layer, x = case.layer, grid((case.samples, *case.shape), Key(case.seed)).astype(np.float32)
        expected = forward_and_backward(layer, x)
        for p in layer.parameters():
            p.value = p.value.T.copy().T
        same(forward_and_backward(layer, x), expected)

    holds()


def test_every_layer_with_parameters_has_its_weights_put_in_another_order():
    with_parameters = {name for name in LAYERS if LAYERS[name](lambda low, high: high).layer.parameters()}
    assert with_parameters == set(WITH_PARAMETERS)


def test_the_gradient_of_a_weight_in_another_memory_order_is_not_lost():
    layer, ctx = Conv2d(2, 1, 2), Context()
    layer.weight.value = np.ones((1, 2, 2, 2), np.float32).transpose(2, 3, 1, 0)
    y, cache = layer.forward(np.ones((1, 2, 2, 2), np.float32), ctx)
    layer.backward(np.ones_like(y), cache, ctx)
    assert ctx.gradients()[layer.weight].sum() == 8


def test_a_parameter_takes_an_array_of_its_shape_as_it_is_and_refuses_another():
    p = Parameter((2, 3), lambda key, shape: np.zeros(shape), name="weight")
    p.value = given = np.ones((2, 3))
    assert p.value is given
    for wrong, found in (([[1.0] * 3] * 2, "a list"), (np.ones((3, 2)), "an array of shape (3, 2)")):
        with pytest.raises(UserError) as refusal:
            p.value = wrong
        assert str(refusal.value) == f"the parameter 'weight' was given {found}; an array of shape (2, 3) is needed."
    assert p.value is given


def test_no_layer_copies_what_lies_in_order():
    """In evaluation dropout returns its very input, and the gradient."""
    layer, ctx = Dropout(0.5), Context()
    y, cache = layer.forward(ONES, ctx)
    assert y is ONES
    assert layer.backward(ONES, cache, ctx) is ONES
    assert check_input(ReLU(), ONES)[0] is ONES


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Flatten(), (48,)),
        (Linear(48, 5), (5,)),
        (Dropout(), (4, 4, 3)),
        (ReLU(), (4, 4, 3)),
        (Maxout(3), (4, 4, 1)),
        (LocalResponseNorm(), (4, 4, 3)),
        (L2Normalize(), (4, 4, 3)),
        (MaxPool2d(2), (2, 2, 3)),
        (AvgPool2d(2), (2, 2, 3)),
        (GlobalAvgPool(), (3,)),
        (Conv2d(3, 5, 3), (2, 2, 5)),
        (Sequential(Conv2d(3, 5, 3), ReLU(), Flatten(), Linear(20, 2)), (2,)),
    ],
    ids=str,
)
@pytest.mark.parametrize("training", [True, False])
def test_no_samples_give_no_outputs_of_the_right_shape(layer, shape, training):
    x = np.ones((0, 48) if isinstance(layer, Linear) else (0, 4, 4, 3), np.float32)
    ctx = Context(training=training)
    y, cache = layer.forward(x, ctx)
    assert y.shape == (0, *shape)
    assert layer.backward(y, cache, ctx).shape == x.shape
    assert not any(gradient.any() for gradient in ctx.gradients().values())


def refusal(call):
    with pytest.raises(UserError) as refused:
        call()
    return str(refused.value)


def test_an_input_of_too_few_numbers_is_refused_and_not_read_beyond_its_end():
    x = np.ones((4, 32), np.float32)
    assert refusal(lambda: Linear(64, 16).forward(x, Context())) == (
        "Linear(64, 16) was given samples of shape (32,); its last axis must be 64: check the layer before it."
    )
    assert "its last axis must be 320000" in refusal(lambda: Linear(320000, 16).forward(x, Context()))


@pytest.mark.parametrize(
    ("layer", "x", "dy"),
    [
        (MaxPool2d(2), (8, 4, 4, 3), (5, 2, 2, 3)),
        (ReLU(), (8, 4), (7, 4)),
        (Conv2d(8, 16, 3), (2, 8, 8, 8), (50, 64, 64, 16)),
    ],
    ids=str,
)
def test_a_gradient_of_another_shape_than_the_output_is_refused(layer, x, dy):
    ctx = Context()
    y, cache = layer.forward(np.ones(x, np.float32), ctx)
    assert refusal(lambda: layer.backward(np.ones(dy, np.float32), cache, ctx)) == (
        f"the gradient that {layer} was given is float32 of shape {dy}; its output was float32 of shape {y.shape}: "
        "give the gradient this shape and precision, as a NumPy array."
    )


def test_a_gradient_of_another_precision_than_the_output_is_refused():
    layer, ctx = Conv2d(1, 8, 3), Context()
    y, cache = layer.forward(np.ones((1, 5, 5, 1), np.float32), ctx)
    assert refusal(lambda: layer.backward(np.ones(y.shape), cache, ctx)) == (
        f"the gradient that {layer} was given is float64 of shape (1, 3, 3, 8); its output was float32 of shape (1, 3, 3, 8): "
        "give the gradient this shape and precision, as a NumPy array."
    )


def test_bytes_are_refused_by_average_pooling_and_not_summed_modulo_256():
    assert refusal(lambda: AvgPool2d(2).forward(np.full((1, 2, 2, 1), 200, np.uint8), Context())) == (
        "AvgPool2d(2, stride 2, padding 0) was given uint8; float32 or float64 is needed: convert the input with x.astype."
    )


def test_a_layer_whose_bias_has_another_precision_than_its_weight_is_refused():
    layer = Linear(2, 3)
    cast([layer.bias], np.float64)
    assert "the layer's input is float32 and its weights are float64" in refusal(
        lambda: layer.forward(ONES[0, 0], Context())
    )


@pytest.fixture
def network():
    nodes = chain("x", [("flatten", Flatten()), ("low", Linear(32, 3)), ("relu", ReLU()), ("top", Linear(3, 3))])
    return Network(nodes, ["low", "top"], (4, 4, 2))


def test_a_network_refuses_samples_that_it_was_not_built_for(network):
    assert refusal(lambda: network.forward(ONES.reshape(2, 2, 8, 2), Context())) == (
        "the network was given samples of shape (2, 8, 2); it takes (4, 4, 2): convert them, or build it for them."
    )
    with pytest.raises(UserError, match="it takes"):
        next(network.trace(ONES[:, :2], Context()))


def test_a_network_refuses_gradients_that_are_not_one_for_each_exit_before_it_uses_its_cache(network):
    ctx = Context()
    logits, cache = network.forward(ONES, ctx)
    assert refusal(lambda: network.backward(logits[:1], cache, ctx)) == (
        "the network was given 1 gradients; 2 are needed, one for each of the exits low, top."
    )
    assert refusal(lambda: network.backward([logits[0], logits[1][:, :2]], cache, ctx)) == (
        "the gradient that the exit 'top' was given is float32 of shape (2, 2); its output was float32 of shape (2, 3): "
        "give the gradient this shape and precision, as a NumPy array."
    )
    assert ctx.gradients() == {}
    assert network.backward(logits, cache, ctx).shape == ONES.shape
    assert refusal(lambda: network.backward(logits, cache, ctx)) == (
        "a backward pass has used this cache up: give the one of a new forward pass."
    )


SIZES = [0, -1, 2.5, 2.0, np.nan, np.inf, True, "2", None]


@pytest.mark.parametrize("size", SIZES, ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        lambda n: Linear(n, 3),
        lambda n: Linear(3, n),
        lambda n: Conv2d(n, 3, 1),
        lambda n: Conv2d(3, n, 1),
        lambda n: Conv2d(3, 3, n),
        lambda n: Conv2d(3, 3, 3, stride=n),
        lambda n: Conv2d(3, 3, 3, groups=n),
        lambda n: MaxPool2d(n),
        lambda n: AvgPool2d(n, 2),
        lambda n: Maxout(n),
        lambda n: LocalResponseNorm(n),
        lambda n: Concat(n),
        lambda n: Add(n),
    ],
)
def test_what_is_no_size_is_refused(make, size):
    text = refusal(lambda: make(size))
    assert repr(size) in text
    assert text.endswith(".")


@pytest.mark.parametrize("stride", [stride for stride in SIZES if stride is not None], ids=repr)
def test_a_stride_of_pooling_that_is_no_size_is_refused_and_none_is_the_kernel(stride):
    assert "make no window" in refusal(lambda: MaxPool2d(2, stride))
    assert MaxPool2d(2, None).stride == 2


@pytest.mark.parametrize("padding", [-1, 0.5, np.nan, True, "1", None], ids=repr)
def test_a_padding_that_is_no_whole_number_is_refused(padding):
    assert "make no window" in refusal(lambda: Conv2d(1, 1, 3, padding=padding))
    assert "make no window" in refusal(lambda: MaxPool2d(3, padding=padding))


@pytest.mark.parametrize("rate", [np.nan, np.inf, True, False, "0.5", None], ids=repr)
def test_a_dropout_rate_that_is_no_share_is_refused(rate):
    assert refusal(lambda: Dropout(rate)) == f"the dropout rate is {rate}; it must be at least 0 and less than 1."


@pytest.mark.parametrize("scale", [np.nan, np.inf, 0, -1, "1"], ids=repr)
def test_a_dropout_scale_that_is_no_factor_is_refused(scale):
    assert (
        refusal(lambda: Dropout(0.5, scale)) == f"the dropout's scale is {scale}; it must be a finite number above 0."
    )


def test_sizes_of_numpy_are_sizes():
    assert Linear(np.int64(3), np.int32(4)).forward(np.ones((1, 3), np.float32), Context())[0].shape == (1, 4)
    assert MaxPool2d(np.int64(2)).output_shape((4, 4, 1)) == (2, 2, 1)


def test_an_update_is_that_of_the_values_that_were_assigned():
    """In any memory order, before the first step and after it."""
    layer = Linear(3, 2)
    optimiser, gradients = SGD(layer.parameters(), momentum=0.0), FlatBuffer(layer.parameters())
    gradients.buffer[:] = 1
    for value in (1.0, 2.0):
        layer.weight.value = np.full((2, 3), value, np.float32).T
        optimiser.step(gradients, 0.5)
        assert (layer.weight.value == value - 0.5).all()


def test_a_node_may_read_what_is_in_any_order():
    nodes = [Node("flatten", Flatten()), Node("top", Linear(32, 3), ("flatten",))]
    (z,), _ = Network(nodes, ["top"], (4, 4, 2)).forward(np.asfortranarray(ONES), Context())
    assert z.shape == (2, 3)


X = np.ones((2, 3), np.float32)
APART = "all inputs must have one N, one precision and one device."


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (X, "was given a ndarray; a tuple of 2 arrays is needed, one for each input."),
        ([X, X], "was given a list; a tuple of 2 arrays is needed, one for each input."),
        ((X,), "was given a tuple of 1; a tuple of 2 arrays is needed, one for each input."),
        ((X, X, X), "was given a tuple of 3; a tuple of 2 arrays is needed, one for each input."),
        ((X, None), "was given a NoneType; an array is needed: convert it with numpy.asarray."),
        (
            (X, X[:1]),
            f"was given float32 of shape (2, 3), float32 of shape (1, 3); {APART}",
        ),
        (
            (X, X.astype(float)),
            f"was given float32 of shape (2, 3), float64 of shape (2, 3); {APART}",
        ),
    ],
)
def test_inputs_that_do_not_fit_each_other_are_refused_in_one_sentence(given, sentence):
    with pytest.raises(UserError) as refused:
        Add(2).forward(given, Context())
    assert str(refused.value) == f"Add(2) {sentence}"


def test_several_inputs_are_added_in_whatever_memory_order_they_lie():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    y, y_like = Add(2).forward((x, x.copy(order="F")), Context())
    assert np.array_equal(y, 2 * x)
    assert y_like == (x.shape, x.dtype, np.ndarray)
    assert Add(2).forward((x[:0], x[:0]), Context())[0].shape == (0, 3)
