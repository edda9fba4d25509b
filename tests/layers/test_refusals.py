"""What layers say of themselves, and what they refuse: shapes, work, text, errors."""

import re

import numpy as np
import pytest

from engine.context import Context
from engine.errors import UserError
from layers import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    L2Normalize,
    Layer,
    Linear,
    LocalResponseNorm,
    Maxout,
    MaxPool2d,
    ReLU,
    Sequential,
)
from layers.window import check_window, windows


def test_multiply_adds_are_those_of_the_products():
    conv = Conv2d(4, 6, 3, padding=1, groups=2)
    assert conv.multiply_adds((5, 7, 4)) == 5 * 7 * 3 * 3 * 2 * 6
    assert Linear(3, 4).multiply_adds((3,)) == 12
    assert Sequential(conv, ReLU(), Flatten(), Linear(210, 2)).multiply_adds((5, 7, 4)) == 5 * 7 * 108 + 420
    assert MaxPool2d(2).multiply_adds((4, 4, 1)) == 0


def test_layers_say_what_they_are():
    assert repr(Conv2d(4, 6, 3, stride=2, groups=2)) == "Conv2d(4 to 6, 3x3, stride 2, padding 0, groups 2)"
    assert repr(Conv2d(1, 2, 5, padding=2)) == "Conv2d(1 to 2, 5x5, stride 1, padding 2)"
    assert repr(MaxPool2d(3, 2, ceil=True)) == "MaxPool2d(3, stride 2, padding 0, ceil)"
    assert repr(AvgPool2d(2, padding=1)) == "AvgPool2d(2, stride 2, padding 1)"
    assert repr(Dropout()) == "Dropout(0.5)"
    assert repr(Dropout(0.2, scale=1)) == "Dropout(0.2, scale 1)"
    assert repr(Maxout(2)) == "Maxout(2)"
    assert repr(LocalResponseNorm(3, alpha=0.5)) == "LocalResponseNorm(3, alpha 0.5, beta 0.75, k 1)"
    assert repr(L2Normalize()) == "L2Normalize()"
    assert repr(Concat(4)) == "Concat(4)"
    assert repr(Add()) == "Add(2)"
    assert repr(Linear(3, 4)) == "Linear(3, 4)"
    assert repr(Sequential(ReLU(), Flatten())) == "Sequential(ReLU(), Flatten())"


def test_pooling_counts_whole_windows_only_unless_in_ceil_mode():
    assert MaxPool2d(2).output_shape((5, 4, 3)) == (2, 2, 3)
    assert MaxPool2d(2, ceil=True).output_shape((5, 4, 3)) == (3, 2, 3)


def test_a_window_that_would_begin_in_the_right_padding_does_not_count():
    """They begin at -1, 1 and 3; of 5 rows, one more would begin at 5."""
    assert MaxPool2d(2, padding=1, ceil=True).output_shape((5, 4, 3)) == (3, 3, 3)


def test_the_contract_itself_computes_nothing():
    layer = Layer()
    assert layer.parameters() == []
    assert layer.output_shape((2, 3)) == (2, 3)
    assert layer.kink_distance(np.zeros(3), Context()) == np.inf
    with pytest.raises(NotImplementedError):
        layer.forward(np.zeros(3), Context())
    with pytest.raises(NotImplementedError):
        layer.backward(np.zeros(3), None, Context())


def makes_no_window(kernel, stride, padding, most):
    return (
        f"kernel {kernel}, stride {stride}, padding {padding} make no window: "
        f"kernel and stride must be 1 or more, and the padding from 0 to {most}."
    )


def samples(layer, shape, expected):
    return f"{layer} was given samples of shape {shape}; {expected}: check the layer before it."


CONV, MAX, IMAGES = Conv2d(3, 4, 1), MaxPool2d(2), "it takes images (H, W, C)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Conv2d(3, 4, 3, groups=2),
            "2 groups do not divide 3 input and 4 output channels: choose a common divisor.",
        ),
        (
            lambda: Conv2d(4, 3, 3, groups=2),
            "2 groups do not divide 4 input and 3 output channels: choose a common divisor.",
        ),
        (
            lambda: Conv2d(4, 4, 3, groups=0),
            "Conv2d was given groups = 0; a whole number of 1 or more is needed.",
        ),
        (
            lambda: Conv2d(1, 1, 3, algorithm="direct"),
            "the algorithm 'direct' is unknown: choose one of auto, patches, fft, winograd.",
        ),
        (lambda: Conv2d(1, 1, 0), makes_no_window(0, 1, 0, 0)),
        (lambda: Conv2d(1, 1, 3, stride=0), makes_no_window(3, 0, 0, 2)),
        (lambda: Conv2d(1, 1, 3, padding=3), makes_no_window(3, 1, 3, 2)),
        (lambda: Conv2d(1, 1, 3, padding=-1), makes_no_window(3, 1, -1, 2)),
        (lambda: Conv2d(1, 1, 1, padding=1), makes_no_window(1, 1, 1, 0)),
        (lambda: MaxPool2d(3, padding=2), makes_no_window(3, 3, 2, 1)),
        (lambda: check_window(3, 1, 3), makes_no_window(3, 1, 3, 2)),
        (lambda: AvgPool2d(17), "the pooling kernel is 17; the largest is 16: use GlobalAvgPool for a whole image."),
        (lambda: Maxout(0), "Maxout was given pieces = 0; a whole number of 1 or more is needed."),
        (lambda: Maxout(257), "Maxout was given 257 pieces; choose from 1 to 256."),
        (
            lambda: Maxout(2).output_shape((4, 4, 3)),
            samples("Maxout(2)", (4, 4, 3), "its pieces must divide the last axis"),
        ),
        (
            lambda: LocalResponseNorm(4),
            "LocalResponseNorm was given size = 4; an odd whole number is needed.",
        ),
        (
            lambda: LocalResponseNorm(alpha=-1e-4),
            "LocalResponseNorm was given alpha = -0.0001; a finite number of 0 or more is needed.",
        ),
        (
            lambda: LocalResponseNorm(beta=np.nan),
            "LocalResponseNorm was given beta = nan; a finite number is needed.",
        ),
        (lambda: LocalResponseNorm(k=0), "LocalResponseNorm was given k = 0; a finite number above 0 is needed."),
        (
            lambda: LocalResponseNorm().output_shape(()),
            samples(LocalResponseNorm(), (), "it takes samples (..., C)"),
        ),
        (lambda: L2Normalize().output_shape(()), samples("L2Normalize()", (), "it takes samples (..., C)")),
        (lambda: Concat(1), "Concat was given 1 inputs; a whole number of 2 or more is needed."),
        (
            lambda: Concat(2).output_shape(((4, 4, 3), (4, 5, 3))),
            "Concat(2) was given samples of shapes (4, 4, 3) and (4, 5, 3); they may differ in their last axis alone: check the "
            "layers before it.",
        ),
        (
            lambda: Add(2).output_shape(((4,), (5,))),
            "Add(2) was given samples of shapes (4,) and (5,); they must be equal: check the layers before it.",
        ),
        (lambda: Dropout(1.0), "the dropout rate is 1.0; it must be at least 0 and less than 1."),
        (lambda: Dropout(-0.1), "the dropout rate is -0.1; it must be at least 0 and less than 1."),
        (
            lambda: windows(2, 5, 1, 1),
            "a window of 5 pixels does not fit an image of 2 with padding 1: use a smaller kernel or more padding.",
        ),
        (
            lambda: Conv2d(3, 4, 3).forward(np.zeros((1, 2, 2, 3)), Context()),
            "a window of 3 pixels does not fit an image of 2 with padding 0: use a smaller kernel or more padding.",
        ),
        (lambda: CONV.output_shape((5, 5, 2)), samples(CONV, (5, 5, 2), "its last axis must be 3")),
        (lambda: CONV.output_shape((3,)), samples(CONV, (3,), IMAGES)),
        (lambda: MAX.output_shape((4, 4)), samples(MAX, (4, 4), IMAGES)),
        (lambda: GlobalAvgPool().output_shape((4,)), samples(GlobalAvgPool(), (4,), IMAGES)),
        (lambda: Linear(3, 4).output_shape((2, 2, 3)), samples("Linear(3, 4)", (2, 2, 3), "it takes vectors (C,)")),
        (lambda: Linear(3, 4).output_shape((4,)), samples("Linear(3, 4)", (4,), "its last axis must be 3")),
        (
            lambda: Sequential(Flatten(), Linear(3, 4)).output_shape((2, 2, 1)),
            samples("Linear(3, 4)", (4,), "its last axis must be 3"),
        ),
    ],
)
def test_nonsense_is_refused_in_one_sentence_that_says_what_to_do(make, message):
    with pytest.raises(UserError) as refusal:
        make()
    assert str(refusal.value) == message


@pytest.mark.parametrize("name", ["alpha", "beta", "k"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, True, "1", None], ids=repr)
def test_a_constant_of_local_response_normalisation_that_is_no_finite_number_is_refused(name, value):
    with pytest.raises(
        UserError, match=f"^LocalResponseNorm was given {name} = {re.escape(repr(value))}; a finite number"
    ):
        LocalResponseNorm(**{name: value})
