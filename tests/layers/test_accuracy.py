"""Sums over a million equal numbers in float32 are right to 1e-6, products to 1e-4: no chain of roundings is that long."""

import numpy as np
import pytest
from numba import config

from cldl.hinge import hinge_loss
from cldl.loss import cldl_loss
from engine.codegen.simd import LANES
from engine.context import Context
from layers import AvgPool2d, Conv2d, GlobalAvgPool, Linear, ReLU
from layers.fuse import FusedConv

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="a million elements take minutes in plain Python")
MILLION = 10**6
VALUES = np.array([0.1, 0.3, 0.7, -0.123], np.float32)


def assert_right(found, expected):
    np.testing.assert_allclose(np.asarray(found, np.float64), np.asarray(expected, np.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("C", [1, 4, LANES + 1])
def test_the_mean_of_a_large_image_is_that_of_its_equal_pixels(C):
    pixels = np.resize(VALUES, C)
    y, _ = GlobalAvgPool().forward(np.broadcast_to(pixels, (1, 1024, 1024, C)), Context())
    assert_right(y[0], pixels)


def test_the_mean_of_the_largest_window_is_that_of_its_equal_pixels():
    y, _ = AvgPool2d(16).forward(np.broadcast_to(VALUES, (1, 64, 64, 4)), Context())
    assert_right(y, np.broadcast_to(VALUES, y.shape))


def test_a_pixel_of_many_windows_gathers_all_of_their_gradients():
    layer, ctx = AvgPool2d(16, 1), Context()
    y, cache = layer.forward(np.zeros((1, 31, 31, 4), np.float32), ctx)
    dx = layer.backward(np.broadcast_to(VALUES, y.shape), cache, ctx)
    assert_right(dx[0, 15, 15], VALUES)  # 256 windows of 256 pixels


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(Linear(16, LANES), (MILLION, 16)), (Conv2d(1, LANES, 1), (1, 1000, 1000, 1))],
    ids=str,
)
def test_the_gradient_of_a_weight_is_a_product_in_float32_of_a_million_rows(layer, shape):
    ctx = Context()
    y, cache = layer.forward(np.full(shape, 0.7, np.float32), ctx)
    dy = np.resize(VALUES, y.shape[-1])
    layer.backward(np.broadcast_to(dy, y.shape), cache, ctx, need_dx=False)
    dW = ctx.gradients()[layer.parameters()[0]].astype(np.float64).reshape(-1, len(dy))
    np.testing.assert_allclose(
        dW, np.broadcast_to(MILLION * np.float64(VALUES.dtype.type(0.7)) * dy, dW.shape), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Linear(1, 4), (MILLION, 1)),
        (Linear(16, LANES), (MILLION, 16)),
        (Conv2d(1, 4, 1), (1, 1000, 1000, 1)),
        (Conv2d(16, LANES, 1), (10, 400, 250, 16)),
        (Conv2d(1, LANES, 3, padding=1, algorithm="patches"), (1, 1000, 1000, 1)),
        (Conv2d(1, 4, 3, padding=1, algorithm="fft"), (1, 1000, 1000, 1)),
        (Conv2d(1, 4, 3, padding=1, algorithm="winograd"), (1, 1000, 1000, 1)),
        (Conv2d(2, 4, 1, groups=2), (1, 1000, 1000, 2)),
        (FusedConv(Conv2d(16, LANES, 1), Conv2d(LANES, LANES, 1)), (1, 1000, 1000, 16)),
    ],
    ids=str,
)
def test_the_gradient_of_a_bias_is_that_of_a_million_equal_gradients(layer, shape):
    ctx = Context()
    y, cache = layer.forward(np.ones(shape, np.float32), ctx)
    dy = np.resize(VALUES, y.shape[-1])
    layer.backward(np.broadcast_to(dy, y.shape), cache, ctx, need_dx=False)
    assert_right(ctx.gradients()[layer.parameters()[-1]], MILLION * dy.astype(np.float64))


@pytest.mark.parametrize("D", [4, LANES])
def test_the_gradient_of_a_bias_behind_which_a_relu_stands_is_as_right(D):
    layer, ctx = FusedConv(Conv2d(1, D, 1), ReLU()), Context()
    layer.parameters()[1].value[:] = 1
    layer.parameters()[0].value[:] = 0
    y, cache = layer.forward(np.ones((1, 1000, 1000, 1), np.float32), ctx)
    dy = np.resize(VALUES, D)
    layer.backward(np.broadcast_to(dy, y.shape), cache, ctx, need_dx=False)
    assert_right(ctx.gradients()[layer.parameters()[1]], MILLION * dy.astype(np.float64))


@pytest.mark.parametrize(("loss", "value"), [(cldl_loss, np.log(2)), (hinge_loss, 2.0)])
def test_a_loss_is_the_mean_of_a_million_equal_losses(loss, value):
    result = loss([np.zeros((MILLION, 2), np.float32)], np.zeros(MILLION, int))
    assert_right(result.value, value)
    assert_right(result.gradients[0].astype(np.float64).sum(axis=0), [-value_gradient(loss), value_gradient(loss)])


def value_gradient(loss):
    """The sum over the samples of the gradient of a wrong class."""
    return 0.5 if loss is cldl_loss else 2.0
