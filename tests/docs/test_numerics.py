"""What docs/numerics.md says of NaN, infinity and no samples, row by row."""

import re
from pathlib import Path

import numpy as np
import pytest

from cldl.hinge import hinge_loss
from cldl.inference import predict
from cldl.loss import cldl_loss
from engine.codegen.simd import LANES
from engine.context import Context
from engine.errors import UserError
from engine.initialisers import constant
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
    ReLU,
    Sequential,
    chain,
)
from layers.fuse import FusedConv

pytestmark = pytest.mark.filterwarnings(
    "ignore:invalid value encountered:RuntimeWarning"
)  # by NumPy, of what is tested

PAGE = (Path(__file__).parents[2] / "docs" / "numerics.md").read_text()
TABLE = [
    [cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| `")
]
INF = np.inf
CHANNELS = pytest.mark.parametrize("C", [1, LANES, LANES + 1])  # some channels, a vector of them, both


def run(layer, x, training=False):
    """y, and dx for a dy of twos."""
    ctx = Context(training=training)
    y, cache = layer.forward(np.asarray(x, np.float32), ctx)
    return np.array(y), layer.backward(np.full_like(y, 2), cache, ctx)


def image(pixels, C=1):
    """One image (1, 2, 2, C) of these four pixels, the same in every channel."""
    return np.repeat(np.array(pixels, np.float32), C).reshape(1, 2, 2, C)


def equal(found, expected):
    np.testing.assert_array_equal(np.ravel(found), np.broadcast_to(expected, np.size(found)))


def no_samples(layer, shape, expected):
    ctx = Context(training=True)
    y, cache = layer.forward(np.ones((0, *shape), np.float32), ctx)
    assert y.shape == (0, *expected)
    assert layer.backward(y, cache, ctx).shape == (0, *shape)
    assert not any(gradient.any() for gradient in ctx.gradients().values())


def test_the_table_has_a_test_for_each_row():
    names = [re.fullmatch(r"`(\w+)`", row[0])[1] for row in TABLE]
    assert [f"test_{name.lower()}" for name in names] == [
        name for name in globals() if name.startswith("test_") and name != "test_the_table_has_a_test_for_each_row"
    ]
    assert {len(row) for row in TABLE} == {5}


def test_linear():
    layer = Linear(2, LANES, weight=constant(1))
    layer.weight.value[:, 0] = 0
    y, dx = run(layer, [[np.nan, 1], [1, 1]])
    assert np.isnan(y[0]).all()
    equal(y[1, 1:], 2)
    assert np.isfinite(dx).all()
    for infinity in (INF, -INF):
        y, _ = run(layer, [[infinity, 1]])
        assert np.isnan(y[0, 0])  # 0 times infinity
        equal(y[0, 1:], infinity)
    assert np.isnan(run(layer, [[INF, -INF]])[0]).all()
    no_samples(layer, (2,), (LANES,))


def test_conv2d():
    for D in (1, LANES):
        x = np.ones((2, 3, 3, 1), np.float32)
        x[0, 0, 0] = np.nan
        y, dx = run(Conv2d(1, D, 2, weight=constant(1), algorithm="patches"), x)
        assert np.isnan(y[0, 0, 0]).all()
        assert np.isfinite(y[0, 1:]).all()
        assert np.isfinite(y[0, :, 1:]).all()
        equal(y[1], 4)
        assert np.isfinite(dx).all()
        for infinity in (INF, -INF):
            y, _ = run(Conv2d(1, D, 2, weight=constant(1), algorithm="patches"), image([infinity, 1, 2, 3]))
            equal(y, infinity)
        for value in (np.nan, INF, -INF):
            x[0, 0, 0] = value
            assert np.isnan(run(Conv2d(1, D, 2, weight=constant(1), algorithm="fft"), x[:1])[0]).all()
        for algorithm in ("patches", "fft"):
            no_samples(Conv2d(1, D, 2, algorithm=algorithm), (3, 3, 1), (2, 2, D))
        no_samples(Conv2d(1, D, 3, algorithm="winograd"), (5, 5, 1), (3, 3, D))
        for value in (np.nan, INF, -INF):
            x = np.ones((2, 11, 11, 1), np.float32)
            x[0, 6, 6] = value
            y, dx = run(Conv2d(1, D, 3, weight=constant(1), algorithm="winograd"), x)
            assert not np.isfinite(y[0, 4:7, 4:7]).any()
            assert np.isfinite(y[0, :4]).all()
            assert np.isfinite(y[0, 8:]).all()
            assert np.isfinite(y[1]).all()
            assert np.isfinite(dx).all()


def test_fusedconv():
    for D in (1, LANES):
        layers = [Conv2d(1, D, 2, weight=constant(1)), ReLU(), Conv2d(D, D, 1, weight=constant(1)), ReLU()]
        for pixel in (np.nan, INF, -INF):
            x = image([pixel, 1, 2, 3])
            for found, expected in zip(run(FusedConv(*layers), x), run(Sequential(*layers), x), strict=True):
                np.testing.assert_array_equal(found, expected)
        no_samples(FusedConv(*layers), (3, 3, 1), (2, 2, D))


def test_relu():
    y, dx = run(ReLU(), [[np.nan, INF, -INF]])
    equal(y, [np.nan, INF, 0])
    equal(dx, [0, 2, 0])
    no_samples(ReLU(), (2, 3), (2, 3))


@CHANNELS
def test_maxpool2d(C):
    for at in range(4):
        pixels = [INF, 1, INF, 3]
        pixels[at:] = [np.nan] * (4 - at)
        y, dx = run(MaxPool2d(2), image(pixels, C))
        equal(y, np.nan)
        equal(dx, np.repeat(np.arange(4) == at, C) * 2)
    y, dx = run(MaxPool2d(2), image([-INF, INF, 3, INF], C))
    equal(y, INF)
    equal(dx, np.repeat([0, 2, 0, 0], C))
    equal(run(MaxPool2d(2), image([-INF, -5, -INF, -INF], C))[0], -5)
    y, dx = run(MaxPool2d(2), image([-INF] * 4, C))
    equal(y, -INF)
    equal(dx, np.repeat([2, 0, 0, 0], C))
    no_samples(MaxPool2d(2), (4, 4, C), (2, 2, C))


def test_maxout():
    for at in range(3):
        pieces = [INF, 1.0, 2.0]
        pieces[at:] = [np.nan] * (3 - at)
        y, dx = run(Maxout(3), [pieces])
        equal(y, np.nan)
        equal(dx, (np.arange(3) == at) * 2)
    equal(run(Maxout(3), [[1, INF, -INF]])[0], INF)
    equal(run(Maxout(3), [[-INF, -INF, -7]])[0], -7)
    equal(run(Maxout(3), [[-INF] * 3])[0], -INF)
    no_samples(Maxout(3), (2, 6), (2, 2))


@CHANNELS
def test_avgpool2d(C):
    mean(AvgPool2d(2), C, 1)
    no_samples(AvgPool2d(2), (4, 4, C), (2, 2, C))


@CHANNELS
def test_globalavgpool(C):
    mean(GlobalAvgPool(), C, 1)
    no_samples(GlobalAvgPool(), (4, 4, C), (C,))


def mean(layer, C, at):
    for pixels, expected in (
        ([1, np.nan, 2, 3], np.nan),
        ([1, INF, 2, 3], INF),
        ([1, -INF, 2, 3], -INF),
        ([1, -INF, 2, INF], np.nan),
    ):
        y, dx = run(layer, image(pixels, C))
        equal(y, expected)
        equal(dx, 0.5)


def test_localresponsenorm():
    for value in (np.nan, INF, -INF):
        y, _ = run(LocalResponseNorm(3), [[1, 1, value, 1, 1], [1, 1, 1, 1, 1]])
        equal(y[0, 1:4], [np.nan] * 3 if np.isnan(value) else [0, np.nan, 0])
        assert np.isfinite(y[0, [0, 4]]).all()
        assert np.isfinite(y[1]).all()
    no_samples(LocalResponseNorm(), (2, 3), (2, 3))


def test_l2normalize():
    for value in (np.nan, INF, -INF):
        y, _ = run(L2Normalize(), [[1, value, -1], [0, 0, 2]])
        equal(y[0], np.nan if np.isnan(value) else [0, np.nan, 0])
        equal(y[1], [0, 0, 1])
    no_samples(L2Normalize(), (2, 3), (2, 3))


def several(layer, *x):
    """y, and the gradients of all inputs for a dy of twos."""
    ctx = Context()
    y, cache = layer.forward(tuple(np.array([row], np.float32) for row in x), ctx)
    return y, layer.backward(np.full_like(y, 2), cache, ctx)


def test_concat():
    y, dx = several(Concat(2), [1, np.nan], [INF, -INF, 3])
    equal(y, [1, np.nan, INF, -INF, 3])
    assert [part.tolist() for part in dx] == [[[2, 2]], [[2, 2, 2]]]
    none = np.ones((0, 2), np.float32), np.ones((0, 3), np.float32)
    assert Concat(2).forward(none, Context())[0].shape == (0, 5)


def test_add():
    y, dx = several(Add(3), [np.nan, INF, -INF, INF], [1, 1, 1, -INF], [2, 2, 2, 2])
    equal(y, [np.nan, INF, -INF, np.nan])
    for part in dx:
        equal(part, 2)
    none = (np.ones((0, 2), np.float32),) * 3
    assert Add(3).forward(none, Context())[0].shape == (0, 2)


def test_dropout():
    for value in (np.nan, INF, -INF):
        x = np.full((1, 64), value, np.float32)
        equal(run(Dropout(0.5), x)[0], value)
        y, dx = run(Dropout(0.5), x, training=True)
        assert set(np.unique(dx)) == {0, 4}
        equal(y[dx == 4], value)
        equal(y[dx == 0], np.nan)
    no_samples(Dropout(0.5), (2, 3), (2, 3))


def test_flatten():
    equal(run(Flatten(), image([np.nan, INF, -INF, 1]))[0], [np.nan, INF, -INF, 1])
    no_samples(Flatten(), (2, 3), (6,))


def test_sequential():
    y, _ = run(Sequential(ReLU(), MaxPool2d(2)), image([np.nan, INF, -INF, 1]))
    equal(y, np.nan)
    equal(run(Sequential(ReLU(), MaxPool2d(2)), image([1, INF, -INF, 1]))[0], INF)
    equal(run(Sequential(ReLU(), MaxPool2d(2)), image([-INF] * 4))[0], 0)
    no_samples(Sequential(ReLU(), MaxPool2d(2), Flatten()), (4, 4, 3), (12,))


def test_network():
    network = Network(chain("x", [("relu", ReLU()), ("mean", GlobalAvgPool())]), ["mean"], (2, 2, 3))
    for pixel, expected in ((np.nan, np.nan), (INF, INF), (-INF, 1.5)):
        (z,), _ = network.forward(image([pixel, 1, 2, 3], 3), Context())
        equal(z, expected)
    (z,), cache = network.forward(image([1, 2, 3, 4], 3)[:0], ctx := Context())
    assert z.shape == (0, 3)
    assert network.backward([z], cache, ctx).shape == (0, 2, 2, 3)


def losses(loss, row):
    """The loss and its gradient for this sample, if class 0 and if class 1 is its target; a sample of zeros stands beside it."""
    for target in (0, 1):
        result = loss([np.array([row, [0.0, 0.0, 0.0]])], np.array([target, 0]))
        assert np.isfinite(result.per_classifier[0, 1])
        assert np.isfinite(result.gradients[0][1]).all()
        yield float(result.per_classifier[0, 0]), result.gradients[0][0]


def test_cldl_loss():
    for loss, dz in losses(cldl_loss, [np.nan, 0, 0]):
        assert np.isnan(loss)
        assert np.isnan(dz).all()
    (of_target, dz), (of_another, _) = losses(cldl_loss, [INF, 0, 0])
    assert of_target == 0
    assert np.isfinite(dz).all()
    assert np.isnan(of_another)
    (of_target, _), (of_another, dz) = losses(cldl_loss, [-INF, 0, 0])
    assert of_target == INF
    assert of_another == pytest.approx(np.log(2))
    equal(dz, [0, -0.25, 0.25])
    (of_target, dz), _ = losses(cldl_loss, [10, -INF, -INF])
    assert of_target == 0
    equal(dz, 0)
    with pytest.raises(UserError, match="at least 1 sample"):
        cldl_loss([np.ones((0, 3))], np.zeros(0, int))


def test_hinge_loss():
    for loss, dz in losses(hinge_loss, [np.nan, 0, 0]):
        assert np.isnan(loss)
        assert np.isnan(dz).tolist() == [True, False, False]
    (of_target, dz), (of_another, _) = losses(hinge_loss, [INF, -1, -1])
    assert (of_target, of_another) == (0, INF)
    equal(dz, 0)
    (of_target, _), (of_another, _) = losses(hinge_loss, [-INF, 1, -1])
    assert (of_target, of_another) == (INF, 0)
    with pytest.raises(UserError, match="at least 1 sample"):
        hinge_loss([np.ones((0, 3))], np.zeros(0, int))


def test_predict():
    plain = np.array([[0.0, 1.0, 2.0]])
    for at in range(3):
        for value, expected in ((np.nan, 0), (INF, at)):
            z = np.array([[1.0, 2.0, 0.0]])
            z[0, at] = value
            assert predict([z]).tolist() == [expected]
            assert predict([z, plain]).tolist() == [expected]
        only = np.full((1, 3), -INF)
        only[0, at] = 10
        assert predict([only]).tolist() == [at]
        assert predict([only, plain]).tolist() == [at]
        cannot = np.array([[1.0, 1.0, 1.0]])
        cannot[0, at] = -INF
        assert predict([cannot]).tolist() != [at]
    assert predict([np.full((1, 3), -INF)]).tolist() == [0]
    with pytest.raises(UserError, match="at least 1 sample"):
        predict([np.ones((0, 3))])
